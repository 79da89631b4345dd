"""Known answers: mta 0.0.9 (MIT), DP6 Marketing-Attribution-Models, Snowplow, Tasman."""

from datetime import UTC, datetime, timedelta

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from huntaze_pipeline.measurement import attribution, paths
from huntaze_pipeline.measurement.attribution import Joined, Journeys, Rules

THREE = (["direct"], ["search", "email"], ["search", "social", "email"])


def credit(steps, conversions, rules=None):
    journeys = paths.journeys(paths.make(steps, conversions))
    found = attribution.credit(Joined(journeys, 0, 0, 0, 0), rules or Rules())
    return {
        model: {c: row["conversions"] for c, row in table.items()} for model, table in found.items()
    }


def frame(rows, **types):
    return pl.DataFrame(rows, schema_overrides={"ts": pl.Datetime("us", "UTC"), **types})


def touches(*rows):
    return frame(
        [{"fan_id": "f", "ts": ts, "channel": c, "event_id": i} for i, (ts, c) in enumerate(rows)]
    )


def bought(at, micros=1_000_000):
    return frame([{"fan_id": "f", "ts": at, "value_micros": micros}])


def test_rules_on_paths_give_the_published_credits():
    found = credit(THREE, [2, 3, 5])
    assert found["first"] == {"direct": 2, "search": 8, "email": 0, "social": 0}
    assert found["last"] == {"direct": 2, "email": 8, "search": 0, "social": 0}
    third = {"direct": 2, "search": 19 / 6, "email": 19 / 6, "social": 5 / 3}
    assert found["linear"] == pytest.approx(third)
    assert found["position"] == pytest.approx(
        {"direct": 2, "search": 3.5, "email": 3.5, "social": 1}
    )


def test_repeated_touches_count_each_or_once_per_channel():
    found = credit([["a", "a", "b"]], [6])
    assert found["linear"] == pytest.approx({"a": 4, "b": 2})
    assert found["linear_unique"] == pytest.approx({"a": 3, "b": 3})


def test_position_weights_are_scaled_to_short_paths():
    assert credit([["x", "y"]], [10])["position"] == pytest.approx({"x": 5, "y": 5})
    rules = Rules(position=(0.3, 0.4, 0.7))
    assert credit([["x", "y"]], [10], rules)["position"] == pytest.approx({"x": 3, "y": 7})


def test_position_and_linear_on_three_touches():
    found = credit([["A", "B", "C"]], [3.0])
    assert found["position"] == pytest.approx({"A": 1.2, "B": 0.6, "C": 1.2})
    assert found["linear"] == pytest.approx({"A": 1, "B": 1, "C": 1})
    value = credit([["Direct", "Organic", "Direct"]], [140.0])
    assert value["position"] == pytest.approx({"Direct": 112, "Organic": 28})
    assert value["linear"] == pytest.approx({"Direct": 2 * 140 / 3, "Organic": 140 / 3})


def test_time_decay_halves_every_half_life():
    days = np.array([14.0, 7.0, 0.0])
    journeys = Journeys(
        ["a", "b", "c"], np.arange(3), days * 86400, np.array([0]), np.array([7]), np.ones(1)
    )
    found = attribution.weights(journeys, "time_decay", Rules())
    assert found.tolist() == pytest.approx([1 / 7, 2 / 7, 4 / 7])


def test_very_old_touches_still_share_a_conversion():
    journeys = Journeys(
        ["a", "b"], np.array([0, 1]), np.array([9e9, 9e9]), np.array([0]), np.array([2]), np.ones(1)
    )
    assert attribution.weights(journeys, "time_decay", Rules()).tolist() == [0.5, 0.5]


USER = [
    ("2022-04-01 05:44:29", "paid-search"), ("2022-04-15 12:30:23", "direct"),
    ("2022-05-06 00:54:19", "direct"), ("2022-05-11 20:30:55", "organic-search"),
    ("2022-05-12 00:30:10", "paid-social"),
]  # fmt: skip


@pytest.mark.parametrize(("days", "first", "count"), [(365, "paid-search", 5), (7, "direct", 3)])
def test_the_look_back_of_the_published_example(days, first, count):
    rows = [(datetime.fromisoformat(ts).replace(tzinfo=UTC), c) for ts, c in USER]
    goal = bought(datetime(2022, 5, 12, 0, 54, 19, tzinfo=UTC))
    found = attribution.join(touches(*rows), goal, Rules(lookback=timedelta(days=days)))
    assert found.journeys.channel[0] == first
    assert len(found.journeys.channel) == count


NOW = datetime(2026, 3, 2, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("age", "counts"),
    [(timedelta(days=30), True), (timedelta(days=30, microseconds=1), False),
     (timedelta(0), True), (timedelta(microseconds=-1), False)],
)  # fmt: skip
def test_the_edges_of_the_window(age, counts):
    found = attribution.join(touches((NOW - age, "a")), bought(NOW), Rules())
    assert (found.journeys.channel == ["a"]) == counts
    assert found.unattributed == (0 if counts else 1_000_000)


def test_touches_of_one_instant_are_ordered_by_event_id():
    found = attribution.join(touches((NOW, "b"), (NOW, "a")), bought(NOW), Rules())
    assert found.journeys.channel == ["b", "a"]


def test_repeats_in_a_row_can_count_as_one():
    rows = [(NOW - timedelta(hours=h), c) for h, c in ((3, "a"), (2, "a"), (1, "b"))]
    found = attribution.join(touches(*rows), bought(NOW), Rules(collapse=True))
    assert found.journeys.channel == ["a", "b"]
    assert found.journeys.age[0] == 2 * 3600


EVENT = st.tuples(st.sampled_from("fg"), st.integers(0, 80), st.sampled_from("abc"))


@settings(deadline=None)
@given(
    st.lists(EVENT, max_size=15),
    st.lists(
        st.tuples(st.sampled_from("fgh"), st.integers(0, 80), st.integers(0, 10**9)),
        min_size=1,
        max_size=6,
    ),
)
def test_every_model_credits_each_purchase_exactly_once(seen, goals):
    day = datetime(2026, 1, 1, tzinfo=UTC)
    left = pl.DataFrame(
        {
            "fan_id": [f for f, _, _ in seen],
            "ts": [day + timedelta(days=t) for _, t, _ in seen],
            "channel": [c for _, _, c in seen],
            "event_id": list(range(len(seen))),
        },
        schema={
            "fan_id": pl.String,
            "ts": pl.Datetime("us", "UTC"),
            "channel": pl.String,
            "event_id": pl.Int64,
        },
    )
    right = frame(
        [{"fan_id": f, "ts": day + timedelta(days=t), "value_micros": v} for f, t, v in goals]
    )
    joined = attribution.join(left, right, Rules())
    for table in attribution.credit(joined, Rules()).values():
        total = sum(row["value_micros"] for row in table.values())
        assert total == joined.total - joined.unattributed
    assert joined.total == sum(v for _, _, v in goals)


def test_influenced_counts_a_purchase_for_every_channel_that_touched_it():
    rows = [(NOW - timedelta(hours=h), c) for h, c in ((3, "a"), (2, "b"), (1, "a"))]
    found = attribution.influenced(attribution.join(touches(*rows), bought(NOW), Rules()))
    assert {name: row["value_micros"] for name, row in found.items()} == {
        "a": 1_000_000,
        "b": 1_000_000,
    }
