"""One fan at one moment: the relations of the past for a single asker.

Used by `why` and `whynot`; many askers at once are `backtest`'s.
"""

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

import polars as pl

from huntaze_pipeline.rehearsal.passing import ENTRY
from huntaze_pipeline.rehearsal.past import LAST, Past, instant
from huntaze_pipeline.rulebook import behaviour
from huntaze_pipeline.rulebook.conditions import Condition
from huntaze_pipeline.rulebook.fields import FACTS, PROFILE

_EVERY = frozenset({*FACTS, *PROFILE, "attributes"})


def event(past: Past, creator: str, event_id: str) -> dict[str, Any] | None:
    """Return an event with its place in the order of arrival."""
    rows = past.con.execute(
        "select *, occurred_at as moment, seen_at as now, 0 as position from past_events"
        " where creator_id = ? and event_id = ?",
        [creator, event_id],
    ).pl()
    return rows.row(0, named=True) if rows.height else None


def last(
    past: Past, creator: str, fan: str, name: str, at: datetime, limit: int = 1
) -> list[dict[str, Any]]:
    """Return a fan's newest events of a name as known at a moment, newest first."""
    rows = past.con.execute(
        "select *, occurred_at as moment, seen_at as now, 0 as position from past_events"
        f" where creator_id = ? and fan_id = ? and name = ? and seen_at <= {instant(at)}"
        f" order by seen_at desc, tie desc limit {limit}",
        [creator, fan, name],
    ).pl()
    return list(rows.iter_rows(named=True))


def nothing(creator: str, fan: str, at: datetime) -> dict[str, Any]:
    """Return an asker without an event: a fan at an instant."""
    blank = dict.fromkeys(ENTRY)
    return {
        **blank, "position": 0, "creator_id": creator, "fan_id": fan, "event_id": "", "name": "",
        "occurred_at": at, "properties": "{}", "moment": at, "seen_at": at, "tie": LAST,
        "imported": False, "now": at,
    }  # fmt: skip


def later(asker: Mapping[str, Any], moment: datetime, seen_at: datetime) -> dict[str, Any]:
    """Return the asker at a later step: all that was known by then."""
    return {**asker, "moment": moment, "seen_at": seen_at, "now": seen_at, "tie": LAST}


def relate(past: Past, asker: Mapping[str, Any], conditions: Iterable[Condition]) -> dict[str, Any]:
    """Make `event` and `fan` for one asker; return the fan's fields as of then."""
    row = {name: asker[name] for name in ENTRY}
    past.con.register("look_frame", pl.DataFrame([row], schema=ENTRY).to_arrow())
    past.con.execute("create or replace temp table look as select *, 1 as num from look_frame")
    past.con.unregister("look_frame")
    past.number("look")
    past.remember(FACTS)
    asked = list(conditions)
    segments = {name for condition in asked for name in condition.segments}
    features = behaviour.union(*(condition.features for condition in asked))
    past.relate("look", _EVERY, sorted(segments) or _all_segments(past), features)
    found = past.con.execute("from fan").pl().row(0, named=True)
    return {name: value for name, value in found.items() if not name.startswith("did_")}


def _all_segments(past: Past) -> list[str]:
    rows = past.con.execute(f"select distinct id from {past.table('segments')} s").fetchall()
    return [row[0] for row in rows]
