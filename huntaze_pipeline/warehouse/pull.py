"""From the inbox to the lake: live events, each exactly once, in order of commit.

The reader's position is a row of the lake (`raw.cursors`) and moves in the same transaction as the
events: a crash at any instruction leaves both or neither.
"""

from dataclasses import dataclass

from duckdb import DuckDBPyConnection

from huntaze_pipeline.events import arrival, sifting
from huntaze_pipeline.events.inbox import Position
from huntaze_pipeline.sql import quoted
from huntaze_pipeline.store.session import Store
from huntaze_pipeline.warehouse import lake

BATCH = 200_000

_COLUMNS = (
    "creator_id, event_id, name, fan_id, platform, account_id, campaign_id, message_id,"
    " value_micros, currency, occurred_at, received_at, properties, source"
)
_READ = """
select i.tx::text::bigint as tx, i.id, i.creator_id, i.event_id, i.name, i.fan_id, i.platform,
       i.account_id, i.campaign_id, i.message_id, i.value_micros, i.currency, i.occurred_at,
       i.received_at, i.properties::text as properties, i.source,
       m.decided_at as message_at, m.sent_at as message_sent_at, m.source as message_source,
       m.source_id as message_source_id, m.variant_id
from public.inbox i
left join public.messages m on m.creator_id = i.creator_id and m.id = i.message_id
where {where} and i.tx < pg_snapshot_xmin(pg_current_snapshot())
order by i.tx, i.id limit {limit}
"""

_START = Position()


@dataclass(frozen=True, slots=True)
class Pulled:
    """What one pull brought."""

    rows: int
    """Events that are new in the lake."""
    known: int = 0
    """Events that a file import had brought before."""
    upto: Position = _START
    """Everything up to here is in the lake or in the quarantine."""
    held: int = 0
    """Rows that broke the suite and wait in the quarantine."""


def inbox(store: Store, con: DuckDBPyConnection, *, batch: int = BATCH) -> Pulled:
    """Bring every readable event of the inbox into `raw.events`, batch by batch.

    Two pullers at once take turns; the second finds nothing left.

    Raises:
        WarehouseError: the lake kept refusing the transaction.
    """
    total = Pulled(0)
    while True:
        with arrival.turn(store):
            read, pulled = lake.write(con, lambda: _batch(store, con, batch))
        total = Pulled(
            total.rows + pulled.rows, total.known + pulled.known, pulled.upto,
            total.held + pulled.held,
        )  # fmt: skip
        if read < batch:
            return total


def position(con: DuckDBPyConnection) -> Position:
    """Return how far the lake has read the inbox."""
    row = con.execute("select tx, id from lake.raw.cursors where name = 'inbox'").fetchone()
    return Position(int(row[0]), int(row[1])) if row else Position()


def _batch(store: Store, con: DuckDBPyConnection, limit: int) -> tuple[int, Pulled]:
    """Move one batch; return how many rows were read and what became of them."""
    after = position(con)
    fetch(con, f"(i.tx, i.id) > ('{after.tx}'::xid8, {after.id})", limit)
    row = con.execute(
        "select count(*), max(tx), max(id) filter (tx = (select max(tx) from pulled)) from pulled"
    ).fetchone()
    read = int(row[0]) if row else 0
    if row is None or not read:
        return 0, Pulled(0, upto=after)
    held = sifting.inbox(store, con)
    added = append(con)
    upto = Position(int(row[1]), int(row[2]))
    con.execute("delete from lake.raw.cursors where name = 'inbox'")
    con.execute(f"insert into lake.raw.cursors values ('inbox', {upto.tx}, {upto.id})")
    return read, Pulled(added, read - added - held, upto, held)


def fetch(con: DuckDBPyConnection, where: str, limit: int = BATCH) -> None:
    """Make the temporary table `pulled` of the inbox rows (`i`) that meet a condition."""
    query = quoted(_READ.format(where=where, limit=limit))
    con.execute(
        f"create or replace temp table pulled as select * from postgres_query('ops', {query})"
    )


def append(con: DuckDBPyConnection) -> int:
    """Append what no file has brought; the inbox itself holds an id once, and is read once."""
    batch = arrival.following(con)
    con.execute(
        "create or replace temp table forgotten as from pulled where message_source is null"
    )
    arrival.about(con, "forgotten")  # messages that PostgreSQL has cleaned up
    con.execute(
        f"insert into lake.raw.events by name select {_COLUMNS}, {batch} as arrival, {_about()}"
        " from pulled p anti join (select creator_id, event_id from lake.raw.events"
        " where starts_with(source, 'import:')) known using (creator_id, event_id)"
        " left join about m using (creator_id, message_id) order by tx, id"
    )
    row = con.execute(f"select count(*) from lake.raw.events where arrival = {batch}").fetchone()
    return int(row[0]) if row else 0


def _about() -> str:
    names = arrival.ABOUT.split(", ")
    return ", ".join(f"coalesce(p.{name}, m.{name}) as {name}" for name in names)
