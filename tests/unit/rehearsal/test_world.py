"""The world in memory does what the real store does: the same story, the same decisions."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

from sqlalchemy import update

from huntaze_pipeline.campaigns import reactions
from huntaze_pipeline.delivery import outbox
from huntaze_pipeline.events import inbox
from huntaze_pipeline.events.envelope import Event
from huntaze_pipeline.rehearsal.scene import Scene
from huntaze_pipeline.rulebook import loader, registry
from huntaze_pipeline.rulebook.cases import Case
from huntaze_pipeline.store.people import Fan

RULES = Path(__file__).parents[3] / "rules"
START = datetime(2027, 3, 1, 20, 0, tzinfo=UTC)
STORY = [
    ("subscribed", timedelta(0), None),
    ("purchase", timedelta(minutes=5), 60),
    ("tip", timedelta(hours=1), 9),
    ("purchase", timedelta(hours=30), 25),
    ("tip", timedelta(hours=31), 5),
    ("purchase", timedelta(days=6), 5),
]


def real(store, creator, book):
    """Return the decisions of the store: each event at its time, a wake every six hours."""
    found = []
    moments = sorted({START + at for _, at, _ in STORY} | {
        START + timedelta(hours=h) for h in range(0, 24 * 8, 6)
    })  # fmt: skip
    with store.worker() as connection:
        connection.execute(update(Fan).values(name="Ada Lovelace", zone="Europe/Paris"))
    with store.tenant(creator) as connection:
        registry.apply(connection, creator, book, START)
    for now in moments:
        events = [
            Event(
                creator_id=creator, event_id=f"event-{i}", name=name, fan_id="fan-1",
                occurred_at=now, source="api", platform="onlyfans",
                value_micros=value and value * 1_000_000, currency=value and "USD",
            )
            for i, (name, at, value) in enumerate(STORY) if START + at == now
        ]  # fmt: skip
        with store.worker() as connection:
            inbox.append(connection, events)
            done = reactions.react(connection, None, events, book.policies, now).decisions
            done += reactions.wake(connection, None, book.policies, now).decisions
            outbox.record(connection, done)
        found += done
    return sorted(map(seen, found))


def seen(decision):
    until = decision.earliest_at if decision.state == "skipped" else None
    leaves = decision.not_before if decision.state == "decided" else decision.decided_at
    return (
        decision.source_id, decision.step, max(leaves, decision.decided_at), decision.reason or "",
        decision.content if decision.state == "decided" else "", str(until),
    )  # fmt: skip


def test_a_week_of_four_rules_comes_out_as_in_the_real_store(store, creator):
    book = loader.load(RULES)
    case = Case.model_validate(
        {
            "name": "a week", "clock": START, "expect": [], "until": "8d",
            "creator": {"name": "Maya", "zone": "Europe/Paris"},
            "fans": {"fan-1": {"zone": "Europe/Paris", "platforms": ["onlyfans"]}},
            "events": [
                {"event": name, "at": at} | ({"value": value} if value else {})
                for name, at, value in STORY
            ],
        }
    )  # fmt: skip
    story = Scene(case, book, list(book.automations)).play().story
    told = sorted(
        (o.rule, o.step, o.at, o.detail["reason"] or "", o.detail.get("content", ""),
         str(o.detail.get("until")))
        for o in story if o.kind == "send" or (o.kind == "skip" and "until" in o.detail)
    )  # fmt: skip
    assert told == real(store, creator, book)
    assert len(told) > 6
    assert {row[3] for row in told} >= {"", "quiet_hours"}
