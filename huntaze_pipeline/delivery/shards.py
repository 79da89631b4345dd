"""The limiter in Redis: accounts spread over shards, one script call a shard, its clock only.

Here: keys and packing; the rules are Lua (`lua/`). Not here: what a permit means (`limiter`), nor
how a lost memory is rebuilt (`epoch`). Every key of a shard carries its hash tag, so a script
stays legal on a Redis Cluster.
"""

import time
import uuid
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any
from zlib import crc32

import redis
from redis.exceptions import RedisError

from huntaze_pipeline.delivery import scripts
from huntaze_pipeline.delivery.limiter import (
    BANDS,
    EVERYBODY,
    SHARE,
    Claimed,
    Grant,
    Limits,
    LostError,
    Parcel,
    Permit,
    Settlement,
    StepError,
    View,
)
from huntaze_pipeline.delivery.pools import Chunk, Pools, dealt
from huntaze_pipeline.delivery.watch import Watch

SHARDS = 16
SEP, _ID = "\x1e", "\x1f"
_FORMAT = 2
"""How the tables are written, part of their names: those of another format are not there for us, so
an upgrade rebuilds the limiter like a Redis that lost its memory. Format 1 counted calls under way
apart from those that had ended."""
_STATE = ("shard", "calls", "state")
_ENQUEUE = 1000
_TOKEN = 13
"""Characters of a claim's token."""


class ChangedServerError(RedisError):
    """Another Redis answers than the one that the books know: restarted or failed over."""


class RedisLimiter:
    """The limiter that many processes share. Safe to use from several threads."""

    def __init__(
        self,
        client: redis.Redis,
        *,
        namespace: str = "huntaze",
        shards: int = SHARDS,
        pools: Sequence[str] = (),
    ) -> None:
        """Count in a Redis.

        Args:
            client: the connection.
            namespace: how all keys begin.
            shards: over how many hash tags accounts are spread; the same in every process.
            pools: all names that `Limits.pool` may have; what everybody shares concerns them all.
        """
        self.client = client
        self.epoch = ""
        """The memory that the books know; `epoch.adopt` sets it."""
        self.run_id: str | None = None
        self.rest_s = 60.0
        """The longest window in use: how long claims rest after a clock step."""
        self._prefix = f"{namespace}:{shards}"
        self._shards = shards
        self._bases = [f"{self._prefix}:{_FORMAT}:{{s{shard:02d}}}:" for shard in range(shards)]
        self._turn = self._rotor = 0
        self.watch = Watch()
        self._pools = Pools(client, f"{namespace}:{{pools}}")
        self._names = ("", *pools)
        client.connection_pool.connection_kwargs["redis_connect_func"] = self._greet

    def _greet(self, connection: Any) -> None:
        """On every new connection: is this still the server whose memory we trust?"""
        connection.on_connect()
        connection.send_command("INFO", "server")
        text = connection.read_response()
        text = text.decode() if isinstance(text, bytes) else str(text)
        found = next(li[7:].strip() for li in text.splitlines() if li.startswith("run_id:"))
        if self.run_id is not None and found != self.run_id:
            raise ChangedServerError("Redis was restarted or replaced")

    def reconnect(self) -> None:
        """Trust no connection any more; a call under way ends on its own, which is then dropped."""
        pool = self.client.connection_pool
        pool.disconnect(inuse_connections=False)
        pool.reset()

    def server_id(self) -> str:
        """Return the id of the running server; it changes at every restart and failover."""
        return str(self.client.info("server")["run_id"])

    def turn(self, task: str, worker: str, seconds: int) -> bool:
        """Take a task of upkeep that one process at a time should do; it is free again later."""
        key = f"{self._prefix}:turn:{task}"
        return bool(self.client.set(key, worker, nx=True, ex=seconds))

    def shard(self, account_id: str) -> int:
        """Return the shard of an account, for ever the same."""
        return crc32(account_id.encode()) % self._shards

    def epochs(self) -> set[str]:
        """Return the epochs that the shards hold; one value when all is well."""
        pipe = self.client.pipeline(transaction=False)
        for shard in range(self._shards):
            pipe.hget(f"{self.base(shard)}meta", "epoch")
        return {(value or b"").decode() for value in pipe.execute()}

    def configure(self, limits: Mapping[str, Limits]) -> None:
        """Set the limits of accounts."""
        self.enqueue([], limits)

    def enqueue(self, parcels: Sequence[Parcel], limits: Mapping[str, Limits]) -> int:
        """Put messages on their accounts' queues; return how many were new there."""
        new = 0
        for start in range(0, max(1, len(parcels)), _ENQUEUE):
            chunk = parcels[start : start + _ENQUEUE]
            names = {p.account_id for p in chunk} if parcels else set(limits)
            calls = self._packed(chunk, {name: limits[name] for name in names})
            new += sum(self._run("enqueue", calls))
        return new

    def claim(self, budget: int, *, lease_s: float, urgent: bool = False) -> Claimed:
        """Take permits over all shards in one round trip; see `Limiter.claim`."""
        chosen, epoch = self._choose(budget), self.epoch
        token = uuid.uuid4().hex[:12] + "-"
        room = max(1, budget // self._shards)
        bands = 1 if urgent else len(BANDS)
        chunk = self._lease(chosen, room, bands, token, lease_s)
        common = [epoch, self.watch.latest(), room, round(lease_s * 1000), token, SHARE, bands]
        sent = time.monotonic()
        answers = self._run("claim", {s: common + chunk.of(s) for s in chosen})
        self._inspect(answers, sent)
        grants = sorted((_grant(handle) for answer in answers for handle in answer[3:]), key=_band)
        self._pools.end(chunk.unused(pooled for g in grants if (pooled := _pooled(g))))
        wakes = [answer[2] / 1000 for answer in answers if answer[2] >= 0]
        if len(chosen) < self._shards:
            wakes.append(0.0)
        if chunk.wait_s is not None:
            wakes.append(chunk.wait_s)
        return Claimed(grants, min(wakes) if wakes else None, epoch)

    def commit(self, settlements: Sequence[Settlement]) -> None:
        """Settle permits."""
        calls: dict[int, list[Any]] = defaultdict(list)
        for item in settlements:
            calls[self.shard(item.grant.account_id)] += [
                item.grant.handle, item.permit.value, _ms(item.requeue_s), _ms(item.block_s),
                item.ago_ms,
            ]  # fmt: skip
        self._run("commit", calls)
        self._pools.end(
            (*pooled, item.permit is not Permit.UNUSED)
            for item in settlements
            if item.permit is not Permit.HELD and (pooled := _pooled(item.grant))
        )

    def share(self, totals: Mapping[str, Limits]) -> None:
        """Set the limits that all accounts of a pool share."""
        self._pools.totals = dict(totals)

    @property
    def totals(self) -> Mapping[str, Limits]:
        """The limits that all accounts of a pool share."""
        return self._pools.totals

    def peek(self, account_id: str) -> View:
        """Return what is known of an account."""
        answer = self._run("peek", {self.shard(account_id): [account_id]})[0]
        if not answer:
            return View(None, 0, 0, 0, 0.0, None)
        count, window, calls, busy, waiting, rest, wait, slot = answer
        return View(
            limits=Limits(count, window / 1000), calls_in_window=calls, in_flight=busy,
            waiting=waiting, blocked_s=rest / 1000, next_s=None if wait < 0 else wait / 1000,
            slot_s=None if slot < 0 else slot / 1000,
        )  # fmt: skip

    def restore(
        self, epoch: str, calls: Iterable[tuple[str, int, int]], limits: Mapping[str, Limits]
    ) -> None:
        """Tell every shard the calls of the last window, then make it valid for the epoch.

        Args:
            epoch: the new epoch.
            calls: (account, milliseconds since the call ended or -1, milliseconds until a call
                whose end is not known must have ended).
            limits: of the accounts named in the calls.
        """
        told: dict[int, list[Any]] = defaultdict(list)
        pooled = []
        for account, age, remaining in calls:
            told[self.shard(account)] += [account, age, remaining]
            pooled.append((limits[account].pool if account in limits else "", age, remaining))
        heads: dict[int, list[Any]] = defaultdict(list)
        for account, limit in limits.items():
            heads[self.shard(account)] += [account, _limit(limit)]
        packed = {
            shard: [epoch, len(heads[shard]) // 2, *heads[shard], *told[shard]]
            for shard in range(self._shards)
        }
        self.watch.forget()
        self._pools.restore(pooled)
        self._run("restore", packed)

    def _packed(
        self, parcels: Sequence[Parcel], limits: Mapping[str, Limits]
    ) -> dict[int, list[Any]]:
        heads: dict[int, list[Any]] = defaultdict(list)
        for account, limit in limits.items():
            heads[self.shard(account)] += [account, _limit(limit)]
        tails: dict[int, list[Any]] = defaultdict(list)
        for p in parcels:
            member = f"{BANDS.index(p.priority)}{_ID}{p.creator_id}{_ID}{p.message_id}"
            tails[self.shard(p.account_id)] += [p.account_id, member, p.score]
        return {s: [len(head) // 2, *head, *tails[s]] for s, head in heads.items()}

    def _lease(
        self, chosen: Sequence[int], room: int, bands: int, token: str, lease_s: float
    ) -> Chunk:
        """Take permits of the shared limits for what could go now, shard by shard."""
        totals = self._pools.totals
        names = [n for n in self._names if n in totals or EVERYBODY in totals]
        if not names:
            return Chunk()
        self._rotor += 1
        order = [chosen[(self._rotor + i) % len(chosen)] for i in range(len(chosen))]
        asked = self._run("demand", {s: [room, *names] for s in order})
        demand = dict(zip(order, asked, strict=True))
        wanted = {
            name: [
                sum(demand[s][3 * i + band] for s in chosen) if band < bands else 0
                for band in range(3)
            ]
            for i, name in enumerate(names)
        }
        given, wait_s = self._pools.lease(token, wanted, lease_s=lease_s)
        return dealt(demand, given, token, wait_s)

    def _choose(self, budget: int) -> list[int]:
        """All shards, or, when there are fewer permits than shards, those whose turn it is."""
        count = min(self._shards, budget)
        chosen = [(self._turn + i) % self._shards for i in range(count)]
        self._turn = (self._turn + count) % self._shards
        return chosen

    def _inspect(self, answers: Sequence[Sequence[Any]], sent: float) -> None:
        states = {bytes(answer[0]).decode() for answer in answers}
        if "LOST" in states:
            raise LostError("Redis does not know the limiter's epoch: its memory was lost")
        if "STEP" in states:
            self._stepped()
            raise StepError("Redis's clock jumped forward; claims rest for one window")
        shown = max((answer[1] for answer in answers), default=0)
        if answers and self.watch.jumped(shown, sent):
            self._stepped()
            self.commit([
                Settlement(_grant(handle), Permit.UNUSED, requeue_s=0)
                for answer in answers for handle in answer[3:]
            ])  # fmt: skip
            raise StepError("Redis's clock jumped forward; claims rest for one window")

    def _stepped(self) -> None:
        self.watch.forget()
        self._run("hold", {s: [round(self.rest_s * 1000)] for s in range(self._shards)})

    def base(self, shard: int) -> str:
        """Return how the names of a shard's tables begin."""
        return self._bases[shard]

    def _run(self, name: str, calls: Mapping[int, Sequence[Any]]) -> list[Any]:
        return self.run((*_STATE, name), list(calls.items()))

    def run(self, parts: Sequence[str], calls: Sequence[tuple[int, Sequence[Any]]]) -> list[Any]:
        """Run one script in several shards, in one perhaps several times, in one round trip."""
        packed = {n: ([self.base(shard)], words) for n, (shard, words) in enumerate(calls)}
        return list(scripts.run(self.client, scripts.text(*parts), packed).values())


def _grant(handle: bytes) -> Grant:
    text = handle.decode()
    account, member, _score, _token, _end = text.split(SEP)
    band, creator, message = member.split(_ID)
    return Grant(account, creator, message, text, BANDS[int(band)])


def _band(grant: Grant) -> int:
    """Where a grant ranks: the calls of a claim begin with the high ones, whatever their shard."""
    return BANDS.index(grant.priority)


def _pooled(grant: Grant) -> tuple[str, str] | None:
    """The pool and the chunk that a grant came from, if any."""
    mark, pooled, _serial = grant.handle.split(SEP)[3].rpartition(":")
    return (mark[_TOKEN:], mark[:_TOKEN]) if pooled else None


def _limit(limit: Limits) -> str:
    return f"{limit.count}:{limit.window_ms}:{limit.pool}"


def _ms(seconds: float | None) -> int:
    return -1 if seconds is None else max(0, round(seconds * 1000))
