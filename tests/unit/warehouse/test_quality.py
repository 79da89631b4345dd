from datetime import UTC, datetime
from pathlib import Path

import polars as pl
import pytest

from huntaze_pipeline.errors import ModelError
from huntaze_pipeline.settings import load as settings
from huntaze_pipeline.warehouse import quality

pytestmark = [
    # The library's own habits, not ours.
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::FutureWarning"),
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
]


def batch(**changes: list[object]) -> pl.DataFrame:
    columns: dict[str, list[object]] = {
        "creator_id": ["maya", "maya"],
        "event_id": ["e1", "e2"],
        "fan_id": ["f1", "f2"],
        "occurred_at": [datetime(2026, 3, 1, tzinfo=UTC)] * 2,
        "value_micros": [1_000_000, None],
        "currency": ["USD", None],
    }
    return pl.DataFrame(columns | changes)


@pytest.fixture(scope="module")
def suite() -> list[dict[str, object]]:
    return quality.load(settings().models_dir / "quality" / "events.yaml")


def failed(frame: pl.DataFrame, suite: list[dict[str, object]]) -> list[tuple[str, int]]:
    return [(e.column, e.unexpected) for e in quality.validate(frame, suite) if not e.success]


def test_a_sound_batch_meets_every_expectation(suite: list[dict[str, object]]) -> None:
    assert failed(batch(), suite) == []


def test_negative_money_and_an_odd_currency_are_named_with_their_columns(
    suite: list[dict[str, object]],
) -> None:
    broken = batch(value_micros=[-1, 5], currency=["usd", "USD"])

    assert failed(broken, suite) == [("value_micros", 1), ("currency", 1)]


def test_the_same_event_twice_is_found(suite: list[dict[str, object]]) -> None:
    assert failed(batch(event_id=["e1", "e1"]), suite) == [("creator_id, event_id", 2)]


def test_an_empty_batch_has_nothing_to_fail(suite: list[dict[str, object]]) -> None:
    assert quality.validate(batch().clear(), suite) == []


def test_an_expectation_that_does_not_exist_is_named_with_its_file(tmp_path: Path) -> None:
    path = tmp_path / "odd.yaml"
    path.write_text("expectations: [{type: ExpectTheBest, column: x}]")
    with pytest.raises(ModelError, match="'ExpectTheBest' does not exist"):
        quality.load(path)
