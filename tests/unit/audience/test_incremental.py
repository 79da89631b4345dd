"""A refresh that asks only whom it must ends where asking everybody ends, whatever happened."""

from datetime import UTC, datetime, timedelta

import pytest
from effort import examples
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from sqlalchemy import delete, insert, text

from huntaze_pipeline.audience import segments
from huntaze_pipeline.rulebook.behaviour import columns, union
from huntaze_pipeline.rulebook.live import LiveSegment
from huntaze_pipeline.rulebook.schema import Segment
from huntaze_pipeline.rulebook.selection import selections
from huntaze_pipeline.store.segments import Member, SegmentVersion
from huntaze_pipeline.store.segments import Segment as Row
from huntaze_pipeline.warehouse import lake as room
from tests.unit.audience.test_segments import COLUMNS

START = datetime(2026, 2, 25, 12, 0, tzinfo=UTC)
CREATORS = ("maya", "noor")
POOL = {
    "recent": [{"where": f"days_since(fan.last_purchase_at) <= {n}"} for n in (1, 7, 30)],
    "lapsing": [{"where": "hours_since(fan.last_active_at) between 36 and 400.5"}],
    "birthday": [
        {"where": f"days_until_anniversary(fan.birthday) {how}"}
        for how in ("between 0 and 6", "in (0, 3)", "= 0", "> 300", "<= fan.tips")
    ],
    "big": [{"where": f"fan.lifetime_spend >= {n}"} for n in (50, 500)],
    "mixed": [
        {"where": "coalesce(days_since(fan.last_active_at), 40) > fan.tips"},
        {"where": "days_since(fan.last_active_at) * 2 - days_since(fan.last_purchase_at) > 3"},
        {"where": "abs(days_since(fan.last_active_at) - 9) < 2 or has_tag('x')"},
        {"where": "not (days_since(fan.last_active_at) > 5) is true"},
    ],
    "did": [
        {"where": "performed('purchase', within => '5d', at_least => 2)"},
        {"where": "sum('tip', value, within => '36h') > 10 or in_segment('recent')"},
        {"where": "days_since(last('purchase', within => '30d')) > 3"},
    ],
    "both": [{"where": "in_segment('recent') and not in_segment('listed') or in_segment('big')"}],
    "listed": [{"fans": ["fan-1", "fan-2", "fan-9"]}, {"fans": ["fan-2", "fan-4"]}],
}
ACTIONS = st.one_of(
    st.tuples(st.just("bought"), st.integers(1, 8), st.integers(0, 40 * 24)),
    st.tuples(st.just("active"), st.integers(1, 8), st.integers(0, 40 * 24)),
    st.tuples(st.sampled_from(["purchase", "tip"]), st.integers(1, 8), st.integers(0, 300)),
    st.tuples(st.just("gone"), st.integers(1, 8), st.just(0)),
    st.tuples(st.just("joins"), st.integers(1, 8), st.just(0)),
    st.tuples(st.just("redefined"), st.integers(0, 7), st.integers(0, 4)),
    st.tuples(st.just("tagged"), st.integers(1, 8), st.just(0)),
    st.tuples(st.just("crash"), st.just(0), st.just(0)),
    st.tuples(st.just("time"), st.just(0), st.sampled_from([1, 60, 1440, 1441, 5 * 1440, 60480])),
)


class World:
    """Two creators, eight fans each, and what happens to them."""

    def __init__(self, store, lake):
        self.store, self.lake, self.now = store, lake, START
        self.rules = {c: {name: rules[0] for name, rules in POOL.items()} for c in CREATORS}
        self.settles = True
        for table in ("marts.fan_facts", "raw.fans", "raw.events"):
            lake.execute(f"delete from lake.{table}")
        lake.execute("drop schema if exists lake.audience cascade")
        with store.worker() as c:
            for table in (Member, SegmentVersion, Row):
                c.execute(delete(table))
            rows = [
                {"creator_id": creator, "id": name, "name": name, "criteria": {}, "rule_hash": ""}
                for creator in CREATORS
                for name in POOL
            ]
            c.execute(insert(Row), rows)
        rows = ", ".join(self.row(creator, n) for creator in CREATORS for n in range(1, 9))
        columns = "birthday, lifetime_spend, tips, last_purchase_at, last_active_at"
        lake.execute(
            f"insert into lake.marts.fan_facts (creator_id, fan_id, {columns}) values {rows}"
        )

    def row(self, creator, n):
        born = "date '2000-02-29'" if n == 3 else f"date '1990-03-01' + {n * 2 - 4}"
        active = "null" if n == 5 else self.ago(n * 30)
        return f"('{creator}', 'fan-{n}', {born}, {n * 90}, {n}, {self.ago(n * 24)}, {active})"

    def ago(self, hours):
        return f"timestamptz '{(self.now - timedelta(hours=hours)).isoformat()}'"

    def do(self, what, n, amount):
        creator = CREATORS[n % 2]
        mine = f"where creator_id = '{creator}' and fan_id = 'fan-{n}'"
        facts = "lake.marts.fan_facts"
        if what in ("bought", "active"):
            column = "last_purchase_at" if what == "bought" else "last_active_at"
            change = f"{column} = {self.ago(amount)}, lifetime_spend = lifetime_spend + 20"
            self.lake.execute(f"update {facts} set {change} {mine}")
        elif what in ("purchase", "tip"):
            self.lake.execute(
                "insert into lake.raw.events (creator_id, event_id, fan_id, name, value_micros,"
                f" occurred_at) select '{creator}', uuid()::varchar, 'fan-{n}', '{what}',"
                f" unnest([6000000, 7000000]), {self.ago(amount)}"
            )
        elif what == "gone":
            self.lake.execute(f"delete from {facts} {mine}")
        elif what == "tagged":
            self.lake.execute(
                "insert into lake.raw.fans (creator_id, id, tags, created_at) values"
                f" ('{creator}', 'fan-{n}', '[\"x\"]', {self.ago(0)})"
            )
        elif what == "joins":
            self.join(creator, f"fan-{n}")
        elif what == "redefined":
            name = list(POOL)[n]
            self.rules[creator][name] = POOL[name][amount % len(POOL[name])]
        elif what == "crash":
            self.settles = False
        else:
            self.now += timedelta(minutes=amount)

    def join(self, creator, fan):
        with self.store.worker() as c:
            values = {"c": creator, "f": fan, "now": self.now}
            c.execute(
                text(
                    "insert into members (creator_id, segment_id, fan_id, entered_at)"
                    " values (:c, 'listed', :f, :now) on conflict do nothing"
                ),
                values,
            )

    def found(self):
        return selections(
            [
                LiveSegment(creator, name, Segment.model_validate({"name": name, **rule}))
                for creator, rules in self.rules.items()
                for name, rule in rules.items()
            ],
            self.now,
        )

    def refresh(self):
        found = self.found()
        with self.store.worker() as c:
            done = segments.refresh(c, self.lake, found, self.now)
        if self.settles:
            assert done.settle(self.lake)
        self.settles = True
        return done

    def members(self):
        query = "select creator_id, segment_id, fan_id from members where left_at is null"
        with self.store.worker() as c:
            return {tuple(row) for row in c.execute(text(query))}

    def asked(self):
        """Ask everybody, one segment after the other, lists as they stand."""
        listed = {(c, f) for c, name, f in self.members() if name == "listed"}
        rows = ", ".join(f"('{c}', '{f}', ['listed'])" for c, f in listed) or "('', '', [''])"
        self.lake.execute(
            "create or replace temp table _every as from"
            f" (values {rows}) t(creator_id, fan_id, lists)"
        )
        answer = {(c, "listed", f) for c, f in listed}
        found = self.found()
        features = union(*(s.features for s in found))
        askers = (
            "(select creator_id, fan_id, 0 as position,"
            f" timestamptz '{self.now.isoformat()}' as moment from lake.marts.fan_facts)"
        )
        did = columns(features, "lake.raw.events", askers, ordered=False)
        relation = (
            "select x.creator_id, x.fan_id as id, x.* exclude (creator_id, fan_id), l.lists,"
            " coalesce(cast(json_extract_string(f.tags, '$[*]') as varchar[]), []) as tags,"
            f" did.* exclude (creator_id, fan_id, position) from lake.marts.fan_facts x"
            f" join ({did}) did using (creator_id, fan_id)"
            " left join _every l using (creator_id, fan_id)"
            " left join lake.raw.fans f on f.creator_id = x.creator_id and f.id = x.fan_id"
        )
        cases = ", ".join(
            f"case when fan.creator_id = '{s.creator_id}' and {s.predicate} then '{s.id}' end"
            for s in found
            if s.fans is None
        )
        rows = self.lake.execute(f"select fan.creator_id, [{cases}], fan.id from ({relation}) fan")
        return answer | {
            (c, name, fan) for c, names, fan in rows.fetchall() for name in names if name
        }


@pytest.fixture(scope="module")
def place(lasting, tmp_path_factory):
    from huntaze_pipeline.store.session import Store

    store = Store(lasting, pooled=False)
    with store.worker() as c:
        for creator in CREATORS:
            c.execute(text("insert into creators (id, name) values (:c, :c)"), {"c": creator})
            fans = [{"c": creator, "f": f"fan-{n}"} for n in range(1, 9)]
            c.execute(text("insert into fans (creator_id, id) values (:c, :f)"), fans)
    with room.private(tmp_path_factory.mktemp("lake")) as lake:
        lake.execute(f"create or replace table lake.marts.fan_facts ({COLUMNS})")
        yield store, lake
    store.engine.dispose()


@pytest.mark.slow
@settings(max_examples=max(1, examples(3)), deadline=None, phases=(Phase.explicit, Phase.generate))
@given(st.lists(st.lists(ACTIONS, min_size=1, max_size=4), min_size=3, max_size=5))
def test_asking_only_whom_it_must_ends_where_asking_everybody_ends(place, story):
    world = World(*place)
    world.refresh()
    for actions in story:
        for action in actions:
            world.do(*action)
        world.refresh()
        assert world.members() == world.asked()


def test_only_those_whose_facts_or_time_changed_are_asked(place):
    world = World(*place)
    world.lake.execute(
        "update lake.marts.fan_facts set last_purchase_at = '2026-02-11 11:30:00+00'"
    )
    assert world.refresh().asked == 16
    assert world.refresh().asked == 4  # whose list changed, as far as was seen then
    assert world.refresh().asked == 0
    world.do("bought", 4, 1)
    assert world.refresh().asked == 1
    world.lake.execute("update lake.marts.fan_facts set messages_opened = 3")
    assert world.refresh().asked == 0
