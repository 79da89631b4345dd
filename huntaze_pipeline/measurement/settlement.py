"""Writing measured numbers back to the rows that people see: settled metrics, looks and winners.

The numbers come from the lake's metrics tables as rows; nothing is measured here.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from itertools import groupby
from typing import Any

from sqlalchemy import Connection, text

from huntaze_pipeline.measurement import standing
from huntaze_pipeline.measurement.decision import decide
from huntaze_pipeline.measurement.evidence import Arm
from huntaze_pipeline.measurement.plan import RUNNING, Look, Plan

Row = Mapping[Any, Any]

_METRICS = text(
    """
    update campaigns c set metrics = cast(:metrics as jsonb), conversions = :converted
    where c.creator_id = :creator_id and c.id = :campaign_id
    """
)
_OPEN = text(
    """
    select e.*, c.status as campaign_status,
           (select max(m.sent_at) from messages m where m.creator_id = e.creator_id
              and m.source = 'campaign' and m.source_id = e.campaign_id) as last_sent_at
    from experiments e join campaigns c on c.creator_id = e.creator_id and c.id = e.campaign_id
    where e.started_at is not null and e.state = any(:open)
    order by e.creator_id, e.id
    for update of e
    """
)
_LOOKS = text(
    """
    select step, counts, result, looked_at from looks
    where creator_id = :creator_id and experiment_id = :id order by looked_at, step
    """
)
_KEEP = text(
    """
    insert into looks (creator_id, experiment_id, step, counts, result, looked_at)
    values (:creator_id, :id, :step, cast(:counts as jsonb), cast(:result as jsonb), :at)
    on conflict (creator_id, experiment_id, step) do update
    set counts = excluded.counts, result = excluded.result, looked_at = excluded.looked_at
    where looks.result->>'state' in ('running', 'maturing')
    """
)
_DECIDE = text(
    """
    update experiments set state = :state, winner_variant_id = :winner,
           decided_at = case when :closed then cast(:at as timestamptz) end
    where creator_id = :creator_id and id = :id
    """
)


def publish(connection: Connection, campaigns: Iterable[Row], as_of: datetime) -> int:
    """Write each campaign's settled metrics, with the instant they are true for."""
    rows = [
        {
            "creator_id": row["creator_id"],
            "campaign_id": row["campaign_id"],
            "converted": int(row["converted"]),
            "metrics": json.dumps(
                {
                    **{name: int(row[name]) for name in standing.COUNTS},
                    "as_of": as_of.isoformat(),
                }
            ),
        }
        for row in campaigns
    ]
    if rows:
        connection.execute(_METRICS, rows)
    return len(rows)


def judge(connection: Connection, arms: Iterable[Row], now: datetime) -> list[Look]:
    """Look at every open experiment that has started; keep each look and set the winner.

    Args:
        connection: as the machinery.
        arms: rows of `metrics.experiment_arms`, any order.
        now: the instant of the looks.
    """
    ordered = sorted(arms, key=lambda r: (r["creator_id"], r["experiment_id"], r["position"]))
    found = {
        key: list(rows)
        for key, rows in groupby(ordered, key=lambda r: (r["creator_id"], r["experiment_id"]))
    }
    looks = []
    for row in connection.execute(_OPEN, {"open": list(RUNNING)}).mappings().all():
        counts = found.get((row["creator_id"], row["id"]), [])
        if len(counts) >= 2:
            looks.append(_look(connection, row, counts, now))
    return looks


def _look(connection: Connection, row: Row, counts: Sequence[Row], now: datetime) -> Look:
    arms = [
        Arm(id=c["variant_id"], assigned=int(c["assigned"]), n=int(c["n"]), sum=float(c["sum"]))
        for c in counts
    ]
    look = decide(arms, _plan(row), _history(connection, row), now)
    names = {"creator_id": row["creator_id"], "id": row["id"], "at": look.looked_at}
    kept = {**look.result, "state": look.state, "reason": look.reason, "winner": look.winner}
    connection.execute(
        _KEEP,
        names | {"step": look.step, "counts": json.dumps(look.counts), "result": json.dumps(kept)},
    )
    connection.execute(
        _DECIDE, names | {"state": look.state, "winner": look.winner, "closed": look.closed}
    )
    return look


def _plan(row: Row) -> Plan:
    """The rule as stored; it is over when the campaign has ended and its last window has passed."""
    last: datetime | None = row["last_sent_at"]
    over = row["campaign_status"] in ("completed", "cancelled")
    window = timedelta(seconds=row["window_s"])
    return Plan(
        experiment_id=row["id"],
        started_at=row["started_at"],
        ends_at=last + window if over and last else None,
        planned_n=row["planned_n"],
        alpha=row["alpha"],
        minimum=timedelta(seconds=row["minimum_s"]),
    )


def _history(connection: Connection, row: Row) -> list[Look]:
    found = connection.execute(_LOOKS, {"creator_id": row["creator_id"], "id": row["id"]})
    return [
        Look(
            experiment_id=row["id"],
            step=look["step"],
            state=look["result"]["state"],
            reason=look["result"]["reason"],
            winner=look["result"]["winner"],
            counts=look["counts"],
            result=look["result"],
            looked_at=look["looked_at"],
        )
        for look in found.mappings()
    ]
