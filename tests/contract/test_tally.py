"""Facts kept by key are those counted from all events, whichever way and order these came."""

import random
from datetime import UTC, datetime, timedelta

import pytest
from effort import examples
from sqlalchemy import text

from huntaze_pipeline.events import arrival, inbox
from huntaze_pipeline.events.envelope import Event
from huntaze_pipeline.events.inbox import Position
from huntaze_pipeline.rulebook import facts, people, recount, tally
from huntaze_pipeline.store import checkpoints
from huntaze_pipeline.warehouse import lake, pull

START = datetime(2026, 3, 1, tzinfo=UTC)
NAMES = ("purchase", "tip", "subscribed", "sent", "opened", "clicked", "viewed", "custom:x")
KEYS = [("maya", f"fan-{n}") for n in (1, 2, 3)]
LISTS = [fact.name for fact in facts.FACTS if fact.kind == "distinct"]


@pytest.fixture
def con(settings, creator):
    with lake.connect(settings) as found:
        yield found


def made(number, dice):
    name = dice.choice(NAMES)
    money = name in ("purchase", "tip")
    return Event(
        creator_id="maya", event_id=f"e{number}", name=name, fan_id=dice.choice(KEYS)[1],
        source="api", occurred_at=START + timedelta(minutes=dice.randrange(10_000)),
        message_id=dice.choice((None, "m1", "m2", "m3")), value_micros=number if money else None,
        currency="USD" if money else None, properties={},
    )  # fmt: skip


class World:
    """An inbox, a lake and a reader, on which anything may happen in any order."""

    def __init__(self, store, con, dice):
        self.store, self.con, self.dice = store, con, dice
        self.events = [made(n, dice) for n in range(200)]
        self.files = 0

    def arrive(self):
        with self.store.worker() as connection:
            inbox.append(connection, self.dice.sample(self.events, self.dice.randint(1, 9)))

    def bring(self):
        """Import some events; what the lake has already is left out."""
        self.files += 1
        chosen = [event for event in self.events if self.dice.random() < 0.06]
        there = {
            row[0] for row in self.con.execute("select event_id from lake.raw.events").fetchall()
        }
        self.con.execute("begin")
        batch = arrival.following(self.con)
        for e in chosen:
            if e.event_id not in there:
                self.con.execute(
                    "insert into lake.raw.events by name select ? as creator_id, ? as event_id,"
                    " ? as name, ? as fan_id, ? as message_id, cast(? as bigint) as value_micros,"
                    " cast(? as timestamptz) as occurred_at, cast(? as timestamptz) as received_at,"
                    " '{}' as properties, ? as source, ? as arrival",
                    [
                        "maya", e.event_id, e.name, e.fan_id, e.message_id, e.value_micros,
                        e.occurred_at.isoformat(), START.isoformat(), f"import:{self.files}", batch,
                    ],
                )  # fmt: skip
        self.con.execute("commit")

    def pull(self):
        pull.inbox(self.store, self.con)

    def hold(self):
        """Put an event that the lake has not pulled into quarantine."""
        with self.store.worker() as connection:
            tx, id_ = people.pulled(self.con)
            connection.execute(
                text(
                    "insert into quarantine (creator_id, import_id, file, row, field, reason, raw)"
                    " select creator_id, 'inbox', 'inbox', id, 'x', 'x', '{}' from inbox"
                    " where (tx, id) > (cast(cast(:tx as text) as xid8), :id)"
                    " order by tx, id limit 1 on conflict do nothing"
                ),
                {"tx": str(tx), "id": id_},
            )
        self.pull()

    def read(self):
        """Let the reader of the automations take a batch, and judge it both ways."""
        with self.store.worker() as connection:
            held = checkpoints.take(connection, tally.READER)
            place = Position(held.get("tx", 0), held.get("id", 0))
            while recount.step(connection, self.con, place):
                continue
            batch = inbox.tail(connection, place, self.dice.randint(1, 9))
            if not batch:
                return
            upto = batch[-1].position
            ids = [e.event_id for e in batch] + people.unread(connection, KEYS, upto)
            scan = people.load_fans(connection, self.con, KEYS, besides=ids)
            kept = tally.read(connection, lake.snapshot(self.con), KEYS, upto)
            same(scan, people.load_fans(connection, self.con, KEYS, besides=ids, kept=kept))
            connection.execute(*tally.adding(place, upto))
            checkpoints.move(connection, tally.READER, upto._asdict())

    def now(self):
        """Judge the present both ways, when the kept facts are those of the lake."""
        with self.store.worker() as connection:
            kept = tally.read(connection, lake.snapshot(self.con), KEYS)
            if kept is not None:
                scan = people.load_fans(connection, self.con, KEYS)
                same(scan, people.load_fans(connection, self.con, KEYS, kept=kept))
                return True
        return False


def same(scan, kept):
    assert told(scan) == told(kept)


def told(found):
    return {
        row["fan_id"]: {**facts.values(row), **{n: set(row[n] or ()) for n in LISTS}}
        for row in found.fans.iter_rows(named=True)
    }


@pytest.mark.parametrize("seed", range(max(2, examples(6))))
@pytest.mark.slow
def test_kept_facts_are_those_that_are_counted(store, con, seed, monkeypatch):
    monkeypatch.setattr(recount, "FANS", 2)
    dice = random.Random(seed)
    world, compared = World(store, con, dice), 0
    for _ in range(24):
        dice.choices(
            [world.arrive, world.read, world.pull, world.bring, world.hold], [5, 5, 2, 2, 1]
        )[0]()
        compared += world.now()
    assert compared
    with store.worker() as connection:
        assert connection.execute(text("select count(*) from tallies")).scalar()


def test_a_fan_whose_event_came_by_a_file_and_by_the_api_is_counted_once(store, con):
    world = World(store, con, random.Random(1))
    world.events = [e for e in world.events if e.name == "purchase"][:1]
    (event,) = world.events
    world.dice.random = lambda: 0.0
    world.bring()
    world.read()
    with store.worker() as connection:
        recount.step(connection, con, Position())
        inbox.append(connection, [event])
    with store.worker() as connection:
        kept = tally.read(connection, lake.snapshot(con), KEYS)
    assert kept.odd == {("maya", event.fan_id)}
    world.read()
    with store.worker() as connection:
        row = connection.execute(text("select lifetime_spend, purchases from tallies")).one()
    assert row == (event.value_micros, 1)


def test_facts_declared_otherwise_are_counted_anew(store, con, monkeypatch):
    world = World(store, con, random.Random(2))
    world.arrive()
    world.read()
    with store.worker() as connection:
        connection.execute(text("update tallies set purchases = 99"))
        monkeypatch.setattr(facts, "VERSION", "other")
    world.arrive()
    world.read()
    with store.worker() as connection:
        assert connection.execute(text("select max(purchases) from tallies")).scalar() < 99
