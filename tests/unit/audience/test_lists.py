"""Lists of fans as segments: long ones, and what becomes of members when a list changes."""

import json
from datetime import UTC, datetime, timedelta

from sqlalchemy import text

from huntaze_pipeline.audience import lists, segments
from huntaze_pipeline.rulebook.live import LiveSegment
from huntaze_pipeline.rulebook.schema import Segment
from huntaze_pipeline.rulebook.selection import selections

NOON = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)
MANY = 20_000
_FANS = text(
    "insert into fans (creator_id, id) select 'maya', 'many-' || n from generate_series(1, :n) n"
)
_LIVE = text(
    """
    insert into segments (creator_id, id, name, criteria, rule_hash)
    values ('maya', 'listed', 'Listed', cast(:criteria as jsonb), :hash)
    on conflict (creator_id, id) do update
    set criteria = excluded.criteria, rule_hash = excluded.rule_hash
    """
)
_VERSION = text(
    "insert into segment_versions (creator_id, segment_id, live_at, rule_hash, criteria)"
    " select creator_id, id, :now, rule_hash, criteria from segments"
)


def reconcile(store, fans, now, changed=True):
    found = LiveSegment("maya", "listed", Segment.model_validate({"name": "x", "fans": fans}))
    with store.worker() as c:
        if changed:
            criteria = json.dumps({"fans": fans})
            c.execute(_LIVE, {"criteria": criteria, "hash": now.isoformat()})
        came, left, size = lists.reconcile(c, selections([found], now)[0], now)
        if changed:
            c.execute(_VERSION, {"now": now})
    return len(came), len(left), size


def test_a_long_list_is_taken_kept_and_changed_set_by_set(store, creator):
    with store.worker() as c:
        c.execute(_FANS, {"n": MANY + MANY // 2})
    names = [f"many-{n}" for n in range(1, MANY + MANY // 2 + 1)]
    assert reconcile(store, names[:MANY], NOON) == (MANY, 0, MANY)
    hour, half = timedelta(hours=1), MANY // 2
    assert reconcile(store, names[:MANY], NOON + hour, changed=False) == (0, 0, MANY)
    assert reconcile(store, names[half:], NOON + 2 * hour) == (half, half, MANY)
    with store.tenant("maya") as c:
        then = segments.members(c, "maya", "listed", NOON + hour)
        now = segments.members(c, "maya", "listed")
    assert (set(then), set(now)) == (set(names[:MANY]), set(names[half:]))


def test_a_list_takes_its_fans_when_they_become_known_and_nobody_who_left_it(store, creator):
    fans = ["fan-1", "fan-2", "comes-later"]
    assert reconcile(store, fans, NOON) == (2, 0, 2)
    with store.worker() as c:
        c.execute(text("insert into fans (creator_id, id) values ('maya', 'comes-later')"))
        leave = "update members set left_at = :now where fan_id = 'fan-1'"
        c.execute(text(leave), {"now": NOON + timedelta(minutes=5)})
    assert reconcile(store, fans, NOON + timedelta(hours=1), changed=False) == (1, 0, 2)
    assert reconcile(store, [*fans, "fan-3"], NOON + timedelta(hours=2)) == (2, 0, 4)
