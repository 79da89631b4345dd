import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from huntaze_pipeline.measurement import credits

GROUP = st.tuples(
    st.integers(-(10**12), 10**17),
    st.lists(st.floats(0, 1e6, allow_subnormal=False), min_size=1, max_size=12),
)


def split(*groups):
    amounts = np.array([amount for amount, _ in groups], dtype=np.int64)
    lengths = [len(weights) for _, weights in groups]
    starts = np.cumsum([0, *lengths])[:-1]
    found = credits.split(amounts, np.concatenate([np.array(w, float) for _, w in groups]), starts)
    return [part.tolist() for part in np.split(found, starts[1:])]


@settings(deadline=None)
@given(st.lists(GROUP, min_size=1, max_size=6))
def test_the_parts_add_up_to_the_last_micro(groups):
    found = split(*groups)
    assert [sum(part) for part in found] == [amount for amount, _ in groups]


@settings(deadline=None)
@given(GROUP.filter(lambda group: 0 <= group[0] < 2**50))
def test_nobody_is_off_by_more_than_one_micro(group):
    amount, weights = group
    total = sum(weights)
    for part, weight in zip(split(group)[0], weights, strict=True):
        exact = amount * weight / total if total else amount / len(weights)
        assert abs(part - exact) <= 1 + 1e-3


def test_ties_go_to_the_earlier_touch():
    assert split((100, [1, 1, 1]), (200, [1, 1, 1])) == [[34, 33, 33], [67, 67, 66]]


def test_nothing_to_split_is_nothing():
    assert credits.split(np.zeros(0, np.int64), np.zeros(0), np.zeros(0, np.intp)).tolist() == []
