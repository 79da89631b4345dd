"""Which version of a rule a backtest runs: the one of the files, or the one that is live."""

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from datetime import datetime

from huntaze_pipeline.campaigns import launch
from huntaze_pipeline.errors import NotFoundError
from huntaze_pipeline.rehearsal.mailing import Script
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


def campaigns(
    past: Past, settings: Settings, book: Rulebook, name: str, now: datetime, live: bool
) -> list[Script]:
    """Return the campaign for each creator who has it, due now: of the files, or as it is live.

    A live one is taken as if its test had not been decided yet.

    Raises:
        NotFoundError: there is no such campaign.
    """
    if not live:
        return [Script.filed(book, name, creator, now) for creator in past.people()]
    with Store(settings).worker() as connection:
        templates = live_rules.templates(connection, past.creators)
        segments_: dict[str, dict[str, Segment]] = {}
        for segment in live_rules.segments(connection, past.creators):
            segments_.setdefault(segment.creator_id, {})[segment.id] = segment.rule
        versions = []
        for creator in past.creators:
            with suppress(NotFoundError):
                made = launch.one(connection, creator, name, now)
                fresh = replace(made, closed=False, follows=None)
                mine = templates.get(creator, {}), segments_.get(creator, {})
                versions.append(Script(fresh, *mine))
    if not versions:
        raise NotFoundError(f"no campaign {name!r} is live")
    return versions


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
