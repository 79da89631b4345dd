"""One bench, three limiters: in memory, in Redis and in the books."""

import time

import pytest
from limiters import Bench, in_books, over_redis

from huntaze_pipeline.delivery.model import MemoryLimiter


@pytest.fixture(params=["model", "redis", "books"])
def bench(request: pytest.FixtureRequest) -> Bench:
    if request.param == "books":
        return in_books(request.getfixturevalue("store"))
    if request.param == "model":
        clock = [1_772_452_800_000]

        def sleep(seconds: float) -> None:
            clock[0] += round(seconds * 1000)

        return Bench(MemoryLimiter(lambda: clock[0]), sleep)
    return Bench(over_redis(request.getfixturevalue("lean")), time.sleep)
