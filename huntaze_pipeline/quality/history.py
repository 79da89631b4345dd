"""What checks found, kept in the table `checks`, so that one can ask how it was before."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, text

from huntaze_pipeline import hashing
from huntaze_pipeline.quality.results import Result
from huntaze_pipeline.quality.sieve import Holding
from huntaze_pipeline.quality.suite import Suite

WHOLE = "rows held back"
"""Stands for the expectation in the line that says how many rows there were, and how many held."""
_KEEP = """
insert into checks (id, creator_id, suite, subject, judge, expectation, severity, success, rows,
                    unexpected, examples, at)
select * from jsonb_to_recordset(cast(:rows as jsonb)) as x(
    id text, creator_id text, suite text, subject text, judge text, expectation text,
    severity text, success boolean, rows bigint, unexpected bigint, examples jsonb,
    at timestamptz)
on conflict (id) do update set success = excluded.success, rows = excluded.rows,
    unexpected = excluded.unexpected, examples = excluded.examples, at = excluded.at
"""
_LIST = """
select creator_id, suite, subject, judge, expectation, severity, success, rows, unexpected,
       examples, at
from checks
where (cast(:suite as text) is null or suite = :suite) and not (:failed and success)
order by at desc, suite, subject, expectation limit :limit
"""
_JUDGED = """
select max(split_part(subject, '-', 2)::bigint) from checks
where suite = :suite and judge = 'great_expectations' and subject like 'arrival:%'
"""


@dataclass(frozen=True, slots=True)
class Subject:
    """What was checked, and by whom."""

    creator_id: str | None
    """None: a batch of several creators, which only the machinery sees."""
    suite: str
    name: str
    """import:<id> | inbox:<tx>:<id> | arrival:<n>-<n> | campaign:<id>:<occurrence> | file:<name>"""
    judge: str
    """gate | great_expectations"""


def held(suite: Suite, holding: Holding, rows: int) -> list[Result]:
    """Return the results of a gate: one for the batch, and one for everything that held rows."""
    by_name = {e.name: e for e in suite.expectations}
    whole = Result(WHOLE, "", "error", not holding.rows, rows, holding.rows)
    return [whole] + [
        Result(name, ", ".join(by_name[name].columns), "error", False, rows, count,
               meaning=by_name[name].meaning)
        for name, count in holding.by.items()
    ]  # fmt: skip


def keep(connection: Connection, about: Subject, results: Sequence[Result], at: datetime) -> None:
    """Store results; the same check of the same subject again replaces them."""
    rows = [_row(about, result, at) for result in results]
    if rows:
        connection.execute(text(_KEEP), {"rows": json.dumps(rows).replace("\\u0000", "\\ufffd")})


def listed(
    connection: Connection, *, suite: str | None = None, failed: bool = False, limit: int = 100
) -> list[dict[str, Any]]:
    """Return results, newest first."""
    rows = connection.execute(
        text(_LIST), {"suite": suite, "failed": failed, "limit": limit}
    ).mappings()
    return [dict(row) for row in rows]


def judged(connection: Connection, suite: str) -> int:
    """Return the last arrival of the lake that the library has judged by this suite."""
    return int(connection.scalar(text(_JUDGED), {"suite": suite}) or 0)


def forget(connection: Connection, before: datetime) -> int:
    """Delete results from before an instant; return how many."""
    return connection.execute(text("delete from checks where at < :at"), {"at": before}).rowcount


def _row(about: Subject, result: Result, at: datetime) -> dict[str, Any]:
    key = (about.creator_id or "", about.suite, about.name, about.judge, result.expectation)
    return {
        "id": str(hashing.identifier("check", *key)),
        "creator_id": about.creator_id, "suite": about.suite, "subject": about.name,
        "judge": about.judge, "expectation": result.expectation, "severity": result.severity,
        "success": result.success, "rows": result.rows, "unexpected": result.unexpected,
        "examples": list(result.examples), "at": at.isoformat(),
    }  # fmt: skip
