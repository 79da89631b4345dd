"""Limits that accounts share: a platform's total and everybody's, as chunks of permits in Redis.

Here: the coordinator's calls; its rules are Lua (`lua/pool.lua`). A claim takes a chunk, the shards
grant within it, and every call of it is ended here. What is never ended counts as used.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import redis

from huntaze_pipeline.delivery import scripts
from huntaze_pipeline.delivery.limiter import EVERYBODY, Limits

Bands = list[int]
"""Permits for high, medium and low."""


@dataclass(slots=True)
class Chunk:
    """Permits of pools, dealt out to shards."""

    token: str = ""
    rooms: dict[int, dict[str, Bands]] = field(default_factory=dict)
    """By shard and pool; a pool that is not named has no limit."""
    wait_s: float | None = None
    """Seconds to the next permit when some lack."""

    def of(self, shard: int) -> list[object]:
        """Return the words that tell a shard its rooms."""
        return [
            word for pool, bands in self.rooms.get(shard, {}).items() for word in (pool, *bands)
        ]

    def unused(self, granted: Iterable[tuple[str, str]]) -> Iterator[tuple[str, str, bool]]:
        """Return what was not granted, one by one."""
        went = Counter(pool for pool, _ in granted)
        had = Counter[str]()
        for rooms in self.rooms.values():
            had.update({pool: sum(bands) for pool, bands in rooms.items()})
        for pool, count in (had - went).items():
            yield from [(pool, self.token, False)] * count


def dealt(
    demand: Mapping[int, Sequence[int]], given: Mapping[str, Bands], token: str,
    wait_s: float | None,
) -> Chunk:  # fmt: skip
    """Deal permits out to the shards that want them, in their order.

    Args:
        demand: of each shard: for each pool of `given`, in its order, high, medium and low.
        given: the permits.
        token: of the claim.
        wait_s: seconds to the next permit when some lack.
    """
    left = {pool: list(bands) for pool, bands in given.items()}
    chunk = Chunk(token, wait_s=wait_s)
    for shard, wants in demand.items():
        rooms = chunk.rooms[shard] = {}
        for i, pool in enumerate(given):
            rooms[pool] = [min(w, n) for w, n in zip(wants[3 * i :], left[pool], strict=False)]
            left[pool] = [n - took for n, took in zip(left[pool], rooms[pool], strict=True)]
    return chunk


class Pools:
    """The shared limits of one Redis."""

    def __init__(self, client: redis.Redis, base: str) -> None:
        self._client = client
        self._base = base
        self.totals: Mapping[str, Limits] = {}

    def lease(
        self, chunk: str, wanted: Mapping[str, Bands], *, lease_s: float
    ) -> tuple[dict[str, Bands], float | None]:
        """Take permits of several pools; return them, and seconds to the next when some lack."""
        words: list[object] = ["lease", chunk, round(lease_s * 1000)]
        for pool, bands in wanted.items():
            words += [pool, *self._limit(pool), *bands]
        if EVERYBODY in self.totals:
            words += [EVERYBODY, *self._limit(EVERYBODY), 0, 0, 0]
        wait, *flat = self._run(words)
        given = {pool: flat[3 * i : 3 * i + 3] for i, pool in enumerate(wanted)}
        return given, None if wait < 0 else wait / 1000

    def end(self, calls: Iterable[tuple[str, str, bool]]) -> None:
        """Say that calls are over: (pool, chunk, whether the call was made)."""
        made, unused = Counter[tuple[str, str]](), Counter[tuple[str, str]]()
        for pool, chunk, was in calls:
            (made if was else unused)[pool, chunk] += 1
        words: list[object] = ["end"]
        for key in made.keys() | unused.keys():
            words += [*key, made[key], unused[key]]
        if len(words) > 1:
            self._run(words)

    def restore(self, calls: Iterable[tuple[str, int, int]]) -> None:
        """Tell the pools the calls of the last window: (pool, age ms or -1, remaining ms)."""
        told: dict[str, list[int]] = {name: [] for name in self.totals}
        for pool, age, remaining in calls:
            for name in {pool, EVERYBODY} & self.totals.keys():
                told[name] += [age, remaining]
        words: list[object] = ["restore"]
        for name, numbers in told.items():
            words += [name, self._limit(name)[1], len(numbers) // 2, *numbers]
        if told:
            self._run(words)

    def _limit(self, pool: str) -> tuple[int, int]:
        limit = self.totals.get(pool)
        return (limit.count, -int(-limit.window_s // 1)) if limit else (0, -1)

    def _run(self, words: Sequence[object]) -> list[int]:
        call = ([self._base], words)
        return scripts.run(self._client, scripts.text("pool"), {"": call})[""]
