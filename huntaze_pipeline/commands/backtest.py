"""`huntaze rules backtest`: arguments in, a rule's past out."""

from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from huntaze_pipeline.rehearsal.past import Past
    from huntaze_pipeline.rulebook.live import LiveAutomation
    from huntaze_pipeline.rulebook.loader import Rulebook
    from huntaze_pipeline.settings import Settings

FORMATS = ("text", "json")
KINDS = ("automations", "campaigns", "segments")
"""Rules that have a past."""
SPAN = timedelta(days=90)


def backtest(
    rule: Annotated[
        str, typer.Argument(help="An automation's, campaign's or segment's id, or kind/ID.")
    ],
    since: Annotated[
        datetime | None,
        typer.Option("--from", help="First instant, UTC; default: 90 days before the end."),
    ] = None,
    until: Annotated[
        datetime | None, typer.Option("--to", help="First instant after it, UTC; default: now.")
    ] = None,
    at: Annotated[
        datetime | None,
        typer.Option(help="A campaign as if it had been started then, UTC; not its schedule."),
    ] = None,
    creator: Annotated[
        list[str] | None, typer.Option("--creator", "-c", help="Whose past; default: everybody's.")
    ] = None,
    folder: Annotated[
        Path | None,
        typer.Option("--rules", help="Another folder than HUNTAZE_RULES_DIR or ./rules."),
    ] = None,
    live: Annotated[
        bool,
        typer.Option("--live", help="The version that is live, not the file's."),
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
    from huntaze_pipeline.commands import versions
    from huntaze_pipeline.rehearsal import backtest as room
    from huntaze_pipeline.rehearsal import review, showing

    _showable(form, chart)
    with room.uncollected(), _past(creator, punctual) as (past, settings):
        book = _book(folder or settings.rules_dir)
        kind, name = _meant(book, rule, live)
        start, end = _period(since, until, at)
        _possible(kind, at, chart)
        if kind == "automations":
            rules = versions.automations(past, settings, book, name, live)
            report = review.automation(past, rules, book.policies, start, end)
            _silent(report, rules[0])
        elif kind == "campaigns":
            scripts = versions.campaigns(past, settings, book, name, start, live)
            report = review.campaign(past, scripts, book.policies, start, end, once=at is not None)
        else:
            mine = versions.segments(past, settings, book, name, live)
            report = review.segment(past, mine, name, start, end)
    typer.echo(showing.as_json(report) if form == "json" else showing.told(kind, report))
    if chart is not None:
        chart.write_bytes(showing.picture(report, chart.suffix[1:]))
        typer.echo(f"chart written to {chart}", err=True)


def _showable(form: str, chart: Path | None) -> None:
    """Refuse forms that there are not."""
    if form not in FORMATS:
        raise typer.BadParameter(f"{form!r}: one of {', '.join(FORMATS)}")
    if chart is not None and chart.suffix not in (".svg", ".png"):
        raise typer.BadParameter(f"{chart.name!r}: end the name in .svg or .png")


def _meant(book: "Rulebook", rule: str, live: bool) -> tuple[str, str]:
    """Return the kind and the id of the rule that is meant.

    Raises:
        NotFoundError: there is none, or it is of a kind that has no past.
        BadParameter: several kinds have one.
    """
    from huntaze_pipeline.errors import NotFoundError
    from huntaze_pipeline.rulebook.fields import nearest

    kind, slash, name = rule.rpartition("/")
    if slash and kind not in KINDS:
        raise NotFoundError(f"{rule!r}: {kind} have no past to run over; only {', '.join(KINDS)}")
    kinds = [kind] if slash else KINDS
    homes = [k for k in kinds if name in getattr(book, k)]
    if len(homes) > 1:
        raise typer.BadParameter(
            f"{name!r} is several: write {' or '.join(f'{k}/{name}' for k in homes)}"
        )
    if homes:
        return homes[0], name
    if live:
        return kind or "automations", name
    if name in book.templates:
        raise NotFoundError(f"{name!r} is a template: preview it with `huntaze templates preview`")
    every = [known for k in kinds for known in getattr(book, k)]
    raise NotFoundError(
        f"there is no automation, campaign or segment {name!r}{nearest(name, every)}"
    )


def _period(
    since: datetime | None, until: datetime | None, at: datetime | None
) -> tuple[datetime, datetime]:
    """Return the period that is asked for: a moment of a campaign is the week behind it."""
    from huntaze_pipeline.clock import system_clock
    from huntaze_pipeline.rehearsal.meaning import AFTER

    now = system_clock()
    if at is not None:
        if since is not None or until is not None:
            raise typer.BadParameter("write either --at or --from and --to")
        if _utc(at) > now:
            raise typer.BadParameter(f"--at {_utc(at).isoformat()} is not in the past")
        return _utc(at), min(now, _utc(at) + AFTER)
    end = _utc(until) if until else now
    start = _utc(since) if since else end - SPAN
    if end <= start:
        raise typer.BadParameter(f"--to {end.isoformat()} is not after --from {start.isoformat()}")
    return start, end


def _possible(kind: str, at: datetime | None, chart: Path | None) -> None:
    """Refuse what a kind of rule cannot do."""
    if at is not None and kind != "campaigns":
        doing = "reacts to events" if kind == "automations" else "changes all the time"
        raise typer.BadParameter(
            f"--at is for campaigns: one of {kind} {doing}; write --from, --to"
        )
    if chart is not None and kind == "segments":
        raise typer.BadParameter("--chart draws messages, and a segment sends none")


def _silent(found: dict[str, Any], rule: "LiveAutomation") -> None:
    """Say on stderr why nothing triggers what listens to a segment that was not live then."""
    segment = rule.rule.trigger.properties.get("segment")
    if segment is not None and found.get("events") == 0:
        why = (
            f"nobody was told of segment {segment!r} in this period: a segment that was not live"
            f" has no past. `huntaze rules backtest segments/{segment}` says who would have moved"
        )
        typer.echo(why, err=True)


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
