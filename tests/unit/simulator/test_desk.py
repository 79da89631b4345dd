"""What a platform decides about one arrival, in which order, and what it remembers."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from huntaze_pipeline.clock import FixedClock, system_clock
from huntaze_pipeline.local.simulator.behaviour import Behaviour
from huntaze_pipeline.local.simulator.desk import Desk
from huntaze_pipeline.local.simulator.verdict import Arrival


def desk(folder: Path, **platform: Any) -> Desk:
    return Desk(folder, Behaviour().changed({"platforms": {"*": platform}}), system_clock)


@pytest.fixture
def plain(tmp_path: Path) -> Iterator[Desk]:
    found = desk(tmp_path)
    yield found
    found.close()


def arrival(number: int = 1, platform: str = "instagram", **changes: Any) -> Arrival:
    fields = {
        "account": "maya", "recipient": "fan-1", "message_id": f"m{number}", "key": None,
        "text": "hi",
    }  # fmt: skip
    return Arrival(platform, **{**fields, **changes})


def test_an_account_that_exceeds_its_limit_is_banned_for_good(plain: Desk) -> None:
    kinds = [plain.receive(arrival(number)).kind for number in range(13)]
    assert kinds == ["accepted"] * 10 + ["banned"] * 3
    assert plain.receive(arrival(99, account="noor")).kind == "accepted"


def test_a_platform_that_does_not_ban_says_how_long_to_wait(tmp_path: Path) -> None:
    gentle = desk(tmp_path, limit={"count": 1, "window_s": 30, "ban": False})
    gentle.receive(arrival(1))
    verdict = gentle.receive(arrival(2))
    assert verdict.kind == "too_fast"
    assert verdict.retry_after_s == pytest.approx(30, abs=1)
    gentle.close()


def test_a_key_in_new_clothes_is_the_same_message_where_keys_are_honoured(plain: Desk) -> None:
    first = plain.receive(arrival(1, "onlyfans", key="key"))
    again = plain.receive(arrival(2, "onlyfans", key="key"))
    assert (again.kind, again.ref) == ("replayed", first.ref)
    assert plain.summary()["duplicates"] == 0


def test_without_an_id_the_words_tell_a_duplicate(plain: Desk) -> None:
    for text in ("hi", "hi", "other"):
        plain.receive(arrival(message_id=None, text=text))
    assert plain.summary()["duplicates"] == 1


def test_a_message_that_was_not_accepted_is_not_found(tmp_path: Path) -> None:
    broken = desk(tmp_path, faults={"error": 1})
    broken.receive(arrival(1))
    assert broken.find("instagram", "m1") is None
    broken.close()


def test_every_arrival_is_on_disk_before_it_is_answered(plain: Desk, tmp_path: Path) -> None:
    for number in range(12):
        plain.receive(arrival(number))
        lines = (tmp_path / "arrivals.jsonl").read_text().splitlines()
        assert json.loads(lines[-1])["seq"] == number + 1 == len(lines)
    assert [json.loads(line)["in_window"] for line in lines] == list(range(1, 13))


def test_a_restart_remembers_bans_keys_and_windows(tmp_path: Path) -> None:
    old = desk(tmp_path)
    for number in range(11):
        old.receive(arrival(number))
    first = old.receive(arrival(1, "onlyfans", key="key"))
    before = old.summary()
    old.close()
    new = desk(tmp_path)
    assert new.summary() == before
    assert new.receive(arrival(50)).kind == "banned"
    assert new.receive(arrival(2, "onlyfans", key="key")).ref == first.ref
    new.close()


def test_after_a_reboot_the_judges_clock_goes_on(tmp_path: Path) -> None:
    line = {
        "seq": 7, "t": 9e9, "at": "2026-03-02T12:00:00+00:00", "platform": "email",
        "account": "maya", "recipient": "r", "message_id": "m", "message": "m", "key": None,
        "verdict": "accepted", "reason": None, "ref": "x", "in_window": 1, "status": 200,
    }  # fmt: skip
    (tmp_path / "arrivals.jsonl").write_text(json.dumps(line) + "\n")
    clock = FixedClock(system_clock().replace(2026, 3, 2, 12, 0, 30, 0))
    found = Desk(tmp_path, Behaviour(), clock)
    assert found.now() == pytest.approx(9e9 + 30, abs=1)
    found.close()


def test_a_reset_forgets_and_keeps_the_old_journal_aside(plain: Desk, tmp_path: Path) -> None:
    for number in range(11):
        plain.receive(arrival(number))
    plain.reset()
    assert plain.summary()["arrivals"] == 0
    assert plain.receive(arrival(1)).kind == "accepted"
    assert len((tmp_path / "arrivals.1.jsonl").read_text().splitlines()) == 11


def test_a_narrower_limit_holds_from_the_next_arrival(plain: Desk) -> None:
    for number in range(5):
        plain.receive(arrival(number))
    plain.change({"platforms": {"instagram": {"limit": {"count": 5}}}})
    assert plain.receive(arrival(6)).kind == "banned"
