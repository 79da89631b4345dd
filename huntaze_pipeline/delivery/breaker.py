"""The circuit breaker of a platform, shared by all senders through Redis.

It opens on the share of failed calls, once there are enough of them and enough senders saw them:
one sick machine does not close a platform for the others. Half open, it hands out a few reserved
probes that expire, so a probe whose sender died blocks nothing. Rests of open breakers grow.
Not here: what counts as a failure (`verdicts`).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import redis

from huntaze_pipeline.delivery import scripts


@dataclass(frozen=True, slots=True)
class Tuning:
    """When a breaker opens and for how long."""

    bucket_s: float = 5.0
    buckets: int = 6
    minimum: int = 20
    """Calls within the buckets before anything is concluded."""
    share: float = 0.5
    quorum: int = 2
    """Senders that must have seen failures; fewer when fewer are running."""
    probes: int = 3
    """Probes at once when half open; as many successes close it."""
    probe_s: float = 30.0
    open_s: float = 15.0
    most_s: float = 300.0


@dataclass(frozen=True, slots=True)
class Admission:
    """How many calls may go, and how long the rest should wait."""

    calls: int
    rest_s: float


class Breaker:
    """The breakers of all platforms, as one sender sees them."""

    def __init__(
        self,
        client: redis.Redis,
        worker: str,
        tuning: Tuning | None = None,
        *,
        namespace: str = "huntaze",
    ) -> None:
        self._client = client
        self._worker = worker
        self._tuning = tuning or Tuning()
        self._namespace = namespace

    def admit(self, wanted: Mapping[str, int]) -> dict[str, Admission]:
        """Ask, per platform, how many of the wanted calls may go."""
        lasts = round(self._tuning.probe_s * 1000)
        answers = self._run({p: ["admit", self._worker, n, lasts] for p, n in wanted.items()})
        return {p: Admission(calls, rest / 1000) for p, (calls, rest) in answers.items()}

    def report(self, results: Mapping[str, tuple[int, int]]) -> dict[str, str]:
        """Tell, per platform, (good, bad) calls; return the states: closed, open or half."""
        t = self._tuning
        tail = [
            round(t.bucket_s * 1000), t.buckets, t.minimum, t.share, t.quorum, t.probes,
            round(t.open_s * 1000), round(t.most_s * 1000),
        ]  # fmt: skip
        calls = {
            platform: ["report", self._worker, good, bad, *tail]
            for platform, (good, bad) in results.items()
        }
        return {p: bytes(state).decode() for p, state in self._run(calls).items()}

    def state(self, platform: str) -> str:
        """Return closed, open or half."""
        phase = self._client.hget(self._keys(platform)[0], "phase")
        return bytes(phase).decode() if phase else "closed"  # pyright: ignore[reportArgumentType]

    def close(self) -> None:
        """Release connections."""
        self._client.close()
        self._client.connection_pool.disconnect()

    def _keys(self, platform: str) -> list[str]:
        base = f"{self._namespace}:{{breaker-{platform}}}:"
        return [base + name for name in ("state", "buckets", "workers", "probes")]

    def _run(self, calls: Mapping[str, list[Any]]) -> dict[str, Any]:
        packed = {platform: (self._keys(platform), words) for platform, words in calls.items()}
        return scripts.run(self._client, scripts.text("breaker"), packed)
