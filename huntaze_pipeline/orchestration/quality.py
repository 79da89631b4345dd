"""Checks of data as Dagster shows them. What they find is `quality`'s and kept in `checks`."""

from collections.abc import Iterable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import duckdb
from sqlalchemy import text

from huntaze_pipeline.campaigns import inspection, launch
from huntaze_pipeline.quality import history, judge, results, suite
from huntaze_pipeline.quality.judge import Verdict
from huntaze_pipeline.rulebook.policies import Policies
from huntaze_pipeline.store.session import Store

LIBRARY = "great_expectations"
AHEAD = timedelta(days=1)
CAMPAIGNS = 20
"""Campaigns looked at, the nearest first: the library takes about a second for each."""
_WAITING = text(
    """
    select case when import_id = 'inbox' then 'inbox' else 'files' end as source, field,
           count(*) as rows, min(reason) as example
    from quarantine where state = 'open' group by 1, 2 order by rows desc, 1, 2 limit 50
    """
)


def arrivals(
    lake: duckdb.DuckDBPyConnection, store: Store, models_dir: Path, now: datetime
) -> dg.AssetCheckResult:
    """Judge what came into the lake since the last look; the newest arrival when nothing did."""
    asked = suite.load(suite.find("events", models_dir)).resolved({"now": now})
    (newest,) = lake.execute("select max(arrival) from lake.raw.events").fetchone() or (None,)
    if newest is None:
        return dg.AssetCheckResult(passed=True, metadata={"rows": 0})
    with store.worker() as connection:
        before = history.judged(connection, asked.name)
    first = before + 1 if 0 < before < newest else newest
    verdict = judge.judge(lake, f"(select * from lake.raw.events where arrival >= {first})", asked)
    about = history.Subject(None, asked.name, f"arrival:{first}-{newest}", LIBRARY)
    with store.worker() as connection:
        history.keep(connection, about, verdict.results, now)
    return told([(f"arrivals {first} to {newest}", verdict)])


def audiences(
    store: Store, policies: Policies, models_dir: Path, now: datetime
) -> dg.AssetCheckResult:
    """Judge the audiences of the campaigns that are due within a day."""
    asked = suite.load(suite.find("audience", models_dir))
    verdicts: list[tuple[str, Verdict]] = []
    with store.worker() as connection:
        for campaign in launch.coming(connection, now + AHEAD)[:CAMPAIGNS]:
            verdict = inspection.judged(connection, campaign, policies, now, asked)
            about = history.Subject(
                campaign.creator_id, asked.name, inspection.subject(campaign), LIBRARY
            )
            history.keep(connection, about, verdict.results, now)
            verdicts.append((f"{campaign.creator_id}/{campaign.id}", verdict))
    return told(verdicts)


def waiting(store: Store) -> dg.AssetCheckResult:
    """Count the open rows of the quarantine by what is wrong with them; warn when there are any."""
    with store.worker() as connection:
        rows = connection.execute(_WAITING).all()
    lines = [f"| {r.source} | {r.field} | {r.rows:,} | {_cell(r.example)} |" for r in rows]
    table = "\n".join(["| from | field | rows | such as |", "|---|---|---|---|", *lines])
    return dg.AssetCheckResult(
        passed=not rows,
        severity=dg.AssetCheckSeverity.WARN,
        metadata={"rows": sum(r.rows for r in rows), "reasons": dg.MetadataValue.md(table)},
    )


def told(found: Iterable[tuple[str, Verdict]]) -> dg.AssetCheckResult:
    """Put verdicts together: an error fails the check, a warning warns, a dispute is an error."""
    verdicts = list(found)
    every = [(name, r) for name, verdict in verdicts for r in verdict.results]
    failed = [(name, r) for name, r in every if not r.success]
    disputed = [d for _, verdict in verdicts for d in verdict.disputed]
    errors = disputed or any(r.severity == "error" for _, r in failed)
    severity = dg.AssetCheckSeverity.ERROR if errors else dg.AssetCheckSeverity.WARN
    metadata: dict[str, Any] = {
        "rows": sum(v.rows for _, v in verdicts),
        "judged": sum(v.judged for _, v in verdicts),
        "expectations": len(every),
        "failed": dg.MetadataValue.md(_table(failed)),
    }
    if disputed:
        metadata["gate and library disagree"] = disputed
    return dg.AssetCheckResult(
        passed=not failed and not disputed, severity=severity, metadata=metadata
    )


def _table(failed: list[tuple[str, results.Result]]) -> str:
    lines = [
        f"| {name} | {r.severity} | {r.expectation} | {r.unexpected:,} of {r.rows:,} |"
        f" {_cell(', '.join(r.examples))} | {_cell(r.meaning)} |"
        for name, r in failed
    ]
    head = ["| batch | severity | expectation | rows | such as | meaning |", "|" + "---|" * 6]
    return "\n".join([*head, *lines]) if lines else "none"


def _cell(value: str) -> str:
    """Keep a value from ending the table that it is shown in."""
    return " ".join(value.replace("|", "\\|").split())[:200]
