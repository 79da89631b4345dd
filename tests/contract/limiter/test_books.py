"""What only the books promise: they forget no call, and give nothing when not in use."""

import pytest
from limiters import in_books, names
from sqlalchemy import text

from huntaze_pipeline.delivery.limiter import LostError
from huntaze_pipeline.store.session import Store


def test_the_books_count_older_calls_when_a_window_gets_longer(store: Store) -> None:
    bench = in_books(store)
    bench.park(*"1234")
    bench.end(bench.claim())
    bench.sleep(0.5)
    bench.limiter.configure({"a": bench.limit(3, 1.0)})

    assert bench.claim() == []
    bench.sleep(0.55)
    assert names(bench.claim()) == ["4"]


def test_the_books_give_nothing_once_another_limiter_is_in_use(store: Store) -> None:
    bench = in_books(store)
    bench.park("1")
    with store.worker() as c:
        c.execute(text("update checkpoints set position = cast(:p as jsonb)"), {"p": "{}"})

    with pytest.raises(LostError):
        bench.claim()


def test_a_low_message_that_waited_is_not_starved_by_fresh_high_ones(store: Store) -> None:
    bench = in_books(store)
    bench.crowd(high=30)
    bench.park("old", account="b", priority="low")

    assert names(bench.claim(1)) == ["old"]
