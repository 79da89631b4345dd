"""Whose data a command works on: one creator, or all of them."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from huntaze_pipeline.settings import Settings


@contextmanager
def working(
    settings: "Settings", creators: Sequence[str] | None
) -> "Iterator[tuple[Connection, list[str]]]":
    """Open one transaction for some creators (None: all), and say for whom.

    Raises:
        NotFoundError: one of them does not exist.
    """
    from sqlalchemy import select

    from huntaze_pipeline.errors import NotFoundError
    from huntaze_pipeline.store.people import Creator
    from huntaze_pipeline.store.session import Store

    store = Store(settings)
    opened = store.tenant(creators[0]) if creators and len(creators) == 1 else store.worker()
    with opened as connection:
        known = list(connection.execute(select(Creator.id).order_by(Creator.id)).scalars())
        for name in creators or ():
            if name not in known:
                what = f"there is no creator {name!r}; see `huntaze creators list`"
                raise NotFoundError(what)
        yield connection, list(creators or known)
