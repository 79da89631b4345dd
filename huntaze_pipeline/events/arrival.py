"""The order in which events come into the lake: one batch after the other, numbered.

Whoever appends to `raw.events` holds `turn` from before it asks for a number until its lake
transaction has committed. So numbers rise in the order of commit, and a reader that has seen batch
n never misses a batch below n.
"""

from collections.abc import Iterator
from contextlib import contextmanager

from duckdb import DuckDBPyConnection
from sqlalchemy import text

from huntaze_pipeline.sql import quoted
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


ABOUT = "message_at, message_sent_at, message_source, message_source_id, variant_id"
"""What an event carries of the message it is about: nothing has to look it up later."""


def about(con: DuckDBPyConnection, rows: str, creator: str | None = None) -> None:
    """Make the temp table `about`: what is known of the messages that `rows` speak of.

    Args:
        con: the lake, with PostgreSQL attached as `ops`.
        rows: a table of events.
        creator: whose all of them are, where no column says it. They come from a file then, and
            PostgreSQL is asked for messages newer than the lake's copy, which is as old as the last
            build; rows of the inbox were joined to those already.
    """
    con.execute(
        "create or replace temp table about (creator_id varchar, message_id varchar,"
        " message_at timestamptz, message_sent_at timestamptz, message_source varchar,"
        " message_source_id varchar, variant_id varchar)"
    )
    if con.execute(f"select 1 from {rows} where message_id is not null limit 1").fetchone():
        told = "creator_id, id, decided_at, sent_at, source, source_id, variant_id"
        wanted = f"id in (select message_id from {rows})"
        if creator is not None:
            news = _changed(con, told, creator)
            con.execute(f"insert into about select {told} from ({news}) where {wanted}")
        con.execute(
            f"insert into about select {told} from lake.raw.messages where {wanted}"
            " and (creator_id, id) not in (select (creator_id, message_id) from about)"
        )
        _sent(con, rows, "creator_id" if creator is None else quoted(creator))


def _changed(con: DuckDBPyConnection, columns: str, creator: str) -> str:
    """Return SQL for a creator's messages that were written after the lake's copy was made."""
    row = con.execute("select tx from lake.raw.cursors where name = 'mirror.messages'").fetchone()
    query = f"select {columns} from public.messages where creator_id = {quoted(creator)}"
    query += f" and tx >= {row[0] if row else 0}"
    return f"from postgres_query('ops', {quoted(query)})"


def _sent(con: DuckDBPyConnection, rows: str, creator: str) -> None:
    """Add to `about` when messages that are not ours were sent, as events say so.

    Nobody asks but opens and clicks, of messages whose sending is not known. A machine is told by
    seconds, so only the day before them is looked through, not all history.
    """
    con.execute(
        f"create or replace temp table asked as select {creator} as creator_id, message_id,"
        " min(occurred_at) - interval 1 day as since, max(occurred_at) as until"
        f" from {rows} where name in ('opened', 'clicked') and message_id is not null"
        " and message_id not in (select message_id from about) group by all"
    )
    since, until = con.execute("select min(since), max(until) from asked").fetchone() or (
        None,
        None,
    )
    if since is not None:
        condition = f"name = 'sent' and occurred_at between '{since}'::timestamptz and '{until}'"
        con.execute(
            "insert into about by name select s.creator_id, s.message_id,"
            " min(s.occurred_at) as message_sent_at from (select creator_id, message_id,"
            f" occurred_at from lake.raw.events where {condition} union all select {creator},"
            f" message_id, occurred_at from {rows} where {condition}) s join asked a"
            " on a.creator_id = s.creator_id and a.message_id = s.message_id"
            " and s.occurred_at between a.since and a.until group by s.creator_id, s.message_id"
        )
