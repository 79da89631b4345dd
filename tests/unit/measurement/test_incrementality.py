"""Known answers by hand and by scipy; what cannot be computed is null with its reason."""

import numpy as np
import pytest

from huntaze_pipeline.measurement.incrementality import incremental


def rows(treated, holdout, cost=0, **more):
    """Rows of both arms from what each fan spent."""
    base = {"creator_id": "maya", "campaign_id": "spring", "cost_micros": cost} | more
    arms = {"treated": np.asarray(treated, float), "holdout": np.asarray(holdout, float)}
    return [
        base | {"arm": arm, "n": len(x), "sum": float(np.sum(x)), "sum_squares": float(x @ x)}
        | {"buyers": int((x > 0).sum())}
        for arm, x in arms.items() if len(x)
    ]  # fmt: skip


def test_the_interval_is_welchs_and_the_lift_has_fiellers():
    from scipy import stats

    rng = np.random.default_rng(1)
    treated = rng.lognormal(0, 1, 4000) * (rng.random(4000) < 0.2)
    holdout = rng.lognormal(0, 1, 1000) * (rng.random(1000) < 0.15)
    (found,) = incremental(rows(treated, holdout, cost=50_000_000))
    test = stats.ttest_ind(treated, holdout, equal_var=False)
    interval = test.confidence_interval()

    assert found.revenue == pytest.approx(4000 * (treated.mean() - holdout.mean()))
    assert (found.low, found.high) == pytest.approx((4000 * interval.low, 4000 * interval.high))
    assert found.p_value == pytest.approx(test.pvalue)
    assert found.roi == pytest.approx((found.revenue - 50) / 50)
    assert (found.roi_low, found.roi_high) == pytest.approx(
        ((found.low - 50) / 50, (found.high - 50) / 50)
    )
    assert found.lift_low is not None
    assert found.lift_low < found.lift < found.lift_high
    assert (found.reason, found.note) == (None, None)


def test_the_interval_covers_the_truth_as_often_as_it_says():
    rng = np.random.default_rng(2)
    hits = 0
    for _ in range(400):
        treated = rng.gamma(0.5, 2, 900) + 0.1
        holdout = rng.gamma(0.5, 2, 300)
        (found,) = incremental(rows(treated, holdout))
        assert found.low is not None
        assert found.high is not None
        hits += found.low <= 90 <= found.high
    assert 0.92 <= hits / 400 <= 0.98


@pytest.mark.parametrize(
    ("treated", "holdout", "said"),
    [
        ([1.0] * 500, [], "no holdout"),
        ([1.0] * 500, [1.0] * 20, "holdout: 20 fans"),
        ([1.0] * 50, [1.0] * 200, "treated: 50 fans"),
        ([1.0] * 500, [1.0] * 200, "does not vary"),
    ],
)
def test_what_cannot_be_computed_is_null_and_says_why(treated, holdout, said):
    (found,) = incremental(rows(treated, holdout, cost=1))
    assert (found.low, found.roi_low) == (None, None)
    assert said in found.reason


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"lacking": "no rate to USD from CHF on or before 2026-10-30"}, "from CHF"),
        ({"unconverted": 2}, "4 payments have no rate"),
    ],
)
def test_money_without_a_rate_leaves_no_roi_for_half_of_it_would_be_missing(more, said):
    spent = np.arange(200) % 7
    (found,) = incremental(rows(spent + 1, spent, cost=5_000_000, **more))

    assert found.revenue is not None
    assert (found.roi, found.roi_low, found.roi_high) == (None, None, None)
    assert said in found.reason


def test_treated_fans_whose_window_is_open_are_told_beside_the_whole_cost():
    spent = np.arange(200) % 7
    (found,) = incremental(rows(spent + 1, spent, cost=5_000_000, fans=260))

    assert found.note.startswith("of 260 treated 200 count so far")


def test_without_a_cost_there_is_no_roi_but_there_is_revenue():
    rng = np.random.default_rng(3)
    (found,) = incremental(rows(rng.random(300), rng.random(300) * (rng.random(300) < 0.05)))
    assert found.revenue is not None
    assert (found.roi, found.roi_low, found.reason) == (None, None, "no cost is recorded: no ROI")
    assert "holdout" in found.note


def test_campaigns_are_told_apart_and_ordered():
    some = rows(np.arange(200.0), np.arange(150.0))
    other = rows(np.arange(300.0), [], campaign_id="autumn")
    assert [f.campaign_id for f in incremental(some + other)] == ["autumn", "spring"]
