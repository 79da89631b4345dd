"""One file, read through one mapping, as temporary tables: what is good, and what is held back.

`rows` types every source row and finds its faults; `_events`, `_lines` and `_records`, made here,
have what can be kept. Nothing leaves the connection: `importer` decides what becomes of it.
"""

from dataclasses import dataclass

from duckdb import DuckDBPyConnection

from huntaze_pipeline.events import rows, shape, sifting
from huntaze_pipeline.events.field import Field
from huntaze_pipeline.events.mapping import Mapping
from huntaze_pipeline.events.parts import EventSpec
from huntaze_pipeline.events.projection import Scope
from huntaze_pipeline.events.rows import Reading
from huntaze_pipeline.quality.sieve import Holding
from huntaze_pipeline.sql import quoted

COLUMNS = ("platform", "account_id", "campaign_id", "message_id", "occurred_at", "properties")
_GOOD = "_rows anti join _held using (_row)"


@dataclass(frozen=True, slots=True)
class Staged:
    """How many source rows there are and how many of them are held back."""

    rows: int
    rejected: int
    sifted: Holding
    """What of the rest the suite held back, by expectation."""


def stage(con: DuckDBPyConnection, reading: Reading) -> Staged:
    """Fill the temporary tables.

    Raises:
        ImportFileError: the mapping names columns that the file does not have.
    """
    fields = rows.fields(reading.mapping)
    rows.look_up(con, reading)
    rows.fill(con, reading, fields)
    rows.hold(con, reading.mapping)
    if reading.mapping.events:
        sifted = _events(con, reading)
        _lines(con, reading)
    else:
        sifted = _records(con, reading, fields)
    row = con.execute(
        "select (select count(*) from _rows), (select count(*) from _held)"
    ).fetchone() or (0, 0)
    lost = len(reading.table.rejects)
    return Staged(int(row[0]) + lost, int(row[1]) + lost, sifted)


def _sift(con: DuckDBPyConnection, reading: Reading, made: str, one: str) -> Holding:
    """Hold back what breaks the suite, and make of `_all` the table `made` of what is kept.

    First what can be said of a row alone: of two rows with one key, the good one is kept. Then what
    is said of rows together, among those that are left.
    """
    arrival = sifting.Arrival(reading.creator_id, reading.now, "import")
    key = sifting.KEY if made == "_events" else ("creator_id", "id")
    found = sifting.staged(con, "_all", reading.suite.rowwise(), arrival)
    _keep(con, reading, made, one, found)
    together = reading.suite.together(key)
    if not together.expectations:
        return found
    more = sifting.staged(con, made, together, arrival)
    if more.rows:
        _keep(con, reading, made, one, more)
    return Holding(found.rows + more.rows, found.by | more.by)


def _keep(con: DuckDBPyConnection, reading: Reading, made: str, one: str, holding: Holding) -> None:
    if holding.rows:
        rows.hold(con, reading.mapping)
        con.execute("delete from _all where _row in (select _row from _held)")
    con.execute(f"create or replace temp table {made} as select * from _all {one}")


def _events(con: DuckDBPyConnection, reading: Reading) -> Holding:
    """Make `_events`: one row per event, `_n` source rows behind it."""
    parts = " union all ".join(
        _event(spec, n, reading) for n, spec in enumerate(reading.mapping.events)
    )
    con.execute(f"create or replace temp table _all as {parts}")
    one = "qualify row_number() over (partition by event_id order by _row) = 1"
    return _sift(con, reading, "_events", one)


def _event(spec: EventSpec, number: int, reading: Reading) -> str:
    mapping = reading.mapping
    fields = shape.event_fields(spec, number)
    relation, counted = _GOOD, "1"
    if mapping.group_by:
        relation, counted = f"({_grouped(fields, mapping, number)})", "_n"
    scope = Scope(reading.table, mapping, reading.shift_days, grouped=True)
    sql = {f.name: f.sql(scope) if f.late(mapping) else f.alias for f in fields}
    keyed = bool(spec.key or mapping.key or mapping.group_by)
    key = f"_k{number}"
    if not keyed:
        key += f" || '#' || row_number() over (partition by _k{number} order by _row)"
    others = ", ".join(f"{sql[name]} as {name}" for name in COLUMNS)
    return (
        f"select _row, {counted if number == 0 else 0} as _n,"
        f" {sql['name']} || ':' || {key} as event_id, {sql['name']} as name,"
        f" {sql['fan_id']} as fan_id, {sql['value']} as value_micros,"
        f" {sql['currency']} as currency, {others} from {relation}"
    )


def _grouped(fields: list[Field], mapping: Mapping, number: int) -> str:
    groups = ", ".join(f"_g{n}" for n in range(len(mapping.group_by)))
    folded = [f"{f.folded()} as {f.alias}" for f in fields if not f.late(mapping)]
    key = [f"min(_k{number}) as _k{number}"] if number >= 0 else []
    parts = ", ".join(["min(_row) as _row", "count(*) as _n", *key, *folded])
    return f"select {groups}, {parts} from {_GOOD} group by {groups}"


def _lines(con: DuckDBPyConnection, reading: Reading) -> None:
    """Make `_lines`: the rows of each basket, numbered as they lie in the file."""
    mapping = reading.mapping
    if mapping.lines is None:
        con.execute("create or replace temp view _lines as select '' as event_id")
        return
    name = mapping.events[0].name
    con.execute(
        "create or replace temp view _lines as select"
        f" {quoted(str(name))} || ':' || _k0 as event_id,"
        " row_number() over (partition by _k0 order by _row) as line, l_item_id as item_id,"
        " l_quantity as quantity, l_value as value_micros, l_discount as discount_micros,"
        f" l_properties as properties from {_GOOD}"
    )


def _records(con: DuckDBPyConnection, reading: Reading, fields: list[Field]) -> Holding:
    """Make `_records`: fans, campaigns or costs, one row per id."""
    mapping = reading.mapping
    relation = f"({_grouped(fields, mapping, -1)})" if mapping.group_by else _GOOD
    counted = "_n" if mapping.group_by else "1"
    scope = Scope(reading.table, mapping, reading.shift_days, grouped=True)
    columns = ", ".join(
        f"{f.sql(scope)} as {f.alias}" if f.late(mapping) else f.alias for f in fields
    )
    con.execute(
        f"create or replace temp table _all as select _row, {counted} as _n, {columns}"
        f" from {relation}"
    )
    one = "qualify row_number() over (partition by r_id order by _row desc) = 1"
    return _sift(con, reading, "_records", one)
