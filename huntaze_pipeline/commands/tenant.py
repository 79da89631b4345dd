"""The options of commands that are about one creator, and the transaction that sees only it."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from huntaze_pipeline.settings import Settings

Creator = Annotated[str, typer.Option("--creator", "-c", help="The creator's id.")]
Machine = Annotated[bool, typer.Option("--json", help="For machines.")]


@contextmanager
def tenant(creator: str) -> "Iterator[tuple[Connection, Settings]]":
    """Open a transaction that sees this creator only.

    Raises:
        NotFoundError: there is no such creator.
    """
    from huntaze_pipeline.local import stack
    from huntaze_pipeline.settings import load
    from huntaze_pipeline.store.session import Store

    ready = stack.services(load(), need=("postgres",))
    with ready as settings, Store(settings).tenant(creator) as connection:
        known(connection, creator)
        yield connection, settings


def known(connection: "Connection", creator: str) -> None:
    """Make sure that there is such a creator: nothing else is missing then.

    Raises:
        NotFoundError: there is none.
    """
    from huntaze_pipeline.errors import NotFoundError
    from huntaze_pipeline.rulebook import registry

    if not registry.exists(connection, creator):
        raise NotFoundError(f"there is no creator {creator!r}; see `huntaze creators list`")
