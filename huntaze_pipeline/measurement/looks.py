"""Looks at running experiments: from additive sums to stored looks, winners and fallbacks.

The sums come from the lake as rows, the verdicts from `decision`; here they are brought together in
PostgreSQL, thousands in one pass.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import groupby
from typing import Any

from sqlalchemy import Connection, text

from huntaze_pipeline.errors import Problem, Problems
from huntaze_pipeline.measurement.decision import Case, decide_all
from huntaze_pipeline.measurement.evidence import Arm
from huntaze_pipeline.measurement.plan import RUNNING, Look, Plan, check

Row = Mapping[Any, Any]

_OPEN = text(
    """
    select e.*, c.status as campaign_status, c.next_send_at
    from experiments e join campaigns c on c.creator_id = e.creator_id and c.id = e.campaign_id
    where e.started_at <= :now and e.state = any(:open)
    order by e.creator_id, e.id
    for update of e
    """
)
_LOOKS = text(
    """
    select e.creator_id, e.id, l.step, l.counts, l.result, l.looked_at
    from experiments e cross join lateral (
        select * from looks x
        where x.creator_id = e.creator_id and x.experiment_id = e.id and e.planned_n is not null
        union (select * from looks x
            where x.creator_id = e.creator_id and x.experiment_id = e.id
            order by x.step desc limit 1)
        union (select * from looks x
            where x.creator_id = e.creator_id and x.experiment_id = e.id and x.result ? 'pairs'
            order by x.step desc limit 1)) l
    where e.started_at <= :now and e.state = any(:open)
    order by e.creator_id, e.id, l.step
    """
)
"""The looks that the next one needs: a group-sequential test's few, and of the others, whose looks
carry the best evidence on, the newest."""
_KEEP = text(
    """
    insert into looks (creator_id, experiment_id, step, counts, result, looked_at)
    select creator_id, experiment_id, step, counts, result, looked_at
    from jsonb_to_recordset(cast(:rows as jsonb)) as r(
        creator_id text, experiment_id text, step int, counts jsonb, result jsonb,
        looked_at timestamptz)
    on conflict (creator_id, experiment_id, step) do update
    set counts = excluded.counts, result = excluded.result, looked_at = excluded.looked_at
    where looks.result->>'state' in ('running', 'maturing')
    """
)
_DECIDE = text(
    """
    update experiments e set state = r.state, winner_variant_id = r.winner,
           fallback_variant_id = r.fallback,
           decided_at = case when r.closed then r.looked_at end
    from jsonb_to_recordset(cast(:rows as jsonb)) as r(
        creator_id text, experiment_id text, state text, winner text, fallback text,
        closed boolean, looked_at timestamptz)
    where e.creator_id = r.creator_id and e.id = r.experiment_id
    """
)
_CHUNK = 5000


@dataclass(frozen=True, slots=True)
class Judged:
    """What one pass over the running experiments found."""

    looks: list[Look]
    """Of every experiment that could be looked at, the newest, whether new or not."""
    faults: list[Problem]
    """Experiments whose counts or plan cannot be: they stay as they are, the others go on."""


def judge(connection: Connection, arms: Iterable[Row], now: datetime) -> Judged:
    """Look at every open experiment that has started; keep each look and set the winner.

    One read of the experiments, one of their looks, one write of each, however many there are.
    Doing it again with the same arms and instant changes nothing.

    Args:
        connection: as the machinery.
        arms: rows of `metrics.experiment_arms`, any order.
        now: the instant of the looks: that of the counts.
    """
    ordered = sorted(
        arms, key=lambda r: (r["creator_id"], r["experiment_id"], r["epoch"], r["position"])
    )
    found = {
        key: list(rows)
        for key, rows in groupby(ordered, key=lambda r: (r["creator_id"], r["experiment_id"]))
    }
    names = {"open": list(RUNNING), "now": now}
    rows = connection.execute(_OPEN, names).mappings().all()
    history = _history(connection.execute(_LOOKS, names).mappings())
    keys, cases, faults = [], [], []
    for row in rows:
        key = (row["creator_id"], row["id"])
        case = _case(row, found.get(key, []), history.get(key, ()))
        if case is None:
            continue
        try:
            check(case.arms, case.plan)
        except Problems as wrong:
            faults += wrong.problems
            continue
        keys.append(key)
        cases.append(case)
    looks = decide_all(cases, now)
    _store(connection, keys, cases, looks)
    return Judged(looks, faults)


def table(looks: Sequence[Look], most: int = 200) -> str:
    """Give looks as a Markdown table, those that ended first."""
    ordered = sorted(looks, key=lambda look: (not look.closed, look.experiment_id))[:most]
    rows = [
        f"| {x.experiment_id} | {x.state} | {x.winner or '–'} | {x.fallback or '–'} | {x.reason} |"
        for x in ordered
    ]
    head = ["| experiment | state | winner | fallback | why |", "|---|---|---|---|---|"]
    more = [f"\n… and {len(looks) - most:,} more"] if len(looks) > most else []
    return "\n".join(head + rows + more)


def _case(row: Row, counts: Sequence[Row], history: Sequence[Look]) -> Case | None:
    """An experiment with its counts; None when there is nothing to compare.

    An arm that never had a share of the recipients is no part of the test.
    """
    shares: dict[str, float] = {}
    for count in counts:
        name = count["variant_id"]
        shares[name] = shares.get(name, 0.0) + float(count["weight"])
    counts = [count for count in counts if shares[count["variant_id"]] > 0]
    if len({count["variant_id"] for count in counts}) < 2:
        return None
    return Case([_arm(row, count) for count in counts], _plan(row, counts), history)


def _arm(row: Row, count: Row) -> Arm:
    amounts = row["metric"] == "revenue"
    return Arm(
        id=count["variant_id"], assigned=int(count["assigned"]), n=int(count["n"]),
        sum=float(count["sum"]), squares=float(count["sum_squares"]) if amounts else None,
        hits=int(count["hits"]), weight=float(count["weight"]), bad=int(count["bad"]),
        epoch=int(count["epoch"]),
    )  # fmt: skip


def _plan(row: Row, counts: Sequence[Row]) -> Plan:
    """The rule as stored."""
    return Plan(
        experiment_id=row["id"],
        started_at=row["started_at"],
        ends_at=_ends(row, counts),
        planned_n=row["planned_n"],
        method=row["method"],
        alpha=row["alpha"],
        tuning=row["tuning"],
        margin=row["margin"],
        minimum=timedelta(seconds=row["minimum_s"]),
        guardrail_margin=row["guardrail_margin"],
        fallback=row["fallback"],
    )


def _ends(row: Row, counts: Sequence[Row]) -> datetime | None:
    """When the test is over: its longest time, or a window after the last of its messages."""
    ends = []
    if row["maximum_s"] is not None:
        ends.append(row["started_at"] + timedelta(seconds=row["maximum_s"]))
    waiting = any(count["waiting"] for count in counts)
    final = row["campaign_status"] in ("completed", "cancelled")
    if final or (row["next_send_at"] is None and not waiting):
        sent = [count["last_sent_at"] for count in counts if count["last_sent_at"]]
        ends.append(max(sent, default=row["started_at"]) + timedelta(seconds=row["window_s"]))
    return min(ends, default=None)


def _history(rows: Iterable[Row]) -> dict[tuple[str, str], list[Look]]:
    looks: dict[tuple[str, str], list[Look]] = {}
    for row in rows:
        look = Look(
            experiment_id=row["id"],
            step=row["step"],
            state=row["result"]["state"],
            reason=row["result"]["reason"],
            winner=row["result"]["winner"],
            fallback=row["result"].get("fallback"),
            counts=row["counts"],
            result=row["result"],
            looked_at=row["looked_at"],
        )
        looks.setdefault((row["creator_id"], row["id"]), []).append(look)
    return looks


def _store(
    connection: Connection,
    keys: Sequence[tuple[str, str]],
    cases: Sequence[Case],
    looks: Sequence[Look],
) -> None:
    """Write the looks that are new and what they decide."""
    rows = [
        _written(creator, look)
        for (creator, _), case, look in zip(keys, cases, looks, strict=True)
        if not case.history or look is not case.history[-1]
    ]
    for start in range(0, len(rows), _CHUNK):
        payload = {"rows": json.dumps(rows[start : start + _CHUNK])}
        connection.execute(_KEEP, payload)
        connection.execute(_DECIDE, payload)


def _written(creator: str, look: Look) -> dict[str, Any]:
    record = {"state": look.state, "winner": look.winner, "fallback": look.fallback}
    return record | {
        "creator_id": creator, "experiment_id": look.experiment_id, "step": look.step,
        "counts": look.counts, "result": {**look.result, **record, "reason": look.reason},
        "closed": look.closed, "looked_at": look.looked_at.isoformat(),
    }  # fmt: skip
