"""Assignment by stable hash: shares, independence, and nothing moves."""

from collections import Counter

import pytest

from huntaze_pipeline.campaigns.variants import Variant, assign, capped, held_out

FANS = [f"fan-{i}" for i in range(20_000)]


def arms(*weights):
    return [Variant(f"v{i}", weight) for i, weight in enumerate(weights)]


@pytest.mark.parametrize("weights", [(1, 1), (9, 1), (0.2, 0.3, 0.5)])
def test_shares_follow_the_weights(weights):
    counts = Counter(assign(arms(*weights), "x", fan).id for fan in FANS)
    for i, weight in enumerate(weights):
        assert counts[f"v{i}"] / len(FANS) == pytest.approx(weight / sum(weights), abs=0.015)


def test_an_arm_without_weight_gets_nobody():
    assert {assign(arms(1, 0), "x", fan).id for fan in FANS} == {"v0"}
    assert assign(arms(0, 0), "x", "fan-1") is None


def test_two_experiments_split_the_same_fans_independently():
    both = Counter((assign(arms(1, 1), "x", f).id, assign(arms(1, 1), "y", f).id) for f in FANS)
    assert all(n / len(FANS) == pytest.approx(0.25, abs=0.015) for n in both.values())


def test_the_arm_of_a_fan_is_the_same_for_ever():
    assert [assign(arms(1, 1), "maya/spring", f"fan-{i}").id for i in range(8)] == [
        "v1", "v0", "v1", "v1", "v1", "v0", "v0", "v1",
    ]  # fmt: skip


def test_the_holdout_is_its_share_and_independent_of_the_arms():
    held = [fan for fan in FANS if held_out(0.1, "x", fan)]
    assert len(held) / len(FANS) == pytest.approx(0.1, abs=0.01)
    counts = Counter(assign(arms(1, 1), "x", fan).id for fan in held)
    assert counts["v0"] / len(held) == pytest.approx(0.5, abs=0.04)


def test_a_cap_keeps_the_same_fans_and_a_larger_one_keeps_them_too():
    small, large = capped(FANS, 100, "x"), capped(FANS, 200, "x")
    assert len(small) == 100
    assert set(small) < set(large)
