"""`huntaze suppressions …`: lists of addresses that nobody may write to; arguments in, text out."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from huntaze_pipeline.campaigns.suppressions import Entry

suppressions = typer.Typer(
    name="suppressions",
    help="Addresses that must never be written to: a creator's, or the agency's for everybody.",
    no_args_is_help=True,
)
Creator = Annotated[str | None, typer.Option("--creator", "-c", help="Whose list; or --everybody.")]
Everybody = Annotated[
    bool, typer.Option("--everybody", help="The agency's list, which holds for every creator.")
]
Platform = Annotated[
    str | None, typer.Option("--platform", "-p", help="onlyfans, instagram, tiktok or email.")
]
Reason = Annotated[str | None, typer.Option(help="Why; messages are skipped with it.")]
Addresses = Annotated[list[str] | None, typer.Argument(help="Addresses or handles.")]
From = Annotated[
    Path | None, typer.Option("--file", help="CSV: address[,platform][,reason]; or bare lines.")
]


def register(app: typer.Typer) -> None:
    """Add this room's commands."""
    app.add_typer(suppressions)


@suppressions.command()
def add(
    addresses: Addresses = None, creator: Creator = None, everybody: Everybody = False,
    platform: Platform = None, file: From = None, reason: Reason = None,
) -> None:  # fmt: skip
    """Put addresses on a list. Messages that wait for them are skipped by the sender."""
    from huntaze_pipeline.campaigns import suppressions as room
    from huntaze_pipeline.clock import system_clock

    given = _given(addresses, platform, file, reason)
    with _list(creator, everybody) as connection:
        new = room.add(connection, creator, given, system_clock(), "cli")
    typer.echo(f"{new:,} new, {len(given) - new:,} were on the list")


@suppressions.command()
def remove(
    addresses: Addresses = None, creator: Creator = None, everybody: Everybody = False,
    platform: Platform = None, file: From = None,
) -> None:  # fmt: skip
    """Take addresses off a list."""
    from huntaze_pipeline.campaigns import suppressions as room
    from huntaze_pipeline.clock import system_clock

    given = _given(addresses, platform, file, None)
    with _list(creator, everybody) as connection:
        gone = room.remove(connection, creator, given, system_clock(), "cli")
    typer.echo(f"{gone:,} removed, {len(given) - gone:,} were not on the list")


@suppressions.command("list")
def show(
    creator: Creator = None,
    everybody: Everybody = False,
    platform: Platform = None,
    form: Annotated[str, typer.Option("--format", help="csv (which `add` reads) or json.")] = "csv",
) -> None:
    """Print a list."""
    from huntaze_pipeline.campaigns import suppressions as room

    if form not in ("csv", "json"):
        raise typer.BadParameter(f"{form!r}: csv or json")
    with _list(creator, everybody) as connection:
        entries = room.entries(connection, creator, platform)
    if form == "csv":
        typer.echo(room.written(entries), nl=False)
        return
    rows = [{"platform": e.platform, "address": e.address, "reason": e.reason,
             "created_at": e.created_at} for e in entries]  # fmt: skip
    typer.echo(json.dumps(rows, default=str, ensure_ascii=False))


def _given(
    addresses: list[str] | None, platform: str | None, file: Path | None, reason: str | None
) -> "list[Entry]":
    from huntaze_pipeline.campaigns import suppressions as room

    if not addresses and file is None:
        raise typer.BadParameter("name addresses, or a file of them with --file")
    entries = room.read(file, platform, reason) if file else []
    return entries + room.checked(addresses or [], platform or "", reason or "by hand")


@contextmanager
def _list(creator: str | None, everybody: bool) -> "Iterator[Connection]":
    """Open a transaction that sees this list.

    Raises:
        NotFoundError: there is no such creator.
    """
    from huntaze_pipeline.commands.tenant import known
    from huntaze_pipeline.local import stack
    from huntaze_pipeline.settings import load
    from huntaze_pipeline.store.session import Store

    if (creator is None) != everybody:
        raise typer.BadParameter("choose one: --creator ID or --everybody")
    with stack.services(load(), need=("postgres",)) as settings:
        store = Store(settings)
        with store.worker() if creator is None else store.tenant(creator) as connection:
            if creator is not None:
                known(connection, creator)
            yield connection
