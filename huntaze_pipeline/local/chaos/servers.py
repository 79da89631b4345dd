"""The servers of a run, and what may be done to them: killed, paused, emptied, set back in time.

Their keeper starts them again. Not here: cutting them off (`links`).
"""

import os
import signal
import subprocess
from collections import defaultdict
from contextlib import suppress

import redis
from redis.exceptions import RedisError

from huntaze_pipeline.local.folder import Folder
from huntaze_pipeline.settings import Settings

_BEHIND = """
local t = redis.call('TIME')
local ahead = tonumber(t[1]) * 1000 + math.floor(tonumber(t[2]) / 1000) + tonumber(ARGV[1])
if redis.call('EXISTS', KEYS[1]) == 1 then
  redis.call('HSET', KEYS[1], 'clock', string.format('%.0f', ahead))
end
"""
"""What a failover to a server with a slower clock leaves: an instant seen that is still to come."""


class Servers:
    """PostgreSQL, Redis and SQS of one home."""

    def __init__(self, folder: Folder, ready: Settings) -> None:
        self._folder = folder
        self._ready = ready
        self._paused: dict[str, list[int]] = {}
        self.kills = 0

    def port(self, name: str) -> int:
        """Return where a server listens now."""
        return int(self._folder.read()["servers"][name]["port"] or 0)

    def kill(self, name: str) -> None:
        """Kill a server and its children at once."""
        self.kills += self._send(name, signal.SIGKILL) != []

    def pause(self, name: str) -> None:
        """Stop a server where it is."""
        self._paused[name] = self._send(name, signal.SIGSTOP)

    def resume(self, name: str) -> None:
        """Let a server go on, when it is still the same."""
        for pid in self._paused.pop(name, []):
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)

    def calm(self) -> None:
        """Let all go on."""
        for name in tuple(self._paused):
            self.resume(name)

    def empty(self) -> None:
        """Make Redis forget everything."""
        with suppress(RedisError), self._redis() as client:
            client.flushall()

    def behind(self, seconds: float) -> None:
        """Make Redis's clock show less than its shards have acted on."""
        with suppress(RedisError), self._redis() as client:
            for key in client.scan_iter("*:meta"):
                client.eval(_BEHIND, 1, key, round(seconds * 1000))

    def _redis(self) -> redis.Redis:
        assert self._ready.redis_url is not None
        return redis.Redis.from_url(self._ready.redis_url.get_secret_value(), socket_timeout=2)

    def _send(self, name: str, number: int) -> list[int]:
        pid = self._folder.read()["servers"][name]["pid"]
        family = _family(pid) if pid else []
        for one in family:
            with suppress(ProcessLookupError):
                os.kill(one, number)
        return family


def _family(root: int) -> list[int]:
    """Return a process and all that descend from it, parents first; nothing if it has ended."""
    listing = subprocess.run(
        ["ps", "-A", "-o", "pid=,ppid="], capture_output=True, text=True, check=True
    ).stdout
    children: dict[int, list[int]] = defaultdict(list)
    pairs = [tuple(map(int, line.split())) for line in listing.splitlines()]
    for pid, parent in pairs:
        children[parent].append(pid)
    family = [root] if root in {pid for pid, _ in pairs} else []
    for pid in family:
        family += children[pid]
    return family
