"""One bench, three limiters: in memory, in Redis and in the books."""

import time

import pytest
from limiters import Bench, Rows, over_redis

from huntaze_pipeline.delivery.model import MemoryLimiter


@pytest.fixture(params=["model", "redis", "books"])
def bench(request: pytest.FixtureRequest) -> Bench:
    if request.param == "books":
        return Bench(Rows(request.getfixturevalue("store")), time.sleep, scale=4)
    if request.param == "model":
        clock = [1_772_452_800_000]

        def sleep(seconds: float) -> None:
            clock[0] += round(seconds * 1000)

        return Bench(MemoryLimiter(lambda: clock[0]), sleep)
    return Bench(over_redis(request.getfixturevalue("lean")), time.sleep)
