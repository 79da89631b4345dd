"""Traps: one process dies at each, exactly there, and the code that runs knows nothing of it."""

import asyncio
import os
import re
import signal
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from huntaze_pipeline.local.chaos import traps
from huntaze_pipeline.local.chaos.points import POINTS
from huntaze_pipeline.local.chaos.traps import Traps


class Notebook(Traps):
    """Writes down what is reached instead of dying."""

    def __init__(self, log: list[Any]) -> None:
        super().__init__(Path("nowhere"))
        self.log = log

    def reach(self, number: int) -> None:
        self.log.append(number)


class Queue:
    def __init__(self, log: list[Any], found: list[str]) -> None:
        self.log, self.found = log, found

    def send(self, parcels: list[str]) -> list[str]:
        self.log.append("send")
        return []

    def receive(self, band: str) -> list[str]:
        self.log.append("receive")
        return self.found

    def delete(self, band: str) -> None:
        self.log.append("delete")


class Limiter:
    epoch = "first"

    def __init__(self, log: list[Any]) -> None:
        self.log = log
        self.redis = self

    def claim(self, grants: int) -> SimpleNamespace:
        self.log.append("claim")
        return SimpleNamespace(grants=["grant"] * grants)

    def commit(self) -> None:
        self.log.append("commit")

    def restore(self, epoch: str) -> None:
        self.log.append("restore")

    def enqueue(self) -> None:
        self.log.append("enqueue")


class Platform:
    def __init__(self, log: list[Any]) -> None:
        self.log = log

    async def send(self, takes_s: float) -> str:
        await asyncio.sleep(takes_s)
        self.log.append("send")
        return "answer"

    async def look_up(self) -> None:
        self.log.append("look_up")


def parts(log: list[Any], found: list[str] | None = None) -> Any:
    return SimpleNamespace(
        queue=Queue(log, ["note"] if found is None else found),
        limiter=Limiter(log),
        platforms={"onlyfans": Platform(log)},
    )


@pytest.fixture
def log() -> list[Any]:
    return []


@pytest.fixture
def sender(log: list[Any]) -> Any:
    made = parts(log)
    traps.lay(Notebook(log), made, role="sender")
    return made


def test_the_relays_points_lie_around_its_calls(log: list[Any]) -> None:
    made = parts(log)
    traps.lay(Notebook(log), made, role="relay")
    made.queue.send(["parcel"])
    made.limiter.enqueue()
    assert log == [3, "send", 4, "enqueue", 5]


def test_the_senders_points_lie_around_its_calls(log: list[Any], sender: Any) -> None:
    sender.queue.receive("low")
    sender.limiter.enqueue()
    sender.queue.delete("low")
    sender.limiter.claim(1)
    sender.limiter.commit()
    assert log == ["receive", 6, "enqueue", 7, "delete", "claim", 8, 12, "commit", 13]


def test_an_empty_claim_or_receive_is_no_point(log: list[Any]) -> None:
    made = parts(log, found=[])
    traps.lay(Notebook(log), made, role="sender")
    made.queue.receive("low")
    made.limiter.claim(0)
    assert log == ["receive", "claim"]


def test_a_call_has_a_point_before_during_and_after_it(log: list[Any], sender: Any) -> None:
    assert asyncio.run(sender.platforms["onlyfans"].send(5 * traps.DURING_S)) == "answer"
    assert log == [9, 10, "send", 11]


def test_a_call_that_is_over_at_once_has_no_point_within(log: list[Any], sender: Any) -> None:
    asyncio.run(sender.platforms["onlyfans"].send(0))
    assert log == [9, "send", 11]


def test_a_question_about_a_lost_answer_has_one_after_it(log: list[Any], sender: Any) -> None:
    asyncio.run(sender.platforms["onlyfans"].look_up())
    assert log == ["look_up", 14]


def test_a_rebuild_has_points_before_after_and_once_it_is_committed(
    log: list[Any], sender: Any
) -> None:
    sender.limiter.restore("second")
    sender.limiter.enqueue()  # by somebody else, before the commit
    sender.limiter.epoch = "second"
    sender.limiter.enqueue()
    sender.limiter.enqueue()
    assert log == [15, "restore", 16, "enqueue", 17, "enqueue", "enqueue"]


def test_every_numbered_point_belongs_to_somebody() -> None:
    around = {"queue", "direct", "limiter", "platform", "rebuilt", "caller"}
    assert {point.part for point in POINTS} == around
    assert [point.number for point in POINTS] == list(range(1, len(POINTS) + 1))


def test_the_documentation_lists_every_point() -> None:
    page = (Path(__file__).parents[3] / "docs" / "sending.md").read_text("utf-8")
    listed = re.findall(r"^\| (\d+) \| (\w+) \| ([^|]+) \|", page, re.M)
    assert [(int(n), where) for n, _, where in listed] == [(p.number, p.where) for p in POINTS]


def test_one_process_dies_of_a_trap_and_the_next_lives(tmp_path: Path) -> None:
    found = Traps(tmp_path / "traps")
    found.arm(3)
    assert found.waiting() == {3}
    assert _fate(found) == -signal.SIGKILL
    assert found.waiting() == set()
    assert _fate(found) == 0


def test_a_trap_that_was_lifted_kills_nobody(tmp_path: Path) -> None:
    found = Traps(tmp_path / "traps")
    found.arm(3)
    found.lift()
    assert _fate(found) == 0


def _fate(found: Traps) -> int:
    pid = os.fork()
    if pid == 0:
        found.reach(3)
        os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
