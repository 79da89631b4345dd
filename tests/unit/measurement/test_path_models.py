"""Known answers: a worked Markov example (serhiipuzyrov.com, 2019-07), the DP6 README (Shapley)."""

from datetime import UTC, datetime, timedelta

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from huntaze_pipeline.measurement import markov, mix, paths, shapley
from huntaze_pipeline.measurement.attribution import Rules

WORTH = {"": 0, "O": 7, "F": 6, "D": 4, "OF": 15, "OD": 7, "FD": 9, "OFD": 19}
PATH = st.tuples(
    st.lists(st.sampled_from("abcdef"), min_size=1, max_size=6),
    st.integers(0, 9),
    st.integers(0, 9),
)
PATHS = st.lists(PATH, min_size=1, max_size=12).filter(lambda rows: sum(row[1] for row in rows) > 0)


def make(rows):
    return paths.make([r[0] for r in rows], [r[1] for r in rows], nulls=[r[2] for r in rows])


def game(members):
    return np.array(
        [WORTH["".join(n for n, m in zip("OFD", row, strict=True) if m)] for row in members], float
    )


def test_the_worked_markov_example():
    rows = [
        (["google"], 2, 0),
        (["mailing"], 1, 0),
        (["google", "mailing"], 1, 0),
        (["google"], 0, 1),
    ]
    chain = markov.solve(make(rows))
    assert chain.probability == pytest.approx(0.8)
    assert dict(zip(chain.channels, chain.removal, strict=True)) == pytest.approx(
        {"google": 0.75, "mailing": 0.5}
    )
    credit = markov.credit(chain, 4, 4_000_000)
    assert credit["google"]["value_micros"] == 2_400_000


@settings(deadline=None)
@given(PATHS)
def test_the_chain_converts_as_often_as_the_paths_did(rows):
    chain = markov.solve(make(rows))
    share = sum(r[1] for r in rows) / sum(r[1] + r[2] for r in rows)
    assert chain.probability == pytest.approx(share)
    assert ((chain.removal >= -1e-12) & (chain.removal <= 1 + 1e-12)).all()


@settings(deadline=None)
@given(PATHS)
def test_repeating_a_channel_changes_no_removal_effect(rows):
    found = make(rows)
    whole, short = markov.solve(found), markov.solve(paths.collapsed(found))
    assert short.removal.tolist() == pytest.approx(whole.removal.tolist(), abs=1e-9)


@settings(deadline=None)
@given(PATHS)
def test_removal_effects_equal_removing_the_channel(rows):
    found = make(rows)
    chain = markov.solve(found)
    for channel, effect in zip(chain.channels, chain.removal, strict=True):
        counts, won, lost = markov._transitions(found, chain.channels)
        place = chain.channels.index(channel) + 1
        total = np.maximum(counts.sum(1) + won + lost, 1e-300)
        inner, out = counts / total[:, None], won / total
        inner[:, place] = 0
        left = np.linalg.solve(np.eye(len(total)) - inner, out)[0]
        assert 1 - left / chain.probability == pytest.approx(effect, abs=1e-9)


def test_the_published_shapley_example():
    found = shapley.values(game, 3)
    assert found.value.tolist() == pytest.approx([23 / 3, 49 / 6, 19 / 6])
    assert found.method == "exact"


def test_sampling_states_an_error_that_holds():
    found = shapley.sampled(game, 3)
    exact = np.array([23 / 3, 49 / 6, 19 / 6])
    assert (np.abs(found.value - exact) <= 4 * found.error).all()
    assert found.value.sum() == pytest.approx(19)


@settings(deadline=None)
@given(PATHS)
def test_the_closed_form_equals_all_coalitions(rows):
    found = make(rows)
    names = found.channels

    def worth(members):
        inside = [{n for n, m in zip(names, row, strict=True) if m} for row in members]
        return np.array([sum(r[1] for r in rows if set(r[0]) <= group) for group in inside], float)

    exact = shapley.exact(worth, len(names)).value
    assert shapley.conversions(found).value.tolist() == pytest.approx(exact.tolist())


@settings(deadline=None)
@given(PATHS)
def test_values_of_the_rate_add_up_to_the_rate(rows):
    found = make(rows)
    value = shapley.values(shapley.rate(found), len(found.channels)).value
    share = sum(r[1] for r in rows) / sum(r[1] + r[2] for r in rows)
    assert value.sum() == pytest.approx(share)


def test_more_than_ten_channels_are_sampled():
    rows = [([chr(97 + i), chr(97 + (i + 1) % 14)], i, 1) for i in range(14)]
    found = make(rows)
    values = shapley.values(shapley.rate(found), 14, orders=200)
    assert values.method == "sampled, 200 orders"
    assert (values.error > 0).any()


def at(hours):
    return datetime(2026, 3, 2, tzinfo=UTC) + timedelta(hours=hours)


def test_touches_become_paths_that_end_at_each_conversion_or_in_nothing():
    left = pl.DataFrame({
        "fan_id": ["f"] * 4 + ["g"], "ts": [at(1), at(2), at(4), at(9), at(1)],
        "channel": list("abcde"), "event_id": list(range(5)),
    })  # fmt: skip
    right = pl.DataFrame({"fan_id": ["f", "f"], "ts": [at(3), at(5)], "value_micros": [10, 20]})
    found = paths.collect(left, right, Rules(lookback=timedelta(hours=3)))
    rows = {
        p: (c, v, n)
        for p, c, v, n in zip(found.steps, found.conversions, found.value, found.nulls, strict=True)
    }
    assert rows == {
        ("a", "b"): (1, 10, 0),
        ("c",): (1, 20, 0),
        ("d",): (0, 0, 1),
        ("e",): (0, 0, 1),
    }


def test_all_models_credit_the_same_total():
    rows = [(["a", "b"], 3, 2), (["b"], 5, 9), (["c", "a", "c"], 1, 0)]
    report = mix.from_paths(make(rows), Rules())
    sums = {m: sum(r["value_micros"] for r in t.values()) for m, t in report["models"].items()}
    assert set(sums.values()) == {9_000_000}
    assert {"first", "last", "linear", "position", "markov", "shapley"} <= set(sums)
    assert report["chain_probability"] == pytest.approx(9 / 20)


def test_paths_without_failures_say_that_removal_means_little():
    report = mix.from_paths(make([(["a", "b"], 3, 0)]), Rules())
    assert any("no path ended without" in note for note in report["notes"])
