"""`huntaze why`, `why-not` and `replay`: arguments in, explanations out."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from huntaze_pipeline.rehearsal.past import Past
    from huntaze_pipeline.rehearsal.whynot import WhyNot
    from huntaze_pipeline.settings import Settings

Machine = Annotated[bool, typer.Option("--json", help="For machines.")]
Folder = Annotated[
    Path | None, typer.Option("--rules", help="Another folder than HUNTAZE_RULES_DIR or ./rules.")
]
_SOON = timedelta(days=1)


def register(app: typer.Typer) -> None:
    """Add this room's commands."""
    app.command("why")(why)
    app.command("why-not")(why_not)
    app.command("replay")(replay)


def why(
    message: Annotated[str, typer.Argument(help="Its id; sending it, and events, tell it.")],
    folder: Folder = None,
    machine: Machine = False,
) -> None:
    """Explain a message: its event, facts as of then, conditions, rule, gates, limiter, answer."""
    from huntaze_pipeline.rehearsal import why as room
    from huntaze_pipeline.rulebook.policies import load_policies

    with _looking() as (connection, past, settings):
        past.creators = [room.lookup(connection, message)["creator_id"]]
        past.open(_now() + _SOON)
        policies = load_policies(folder or settings.rules_dir)
        story = room.explain_message(connection, past, message, policies)
    typer.echo(_json(asdict(story)) if machine else room.text_of(story))


def why_not(
    fan: Annotated[str, typer.Argument(help="The fan's id.")],
    rule: Annotated[str, typer.Argument(help="An automation's id, or segments/ID.")],
    creator: Annotated[str, typer.Option("--creator", "-c", help="The creator's id.")],
    at: Annotated[datetime | None, typer.Option(help="As of this instant, UTC.")] = None,
    event: Annotated[str | None, typer.Option(help="The event that should have led to it.")] = None,
    folder: Folder = None,
    machine: Machine = False,
) -> None:
    """Say which "no" kept a fan from a rule first, and when it could be a yes."""
    from huntaze_pipeline.errors import NotFoundError
    from huntaze_pipeline.rehearsal import backtest

    moment = _utc(at) if at else _now()
    with _looking() as (connection, past, settings):
        if not backtest.creators(past, [creator]):
            raise NotFoundError(f"there is no creator {creator!r}; see `huntaze creators list`")
        past.creators = [creator]
        past.open(moment + timedelta(microseconds=1))
        place = folder or settings.rules_dir
        answer = _asked(connection, past, place, (creator, fan, rule, moment, event))
    typer.echo(_json(asdict(answer)) if machine else answer.text())


def _asked(
    connection: "Connection",
    past: "Past",
    folder: Path,
    asked: tuple[str, str, str, datetime, str | None],
) -> "WhyNot":
    """Ask the live version of a rule, or the one in its file when it is not live.

    Raises:
        NotFoundError: there is neither.
    """
    from huntaze_pipeline.commands.versions import book_automation
    from huntaze_pipeline.errors import NotFoundError
    from huntaze_pipeline.rehearsal import whynot
    from huntaze_pipeline.rulebook import live, loader
    from huntaze_pipeline.rulebook.fields import nearest

    creator, fan, rule, moment, event = asked
    name = rule.rpartition("/")[2]
    if rule.startswith("segments/"):
        every = {s.id: s for s in live.segments(connection, [creator])}
        if name not in every:
            raise NotFoundError(f"no segment {name!r} is live for {creator}")
        return whynot.segment(past, every[name], fan, moment)
    running = live.automations(connection, [creator], [])
    here = [a for a in running if a.id == name]
    if not here:
        book = loader.load(folder)
        if name not in book.automations:
            hint = nearest(name, {*book.automations, *(a.id for a in running)})
            if name in book.segments:
                hint = f"; it is a segment: write segments/{name}"
            elif name in book.campaigns:
                hint = (
                    f"; it is a campaign: `huntaze campaigns preview {name}` tells who is left out"
                )
            raise NotFoundError(f"there is no automation {name!r}, live or in {folder}{hint}")
        here = [book_automation(book, creator, name)]
    return whynot.automation(connection, past, here[0], fan, moment, event)


def replay(
    since: Annotated[datetime, typer.Option("--from", help="First instant, UTC.")],
    until: Annotated[
        datetime | None, typer.Option("--to", help="First instant after it, UTC; default: now.")
    ] = None,
    creator: Annotated[
        list[str] | None, typer.Option("--creator", "-c", help="Whose; default: everybody's.")
    ] = None,
    folder: Folder = None,
    machine: Machine = False,
) -> None:
    """Decide a period again, automations and campaigns; exit code 1 when live decided otherwise."""
    from huntaze_pipeline.errors import NotFoundError
    from huntaze_pipeline.rehearsal import backtest, rulings
    from huntaze_pipeline.rehearsal import replay as room
    from huntaze_pipeline.rulebook.policies import load_policies

    start, end = _utc(since), _utc(until) if until else _now()
    if end <= start:
        raise typer.BadParameter(f"--to {end.isoformat()} is not after --from {start.isoformat()}")
    with _looking() as (connection, past, settings):
        names = backtest.creators(past, creator or None)
        if not names:
            raise NotFoundError("there is no such creator; see `huntaze creators list`")
        policies = load_policies(folder or settings.rules_dir)
        decisions = []
        for name in names:
            past.creators = [name]
            past.open(end)
            known = rulings.of(connection, name, policies)
            decisions.append(room.run(connection, past, name, known, start, end))
    if machine:
        typer.echo(_json([asdict(one) | {"identical": one.identical} for one in decisions]))
    else:
        typer.echo("\n".join(one.text() for one in decisions))
    if not all(one.identical for one in decisions):
        raise typer.Exit(1)


@contextmanager
def _looking() -> "Iterator[tuple[Connection, Past, Settings]]":
    """Open PostgreSQL and the lake for reading."""
    from huntaze_pipeline.local import stack
    from huntaze_pipeline.rehearsal.past import Past
    from huntaze_pipeline.settings import load
    from huntaze_pipeline.store.session import Store
    from huntaze_pipeline.warehouse import lake

    with stack.services(load(), need=("postgres",)) as settings:
        store = Store(settings)
        store.probe()
        with lake.connect(settings) as con, store.worker() as connection:
            yield connection, Past(con, []), settings


def _utc(at: datetime) -> datetime:
    return at.replace(tzinfo=UTC) if at.tzinfo is None else at.astimezone(UTC)


def _now() -> datetime:
    from huntaze_pipeline.clock import system_clock

    return system_clock()


def _json(value: Any) -> str:
    return json.dumps(value, default=_plain, ensure_ascii=False, indent=2)


def _plain(value: Any) -> Any:
    return value.isoformat() if isinstance(value, date | datetime) else str(value)
