"""Simulator settings: merging, checks, and every problem at once."""

import json
from pathlib import Path

import pytest

from huntaze_pipeline.local.simulator.behaviour import Behaviour, BehaviourError, read, started


def test_a_patch_changes_what_it_names_and_nothing_else() -> None:
    changed = Behaviour().changed({"platforms": {"tiktok": {"limit": {"count": 3}}}})
    assert changed.of("tiktok").limit.count == 3
    assert changed.of("tiktok").limit.window_s == 60
    assert changed.of("email") == Behaviour().of("email")


def test_a_star_means_every_platform_and_a_name_wins_over_it() -> None:
    patch = {"platforms": {"*": {"limit": {"count": 3}}, "email": {"limit": {"count": 9}}}}
    changed = Behaviour().changed(patch)
    assert changed.of("instagram").limit.count == 3
    assert changed.of("email").limit.count == 9


def test_every_problem_is_named_at_once_with_its_place() -> None:
    with pytest.raises(BehaviourError) as caught:
        Behaviour().changed(
            {"platforms": {"email": {"limit": {"count": 0}}}, "receipts": {"open": 2}, "x": 1}
        )
    places = {problem.where for problem in caught.value.problems}
    assert places == {"platforms.email.limit.count", "receipts.open", "x"}


def test_faults_of_more_than_every_call_are_refused() -> None:
    with pytest.raises(BehaviourError, match=r"add up to 1\.1"):
        Behaviour().changed({"platforms": {"email": {"faults": {"error": 0.6, "reset": 0.5}}}})


def test_a_file_that_is_no_json_is_named(tmp_path: Path) -> None:
    place = tmp_path / "behaviour.json"
    place.write_text("{")
    with pytest.raises(BehaviourError, match=r"behaviour\.json: cannot be read as JSON"):
        read(place)


def test_options_of_the_start_win_over_the_file(tmp_path: Path) -> None:
    place = tmp_path / "behaviour.json"
    place.write_text(json.dumps({"seed": "file", "receipts": {"batch": 7}}))
    found = started(place, webhook="http://127.0.0.1/hook", seed="option")
    assert (found.seed, found.receipts.batch) == ("option", 7)
    assert found.receipts.webhook == "http://127.0.0.1/hook"


def test_a_webhook_must_be_an_address() -> None:
    with pytest.raises(BehaviourError, match="http://"):
        started(None, webhook="ftp://x", seed=None)
