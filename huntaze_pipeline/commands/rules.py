"""`huntaze rules …` and `huntaze segments …`: arguments in, text out."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from sqlalchemy import Connection

rules = typer.Typer(name="rules", help="Rule files: check, preview, apply.", no_args_is_help=True)
segments = typer.Typer(
    name="segments", help="Segments: sizes, members, export.", no_args_is_help=True
)
Folder = Annotated[
    Path | None, typer.Option("--rules", help="Another folder than HUNTAZE_RULES_DIR or ./rules.")
]
Creator = Annotated[str, typer.Option("--creator", help="The creator's id.")]


def register(app: typer.Typer) -> None:
    """Add this room's commands."""
    app.add_typer(rules)
    app.add_typer(segments)


def _folder(given: Path | None) -> Path:
    from huntaze_pipeline.settings import load

    return given or load().rules_dir


@contextmanager
def _tenant(creator: str) -> "Iterator[Connection]":
    """Open a transaction that sees this creator only.

    Raises:
        NotFoundError: there is no such creator.
    """
    from huntaze_pipeline.errors import NotFoundError
    from huntaze_pipeline.local import stack
    from huntaze_pipeline.rulebook import registry
    from huntaze_pipeline.settings import load
    from huntaze_pipeline.store.session import Store

    ready = stack.services(load(), need=("postgres",))
    with ready as settings, Store(settings).tenant(creator) as connection:
        if not registry.exists(connection, creator):
            raise NotFoundError(f"there is no creator {creator!r}; see `huntaze creators list`")
        yield connection


@rules.command()
def check(
    folder: Folder = None,
    form: Annotated[str, typer.Option("--format", help="text, json or github.")] = "text",
) -> None:
    """Find every fault of every rule file, each with its line. Exit code 2 when there is one."""
    from huntaze_pipeline.rulebook import loader, report

    if form not in report.FORMATS:
        raise typer.BadParameter(f"{form!r}: one of {', '.join(report.FORMATS)}")
    draft = loader.drafted(_folder(folder))
    text = report.render(draft.problems, form)
    if text:
        typer.echo(text)
    if draft.problems:
        count = len(draft.problems)
        typer.secho(f"{count} problem{'s'[: count > 1]}", err=True, fg="red")
        raise typer.Exit(2)
    if form == "text":
        counts = ", ".join(f"{len(items)} {kind}" for kind, items in draft.rules.items())
        typer.echo(f"all right: {counts}")


@rules.command()
def schema(
    folder: Folder = None,
    verify: Annotated[
        bool, typer.Option("--check", help="Write nothing; say what is stale.")
    ] = False,
) -> None:
    """Write the JSON Schemas of rule files into rules/schema, for editors."""
    from huntaze_pipeline.rulebook import schemas

    names = schemas.stale(_folder(folder)) if verify else schemas.write(_folder(folder))
    for name in names:
        typer.echo(f"{'stale' if verify else 'written'}: schema/{name}")
    if verify and names:
        raise typer.Exit(1)


@rules.command()
def preview(
    template: str,
    platform: Annotated[
        str, typer.Option(help="onlyfans, instagram, tiktok or email.")
    ] = "onlyfans",
    locale: Annotated[str, typer.Option(help="en, fr, es, …")] = "en",
    name: Annotated[str | None, typer.Option(help="The fan's name.")] = None,
    folder: Folder = None,
    machine: Annotated[bool, typer.Option("--json", help="For machines.")] = False,
) -> None:
    """Show a template as a sample fan would read it."""
    from huntaze_pipeline.rulebook import loader
    from huntaze_pipeline.rulebook import preview as room

    fan = {"name": name, "first_name": name.split()[0]} if name and name.strip() else None
    shown = room.preview(loader.load(_folder(folder)), template, platform, locale, fan=fan)
    if machine:
        text = {"subject": shown.subject, "body": shown.body, "locale": shown.locale}
        typer.echo(json.dumps(text, ensure_ascii=False))
        return
    if shown.subject:
        typer.secho(f"Subject: {shown.subject}\n", bold=True)
    typer.echo(shown.body)


@rules.command()
def apply(
    creator: Creator,
    folder: Folder = None,
    machine: Annotated[bool, typer.Option("--json", help="For machines.")] = False,
) -> None:
    """Make the rule files live for a creator, all in one transaction."""
    from huntaze_pipeline.clock import system_clock
    from huntaze_pipeline.rulebook import loader, registry

    rulebook = loader.load(_folder(folder))
    with _tenant(creator) as connection:
        applied = registry.apply(connection, creator, rulebook, system_clock())
    if machine:
        typer.echo(json.dumps(vars(applied)))
        return
    for what, names in vars(applied).items():
        if names and what != "unchanged":
            typer.echo(f"{what}: {', '.join(names)}")
    typer.echo(f"unchanged: {len(applied.unchanged)}")


@segments.command("list")
def list_segments(
    creator: Creator,
    machine: Annotated[bool, typer.Option("--json", help="For machines.")] = False,
) -> None:
    """Show a creator's segments with their sizes as of the last refresh."""
    from sqlalchemy import select

    from huntaze_pipeline.store.planning import Segment

    with _tenant(creator) as connection:
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
def members(
    segment: str,
    creator: Creator,
    at: Annotated[datetime | None, typer.Option(help="As of this moment (UTC).")] = None,
) -> None:
    """Print the ids of a segment's fans, one a line."""
    from datetime import UTC

    from huntaze_pipeline.audience import segments as room

    moment = at.replace(tzinfo=UTC) if at else None
    with _tenant(creator) as connection:
        for fan in room.members(connection, creator, segment, moment):
            typer.echo(fan)


@segments.command()
def export(
    segment: str,
    path: Path,
    creator: Creator,
    columns: Annotated[
        str, typer.Option(help="Comma-separated.")
    ] = "fan_id,name,locale,entered_at",
) -> None:
    """Write a segment's members to a .csv or .parquet file."""
    from huntaze_pipeline.audience.export import export as write

    chosen = [name.strip() for name in columns.split(",") if name.strip()]
    with _tenant(creator) as connection:
        count = write(connection, creator, segment, path, chosen)
    typer.echo(f"{count} fans written to {path}")
