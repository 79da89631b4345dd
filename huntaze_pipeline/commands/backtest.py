"""`huntaze rules backtest`: arguments in, a rule's past out."""

from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from huntaze_pipeline.rehearsal.past import Past
    from huntaze_pipeline.rulebook.live import LiveAutomation
    from huntaze_pipeline.rulebook.loader import Rulebook
    from huntaze_pipeline.settings import Settings

FORMATS = ("text", "json")


def backtest(
    rule: Annotated[str, typer.Argument(help="The automation's id: its file's name.")],
    since: Annotated[datetime, typer.Option("--from", help="First instant, UTC.")],
    until: Annotated[
        datetime | None, typer.Option("--to", help="First instant after it, UTC; default: now.")
    ] = None,
    creator: Annotated[
        list[str] | None, typer.Option("--creator", "-c", help="Whose past; default: everybody's.")
    ] = None,
    folder: Annotated[
        Path | None,
        typer.Option("--rules", help="Another folder than HUNTAZE_RULES_DIR or ./rules."),
    ] = None,
    live: Annotated[
        bool, typer.Option("--live", help="The version that is live, not the one in the file.")
    ] = False,
    punctual: Annotated[
        bool, typer.Option("--punctual", help="Take every event as known when it happened.")
    ] = False,
    chart: Annotated[
        Path | None, typer.Option(help="Write the messages per day to this .svg or .png.")
    ] = None,
    form: Annotated[str, typer.Option("--format", help="text or json.")] = "text",
) -> None:
    """Run a rule over the past: who, when and what it would have sent, and what stood in the way.

    Each moment is judged by what was known then. Nothing is written and nothing is sent.
    """
    from huntaze_pipeline.clock import system_clock
    from huntaze_pipeline.rehearsal import backtest as room
    from huntaze_pipeline.rehearsal import meaning, showing

    if form not in FORMATS:
        raise typer.BadParameter(f"{form!r}: one of {', '.join(FORMATS)}")
    if chart is not None and chart.suffix not in (".svg", ".png"):
        raise typer.BadParameter(f"{chart.name!r}: end the name in .svg or .png")
    start, end = _utc(since), _utc(until) if until else system_clock()
    if end <= start:
        raise typer.BadParameter(f"--to {end.isoformat()} is not after --from {start.isoformat()}")
    with room.uncollected(), _past(creator, punctual) as (past, settings):
        book = _book(folder or settings.rules_dir)
        rules = _rules(past, settings, book, rule, live)
        entered = room.entered(past, rules, start)
        trial = room.automation(past, rules, book.policies, start, end, entered)
        found = meaning.summary(past, trial, rules[0].id, book.policies)
    typer.echo(showing.as_json(found) if form == "json" else showing.text(found))
    if chart is not None:
        chart.write_bytes(showing.picture(found, chart.suffix[1:]))
        typer.echo(f"chart written to {chart}", err=True)


def _utc(at: datetime) -> datetime:
    return at.replace(tzinfo=UTC) if at.tzinfo is None else at.astimezone(UTC)


@contextmanager
def _past(creator: "Sequence[str] | None", punctual: bool) -> "Iterator[tuple[Past, Settings]]":
    """Open the past of some creators or of all.

    Raises:
        NotFoundError: there is no such creator.
    """
    from huntaze_pipeline.local import stack
    from huntaze_pipeline.rehearsal.past import Past
    from huntaze_pipeline.settings import load
    from huntaze_pipeline.store.session import Store
    from huntaze_pipeline.warehouse import lake

    with stack.services(load(), need=("postgres",)) as settings:
        Store(settings).probe()
        with lake.connect(settings) as con:
            yield _known(Past(con, [], punctual=punctual), creator), settings


def _known(past: "Past", creator: "Sequence[str] | None") -> "Past":
    """Let a past be that of some creators or of all.

    Raises:
        NotFoundError: there is no such creator.
    """
    from huntaze_pipeline.errors import NotFoundError
    from huntaze_pipeline.rehearsal.backtest import creators

    there = creators(past, creator or None)
    lacking = sorted(set(creator or ()) - set(there))
    if lacking or not there:
        names = ", ".join(map(repr, lacking)) or "at all"
        raise NotFoundError(f"there is no creator {names}; see `huntaze creators list`")
    past.creators = there
    return past


def _book(folder: Path) -> "Rulebook":
    from huntaze_pipeline.rulebook import loader

    return loader.load(folder)


def _rules(
    past: "Past", settings: "Settings", book: "Rulebook", rule: str, live: bool
) -> "list[LiveAutomation]":
    """Return the rule for each creator, as its file says it or as it is live.

    Raises:
        NotFoundError: there is no such automation.
    """
    from huntaze_pipeline.errors import NotFoundError
    from huntaze_pipeline.rulebook import live as room
    from huntaze_pipeline.rulebook.fields import nearest
    from huntaze_pipeline.store.session import Store

    name = rule.removeprefix("automations/")
    if live:
        with Store(settings).worker() as connection:
            every = room.automations(connection, past.creators, [])
        found = [a for a in every if a.id == name]
        if not found:
            raise NotFoundError(f"no automation {name!r} is live")
        return [a for a in found if a.rule_hash == found[0].rule_hash]
    if name not in book.automations:
        raise NotFoundError(
            f"there is no automation {name!r}{nearest(name, list(book.automations))}"
        )
    return [book_automation(book, creator, name) for creator in past.creators]


def book_automation(book: "Rulebook", creator: str, name: str) -> "LiveAutomation":
    """Return a rule of the files as it would be live for a creator; a paused one is tried too."""
    from huntaze_pipeline.rulebook.live import LiveAutomation
    from huntaze_pipeline.rulebook.references import templates_of

    rule = book.automations[name]
    used = {t: book.templates[t] for t in templates_of(rule)}
    active = rule.model_copy(update={"active": True})
    return LiveAutomation(creator, name, active, book.hash("automations", name), used)
