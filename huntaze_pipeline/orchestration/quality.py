"""A data contract's outcome as Dagster shows it. The contract itself is `warehouse.quality`'s."""

from pathlib import Path

import dagster as dg
import duckdb

from huntaze_pipeline.warehouse import quality

SAMPLE = 100_000
_NEWEST = f"""
    select creator_id, event_id, name, fan_id, occurred_at, value_micros, currency
    from lake.raw.events where arrival = (select max(arrival) from lake.raw.events)
    limit {SAMPLE}
"""


def newest(lake: duckdb.DuckDBPyConnection, models_dir: Path) -> dg.AssetCheckResult:
    """Check the newest arrival of events against its suite."""
    frame = lake.sql(_NEWEST).pl()
    results = quality.validate(frame, quality.load(models_dir / "quality" / "events.yaml"))
    failed = [result for result in results if not result.success]
    return dg.AssetCheckResult(
        passed=not failed,
        metadata={
            "rows": frame.height,
            "expectations": len(results),
            "failed": [f"{r.name} on {r.column}: {r.unexpected} rows" for r in failed],
            "examples": [example for r in failed for example in r.examples],
        },
    )
