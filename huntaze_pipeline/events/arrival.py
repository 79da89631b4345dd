"""The order in which events come into the lake: one batch after the other, numbered.

Whoever appends to `raw.events` holds `turn` from before it asks for a number until its lake
transaction has committed. So numbers rise in the order of commit, and a reader that has seen batch
n never misses a batch below n.
"""

from collections.abc import Iterator
from contextlib import contextmanager

from duckdb import DuckDBPyConnection
from sqlalchemy import text

from huntaze_pipeline.store.session import Store

_TURN = 0x4C414E44  # "LAND"


@contextmanager
def turn(store: Store) -> Iterator[None]:
    """Wait until no other process appends to `raw.events`, and hold that place.

    The PostgreSQL transaction behind it writes nothing, so it holds back no reader of the inbox.
    """
    with store.worker() as connection:
        connection.execute(text("select pg_advisory_xact_lock(:key)"), {"key": _TURN})
        yield


def following(con: DuckDBPyConnection) -> int:
    """Take the next batch number, inside the caller's lake transaction."""
    row = con.execute("select tx from lake.raw.cursors where name = 'arrival'").fetchone()
    if row is None:
        con.execute("insert into lake.raw.cursors values ('arrival', 1, 0)")
        return 1
    con.execute("update lake.raw.cursors set tx = tx + 1 where name = 'arrival'")
    return int(row[0]) + 1
