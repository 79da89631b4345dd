"""Receipts wait in order, survive a restart, and are given out until they were taken."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from huntaze_pipeline.local.simulator import outbound
from huntaze_pipeline.local.simulator.behaviour import Behaviour, Receipts
from huntaze_pipeline.local.simulator.outbound import Outbound

NOW = datetime(2026, 3, 2, 12, tzinfo=UTC)
LATER = NOW + timedelta(days=1)
ALL = Behaviour(receipts=Receipts(deliver=1, open=1, click=1, buy=1, reply=0, unsubscribe=0))


@dataclass(frozen=True)
class Message:
    message: str
    platform: str = "email"
    account: str = "maya-email"
    text: str = "hello"


@pytest.fixture
def box(tmp_path: Path) -> Iterator[Outbound]:
    found = Outbound(tmp_path)
    yield found
    found.close()


def planned(box: Outbound, *names: str) -> None:
    for name in names:
        box.plan(ALL, Message(name), f"ref-{name}", NOW)


def drained(box: Outbound) -> list[str]:
    """Take everything that is left, confirming each batch; return the receipts' ids."""
    found = []
    while batch := box.due(LATER, 10):
        box.confirm([due for due, _ in batch])
        found += [receipt["id"] for _, receipt in batch]
    return found


def test_steps_of_a_message_come_one_after_the_other(box: Outbound) -> None:
    planned(box, "a")
    assert drained(box) == [
        f"ref-a:{kind}" for kind in ("delivered", "opened", "clicked", "bought")
    ]


def test_nothing_is_given_out_before_its_time(box: Outbound) -> None:
    planned(box, "a")
    assert box.due(NOW, 10) == []
    assert box.next_at() is not None


def test_what_was_not_taken_comes_again_with_the_same_id(box: Outbound) -> None:
    planned(box, "a")
    first = box.due(LATER, 10)
    box.put_back([due for due, _ in first])
    assert box.due(LATER, 10) == first


def test_a_new_process_goes_on_where_the_old_one_stopped(tmp_path: Path) -> None:
    old = Outbound(tmp_path)
    planned(old, "a", "b")
    taken = old.due(LATER, 3)
    old.confirm([due for due, _ in taken[:1]])
    old.close()
    new = Outbound(tmp_path)
    ids = [*(receipt["id"] for _, receipt in taken[:1]), *drained(new)]
    assert len(ids) == len(set(ids)) == 8
    assert new.counts()["posted"] == 8
    new.close()


def test_memory_holds_only_so_many_and_the_rest_waits_on_disk(
    box: Outbound, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outbound, "_ROOM", 3)
    planned(box, *(f"m{number}" for number in range(20)))
    assert box.counts()["waiting"] == 3
    assert len(set(drained(box))) == 80


def test_what_was_taken_before_a_reset_is_not_confirmed_after_it(box: Outbound) -> None:
    planned(box, "a")
    taken = [due for due, _ in box.due(LATER, 10)]
    box.reset()
    planned(box, "b")
    box.confirm(taken)
    box.put_back(taken)
    assert {one.partition(":")[0] for one in drained(box)} == {"ref-b"}


def test_a_receipt_says_what_the_webhook_needs(box: Outbound) -> None:
    planned(box, "a")
    (_, receipt), *_ = box.due(LATER, 1)
    assert receipt.keys() == {
        "id", "kind", "message_id", "platform_ref", "account_id", "platform", "occurred_at",
        "value", "currency", "user_agent",
    }  # fmt: skip
    assert datetime.fromisoformat(receipt["occurred_at"]) > NOW
