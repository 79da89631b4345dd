"""Station one: what has happened, brought into the lake. Files arrive by `huntaze ingest`."""

import dagster as dg

from huntaze_pipeline.orchestration import quality
from huntaze_pipeline.orchestration.factory import WRITERS, freshness, key
from huntaze_pipeline.orchestration.resources import Rooms
from huntaze_pipeline.warehouse import declarations, lake, mirror, pull, raw

OWNER = ["team:data"]
COPIED = (*raw.COPIES, *raw.DECLARED, "clock")


@dg.asset(
    key=key("raw.events"),
    description="Every event, once: pulled from the inbox in the order of arrival, or imported.",
    group_name="raw",
    owners=OWNER,
    kinds={"postgres", "duckdb"},
    tags={"layer": "raw"},
    freshness_policy=freshness("2h"),
    pool=WRITERS,
)
def events(rooms: Rooms) -> dg.MaterializeResult:
    """Bring what is new in the inbox into the lake, exactly once."""
    with rooms.lake() as con:
        pulled = pull.inbox(rooms.store, con)
        (rows,) = con.execute("select count(*) from lake.raw.events").fetchone() or (0,)
    return dg.MaterializeResult(
        metadata={
            "dagster/row_count": rows,
            "new": pulled.rows,
            "known": pulled.known,
            "held": pulled.held,
        }
    )


@dg.multi_asset(
    name="operational_copies",
    specs=[
        dg.AssetSpec(
            key(f"raw.{table}"),
            description=f"The operational table {table} as of the start of the build.",
            group_name="raw",
            owners=OWNER,
            kinds={"postgres", "duckdb"},
            tags={"layer": "raw"},
            deps=[key("raw.events")],
            freshness_policy=freshness("2h"),
        )
        for table in COPIED
    ],
    pool=WRITERS,
)
def copies(rooms: Rooms):
    """Copy the operational tables, the build's clock and what rules/ declare."""
    now = rooms.clock()
    declared = declarations.load(rooms.settings.rules_dir)
    with rooms.lake() as con:
        lake.write(con, lambda: mirror.refresh(con, now, declared))
        for table in COPIED:
            (rows,) = con.execute(f"select count(*) from lake.raw.{table}").fetchone() or (0,)
            yield dg.MaterializeResult(
                asset_key=key(f"raw.{table}"), metadata={"dagster/row_count": rows}
            )


lines = dg.AssetSpec(
    key("raw.lines"),
    description="The lines of purchases (items, quantities, discounts), written by imports.",
    group_name="raw",
    owners=OWNER,
    kinds={"duckdb"},
    tags={"layer": "raw"},
)


@dg.asset_check(
    asset=key("raw.events"),
    name="new_events_meet_their_contract",
    description="What arrived since the last look, against its suite (Great Expectations).",
)
def contract(rooms: Rooms) -> dg.AssetCheckResult:
    """Judge what the gate has let into the lake; 100,000 rows of it where there are more."""
    with rooms.lake() as con:
        return quality.arrivals(con, rooms.store, rooms.settings.models_dir, rooms.clock())


@dg.asset_check(
    asset=key("raw.events"),
    name="nothing_waits_in_the_quarantine",
    description="Rows that the gate held back and nobody has replayed or dropped yet.",
)
def held(rooms: Rooms) -> dg.AssetCheckResult:
    """Count what waits, by reason; a warning, for the rest went on without it."""
    return quality.waiting(rooms.store)
