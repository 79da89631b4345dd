"""`huntaze segments …`: arguments in, text out."""

import json
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from huntaze_pipeline.commands.tenant import Creator, Machine, tenant

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from huntaze_pipeline.rulebook.live import LiveSegment

segments = typer.Typer(
    name="segments", help="Segments: preview, sizes, members, history, export.",
    no_args_is_help=True,
)  # fmt: skip
At = Annotated[datetime | None, typer.Option(help="As of this moment (UTC unless it has a zone).")]
Known = Annotated[str, typer.Argument(help="The segment's id; `huntaze segments list`.")]


def register(app: typer.Typer) -> None:
    """Add this room's commands."""
    app.add_typer(segments)


def _moment(at: datetime | None) -> datetime | None:
    from datetime import UTC

    return at.replace(tzinfo=UTC) if at is not None and at.tzinfo is None else at


@segments.command("list")
def list_segments(creator: Creator, machine: Machine = False) -> None:
    """Show a creator's segments with their sizes as of the last refresh."""
    from sqlalchemy import select

    from huntaze_pipeline.store.segments import Segment

    with tenant(creator) as (connection, _):
        columns = (Segment.id, Segment.name, Segment.size, Segment.refreshed_at)
        mine = select(*columns).where(Segment.creator_id == creator).order_by(Segment.id)
        rows = [row._asdict() for row in connection.execute(mine)]
    if machine:
        typer.echo(json.dumps(rows, default=str))
        return
    for row in rows:
        typer.echo(
            f"{row['id']:<24} {row['size']:>10,}  {row['refreshed_at'] or 'not yet refreshed'}"
        )


@segments.command()
def refresh(
    creator: Annotated[
        str | None, typer.Option("--creator", help="Only this creator's segments.")
    ] = None,
    full: Annotated[
        bool,
        typer.Option("--full", help="Ask every fan, not only those of whom something changed."),
    ] = False,
    machine: Machine = False,
) -> None:
    """Evaluate the segments now, over the facts as of the last `models build`."""
    from huntaze_pipeline.clock import system_clock
    from huntaze_pipeline.local import stack
    from huntaze_pipeline.orchestration import ticks
    from huntaze_pipeline.settings import load
    from huntaze_pipeline.store.session import Store
    from huntaze_pipeline.warehouse import lake

    if creator is not None:
        with tenant(creator):
            pass
    with stack.services(load(), need=("postgres",)) as ready, lake.connect(ready) as con:
        only = [creator] if creator else None
        wrong: list[str] = []
        deltas = ticks.refresh(
            Store(ready), con, system_clock(), only, whole=full, tell=wrong.append
        )
    if machine:
        rows = [{"creator_id": d.creator_id, "segment_id": d.segment_id, "size": d.size,
                 "entered": len(d.came), "left": len(d.went)} for d in deltas]  # fmt: skip
        typer.echo(json.dumps(rows))
    for d in [] if machine else deltas:
        name = f"{d.creator_id}/{d.segment_id}"
        typer.echo(f"{name:<40} {d.size:>10,}  +{len(d.came):,} -{len(d.went):,}")
    for sentence in wrong:
        typer.echo(sentence, err=True)
    if wrong:
        raise typer.Exit(1)


@segments.command()
def preview(
    segment: Annotated[str, typer.Argument(help="A segment's id, or a rule file: vip.yaml.")],
    creator: Creator,
    sample: Annotated[int, typer.Option(min=0, max=1000, help="Fans to show.")] = 10,
    machine: Machine = False,
) -> None:
    """Show what a segment would hold now: size, some fans, overlap; nothing is changed.

    A file is taken as it is, applied or not; segments that it names are the live ones.
    """
    from dataclasses import asdict

    from huntaze_pipeline.audience import preview as room
    from huntaze_pipeline.clock import system_clock
    from huntaze_pipeline.rulebook import live, selection
    from huntaze_pipeline.warehouse import lake

    now = system_clock()
    with tenant(creator) as (connection, ready), lake.connect(ready, read_only=True) as con:
        rules = {found.id: found for found in live.segments(connection, [creator])}
        name = segment
        if Path(segment).suffix in (".yaml", ".yml", ".json"):
            name, rules[Path(segment).stem] = Path(segment).stem, _file(Path(segment), creator)
        wanted = selection.selections(list(rules.values()), now)
        found = room.preview(connection, con, creator, wanted, name, now, sample)
    if machine:
        typer.echo(json.dumps(asdict(found), default=str))
        return
    _show(found)


def _file(path: Path, creator: str) -> "LiveSegment":
    """Read one segment from its file.

    Raises:
        RuleError: it has faults; all of them are in it.
    """
    from huntaze_pipeline.errors import RuleError
    from huntaze_pipeline.rulebook import live, loader
    from huntaze_pipeline.rulebook.schema import Segment

    rule, problems = loader.one("segments", path)
    if problems or not isinstance(rule, Segment):
        raise RuleError(problems)
    return live.LiveSegment(creator, path.stem, rule)


def _show(found: Any) -> None:
    share = f" ({found.size / found.fans:.1%})" if found.fans else ""
    typer.echo(f"{found.size:,} of {found.fans:,} fans{share}")
    typer.echo(f"against the live segment: {found.entering:,} would enter, {found.leaving:,} leave")
    for other in found.overlaps:
        if other.shared:
            typer.echo(f"  shares {other.shared:>9,} with {other.segment_id} ({other.size:,})")
    for row in found.sample:
        typer.echo("  " + "  ".join(str(value) for value in row.values() if value is not None))


def _evaluated(connection: "Connection", creator: str, segment: str) -> None:
    """Say on stderr that a segment is empty because nobody has evaluated it yet."""
    from huntaze_pipeline.audience import history as room

    if not room.versions(connection, creator, segment):
        what = f"{segment} is not evaluated yet; `huntaze segments refresh` does it now"
        typer.echo(what, err=True)


@segments.command()
def members(segment: Known, creator: Creator, at: At = None) -> None:
    """Print the ids of a segment's fans, one a line."""
    from huntaze_pipeline.audience import segments as room

    with tenant(creator) as (connection, _):
        room.require(connection, creator, segment)
        for fan in room.members(connection, creator, segment, _moment(at)):
            typer.echo(fan)
        _evaluated(connection, creator, segment)


@segments.command()
def history(segment: Known, creator: Creator, machine: Machine = False) -> None:
    """Show a segment's definitions with their times, and who came and went, day by day (UTC)."""
    from dataclasses import asdict

    from huntaze_pipeline.audience import history as room
    from huntaze_pipeline.audience import segments as audience

    with tenant(creator) as (connection, _):
        audience.require(connection, creator, segment)
        versions = room.versions(connection, creator, segment)
        days = room.days(connection, creator, segment)
        _evaluated(connection, creator, segment)
    if machine:
        document = {"versions": [asdict(v) for v in versions], "days": [asdict(d) for d in days]}
        typer.echo(json.dumps(document, default=str))
        return
    for version in versions:
        what = json.dumps(version.criteria.get("where") or {"fans": "a list"}, ensure_ascii=False)
        typer.echo(f"{version.live_at:%Y-%m-%d %H:%M:%SZ}  {version.rule_hash}  {what}")
    for day in days:
        typer.echo(f"{day.day}  +{day.entered:,} -{day.left:,}  {day.size:,}")


@segments.command()
def export(
    segment: Known,
    target: Annotated[str, typer.Argument(help="A .csv, .parquet or .jsonl file, or s3://…")],
    creator: Creator,
    columns: Annotated[
        str, typer.Option(help="Comma-separated; an unknown one tells which there are.")
    ] = "fan_id,name,locale,entered_at",
    at: At = None,
) -> None:
    """Write a segment's members to a file, here or on S3."""
    from contextlib import nullcontext

    from huntaze_pipeline.audience import export as room
    from huntaze_pipeline.audience import segments as audience
    from huntaze_pipeline.warehouse import lake

    chosen = [name.strip() for name in columns.split(",") if name.strip()]
    with tenant(creator) as (connection, ready):
        audience.require(connection, creator, segment)
        asks = any(name in room.FACTS for name in chosen)
        with lake.connect(ready, read_only=True) if asks else nullcontext() as con:
            count = room.export(
                connection, creator, segment, target, chosen, _moment(at),
                lake=con, endpoint_url=ready.aws_endpoint_url,
            )  # fmt: skip
    typer.echo(f"{count} fans written to {target}")
