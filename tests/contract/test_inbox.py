from datetime import UTC, datetime, timedelta

import outgoing
import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from huntaze_pipeline.events import inbox
from huntaze_pipeline.events.envelope import Event
from huntaze_pipeline.store import checkpoints
from huntaze_pipeline.store.session import Store

NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)


def event(number: int, **changes: object) -> Event:
    given = {
        "creator_id": "maya",
        "event_id": f"e{number}",
        "name": "viewed",
        "fan_id": "fan-1",
        "occurred_at": NOON + timedelta(seconds=number),
        "source": "api",
    }
    return Event(**(given | changes))  # pyright: ignore[reportArgumentType]


def test_the_same_event_twice_is_one_event(store: Store, creator: str) -> None:
    with store.tenant(creator) as connection:
        assert inbox.append(connection, [event(1), event(2), event(1)]) == inbox.Appended(2, 1)
    with store.tenant(creator) as connection:
        assert inbox.append(connection, [event(2), event(3)]) == inbox.Appended(1, 1)


def test_nothing_appended_is_nothing(store: Store, creator: str) -> None:
    with store.tenant(creator) as connection:
        assert inbox.append(connection, []) == inbox.Appended(0, 0)


def test_an_event_comes_back_as_it_was_sent(store: Store, creator: str) -> None:
    sent = event(
        1, name="purchase", value_micros=1_990_000, currency="EUR", platform="email",
        account_id="maya-email", campaign_id="c", message_id="m", properties={"a": [1, "é", None]},
    )  # fmt: skip
    with store.tenant(creator) as connection:
        inbox.append(connection, [sent])
    with store.worker() as connection:
        (back,) = inbox.tail(connection)
    for name in Event.__dataclass_fields__:
        assert getattr(back, name) == getattr(sent, name)


def test_an_event_about_a_message_gets_what_it_does_not_name(store: Store, creator: str) -> None:
    outgoing.queued(store, creator, 2)
    sent = [
        event(1),
        event(2, message_id="1"),
        event(3, message_id="2", platform="tiktok", campaign_id="mine"),
        event(4, message_id="nobody's"),
    ]
    with store.tenant(creator) as connection:
        assert inbox.append(connection, sent) == inbox.Appended(4, 0)
    with store.worker() as connection:
        places = [(e.platform, e.account_id, e.campaign_id) for e in inbox.tail(connection)]
    nothing = (None, None, None)
    assert places == [
        nothing, ("email", "maya-email", "c"), ("tiktok", "maya-email", "mine"), nothing
    ]  # fmt: skip


def test_a_tenant_cannot_write_events_of_another_creator(store: Store, creator: str) -> None:
    with pytest.raises(DBAPIError, match="row-level security"), store.tenant(creator) as connection:
        inbox.append(connection, [event(1, creator_id="zoe")])


def test_a_row_that_commits_late_is_not_stepped_over(store: Store, creator: str) -> None:
    with store.worker() as slow:
        inbox.append(slow, [event(1)])
        with store.worker() as quick:
            inbox.append(quick, [event(2)])
        with store.worker() as reader:
            assert inbox.tail(reader) == []
    with store.worker() as reader:
        assert [e.event_id for e in inbox.tail(reader)] == ["e1", "e2"]


def test_a_reader_goes_on_where_it_stopped(store: Store, creator: str) -> None:
    with store.worker() as connection:
        inbox.append(connection, [event(n) for n in range(5)])
    seen, position = [], inbox.Position()
    with store.worker() as connection:
        while batch := inbox.tail(connection, position, limit=2):
            seen += [e.event_id for e in batch]
            position = batch[-1].position
    assert seen == ["e0", "e1", "e2", "e3", "e4"]


def test_a_transaction_that_rolls_back_leaves_nothing(store: Store, creator: str) -> None:
    def half() -> None:
        with store.worker() as connection:
            inbox.append(connection, [event(1)])
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        half()
    with store.worker() as connection:
        assert connection.scalar(text("select count(*) from inbox")) == 0


def test_whether_something_waits_is_told_without_what_has_been_read(
    store: Store, creator: str
) -> None:
    with store.tenant(creator) as connection:
        inbox.append(connection, [event(n) for n in range(3)])
    with store.worker() as connection:
        assert inbox.waits(connection, "reader")
        last = inbox.tail(connection)[-1].position
        checkpoints.take(connection, "reader")
        checkpoints.move(connection, "reader", last._asdict())
    with store.worker() as connection:
        assert not inbox.waits(connection, "reader")
        connection.execute(text("set local enable_seqscan = off"))
        plan = connection.execute(text(f"explain {inbox._WAITS.text}"), {"reader": "reader"})
        assert any("Index Cond: ((ROW(tx, id) > ROW(" in line for line in plan.scalars())
