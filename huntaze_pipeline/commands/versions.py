"""Which version of a rule a backtest runs: the one of the files, or the one that is live."""

from collections.abc import Mapping

from huntaze_pipeline.errors import NotFoundError
from huntaze_pipeline.rehearsal.past import Past
from huntaze_pipeline.rulebook import live as live_rules
from huntaze_pipeline.rulebook.live import LiveAutomation
from huntaze_pipeline.rulebook.loader import Rulebook
from huntaze_pipeline.rulebook.references import templates_of
from huntaze_pipeline.rulebook.schema import Segment
from huntaze_pipeline.settings import Settings
from huntaze_pipeline.store.session import Store


def automations(
    past: Past, settings: Settings, book: Rulebook, name: str, live: bool
) -> list[LiveAutomation]:
    """Return the rule for each creator, as its file says it or as it is live.

    Raises:
        NotFoundError: there is no such automation.
    """
    if live:
        with Store(settings).worker() as connection:
            every = live_rules.automations(connection, past.creators, [])
        found = [a for a in every if a.id == name]
        if not found:
            raise NotFoundError(f"no automation {name!r} is live")
        return [a for a in found if a.rule_hash == found[0].rule_hash]
    return [book_automation(book, creator, name) for creator in past.creators]


def segments(
    past: Past, settings: Settings, book: Rulebook, name: str, live: bool
) -> Mapping[tuple[str, ...], Mapping[str, Segment]]:
    """Return the segments by the creators who have them, of the files or as they are live.

    Raises:
        NotFoundError: there is no such segment.
    """
    if not live:
        return {tuple(past.creators): book.segments}
    found: dict[tuple[str, ...], dict[str, Segment]] = {}
    with Store(settings).worker() as connection:
        for segment in live_rules.segments(connection, past.creators):
            found.setdefault((segment.creator_id,), {})[segment.id] = segment.rule
    mine = {creators: rules for creators, rules in found.items() if name in rules}
    if not mine:
        raise NotFoundError(f"no segment {name!r} is live")
    return mine


def book_automation(book: Rulebook, creator: str, name: str) -> LiveAutomation:
    """Return a rule of the files as it would be live for a creator; a paused one is tried too."""
    rule = book.automations[name]
    used = {t: book.templates[t] for t in templates_of(rule)}
    active = rule.model_copy(update={"active": True})
    return LiveAutomation(creator, name, active, book.hash("automations", name), used)
