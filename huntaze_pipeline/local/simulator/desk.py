"""The desk that every message reaches, whatever wire it came by: count, ban, fail, refuse, accept.

The order is a platform's own: an arrival counts before anything else is looked at. Decisions take
no time and are final the moment a request has been read; only answers wait.
"""

import time
from collections import OrderedDict, deque
from datetime import datetime
from pathlib import Path
from typing import Any

from huntaze_pipeline import hashing
from huntaze_pipeline.clock import Clock
from huntaze_pipeline.local.simulator import faults
from huntaze_pipeline.local.simulator.behaviour import PLATFORMS, Behaviour, Conduct
from huntaze_pipeline.local.simulator.journal import Journal
from huntaze_pipeline.local.simulator.judge import DELIVERED, Account, Judge
from huntaze_pipeline.local.simulator.outbound import Outbound
from huntaze_pipeline.local.simulator.verdict import STATUS, Arrival, Verdict

_CONVERSATIONS = 50_000
"""Conversations whose last messages are kept for look-ups; the oldest are forgotten."""
_RECENT = 20


class Desk:
    """The platforms' memory and their rules, kept in `folder` across restarts."""

    def __init__(self, folder: Path, behaviour: Behaviour, clock: Clock) -> None:
        self.behaviour = behaviour
        self.clock = clock
        self.journal = Journal(folder / "arrivals.jsonl")
        self.outbound = Outbound(folder)
        self._forget()
        self._remember()

    def receive(self, arrival: Arrival) -> Verdict:
        """Decide about one arrival; its instant is now."""
        at = self.now()
        conduct = self.behaviour.of(arrival.platform)
        account, count = self.judge.arrive(arrival.platform, arrival.account, at, conduct.limit)
        verdict = self._decide(arrival, conduct, account, at, count)
        self.judge.rule(account, at, arrival.message, verdict.kind)
        self._write(arrival, verdict, at, count)
        if verdict.kind in DELIVERED:
            self._deliver(arrival, verdict)
        return verdict

    def now(self) -> float:
        """Return the judge's monotonic instant; it goes on where the last process stopped."""
        return time.monotonic() + self._shift

    def find(self, platform: str, key: str) -> str | None:
        """Return the reference of the message accepted under an id or a key, or nothing."""
        return self._taken.get((platform, key))

    def conversation(self, platform: str, account: str, recipient: str) -> list[dict[str, Any]]:
        """Return the last messages of a conversation, the newest first."""
        kept = self._conversations.get((platform, account, recipient), ())
        return list(reversed(kept))

    def change(self, patch: dict[str, Any]) -> Behaviour:
        """Lay a partial JSON object over the settings; it holds for the next arrival.

        Raises:
            BehaviourError: the patch holds faults; nothing of it is taken.
        """
        self.behaviour = self.behaviour.changed(patch)
        for platform in PLATFORMS:
            self.judge.measure(platform, self.behaviour.of(platform).limit.window_s)
        return self.behaviour

    def reset(self) -> None:
        """Forget everything; the journal is put aside, not deleted."""
        self.journal.rotate()
        self.outbound.reset()
        self._forget()

    def summary(self) -> dict[str, Any]:
        """Return the judge's totals and the state of the receipts."""
        window_s = max(self.behaviour.of(name).limit.window_s for name in PLATFORMS)
        return {**self.judge.summary(window_s), "receipts": self.outbound.counts()}

    def close(self) -> None:
        """Close the files."""
        self.journal.close()
        self.outbound.close()

    def _decide(
        self, arrival: Arrival, conduct: Conduct, account: Account, at: float, count: int
    ) -> Verdict:
        if account.banned_at is not None:
            return Verdict("banned", reason="banned")
        if count > conduct.limit.count:
            return Verdict(
                "too_fast", retry_after_s=self._room(account, at, conduct.limit.window_s)
            )
        strict = conduct.strict
        if strict and account.within(at, strict.window_s) > strict.count:
            return Verdict("too_fast", retry_after_s=self._room(account, at, strict.window_s))
        return self._answer(arrival, conduct)

    def _answer(self, arrival: Arrival, conduct: Conduct) -> Verdict:
        message = arrival.message
        call = faults.Call(
            self.behaviour.seed, arrival.platform, message, self.judge.turns[message]
        )
        delay = faults.latency(conduct.faults, call)
        fault = faults.fault(conduct.faults, call)
        if fault == "limited":
            return Verdict(fault, retry_after_s=conduct.faults.retry_after_s)
        if fault in ("error", "reset"):
            return Verdict(fault, delay_s=delay)
        if why := faults.refusal(conduct, self.behaviour.seed, arrival.recipient):
            return Verdict("refused", reason=why, delay_s=delay)
        return self._accept(arrival, conduct, fault or "accepted", delay)

    def _accept(self, arrival: Arrival, conduct: Conduct, kind: str, delay: float) -> Verdict:
        message = arrival.message
        known = self.find(arrival.platform, arrival.key or message)
        if conduct.idempotent and known:
            return Verdict("replayed", ref=known, delay_s=delay, reason=_lost(kind))
        ref = _reference(arrival.platform, message, self.judge.delivered[message] + 1)
        return Verdict(kind, ref=ref, delay_s=delay)

    def _deliver(self, arrival: Arrival, verdict: Verdict) -> None:
        self._take(arrival.platform, arrival.message, arrival.key, verdict.ref)
        self._converse(arrival, verdict)
        if self.behaviour.receipts.webhook and self.judge.delivered[arrival.message] == 1:
            self.outbound.plan(self.behaviour, arrival, verdict.ref, self.clock())

    def _take(self, platform: str, message: str, key: str | None, ref: str | None) -> None:
        """Remember what was accepted under a message's id and its key, where anyone may ask."""
        if ref and (platform == "onlyfans" or self.behaviour.of(platform).idempotent):
            for name in {message, key or message}:
                self._taken.setdefault((platform, name), ref)

    def _converse(self, arrival: Arrival, verdict: Verdict) -> None:
        if arrival.platform not in ("instagram", "tiktok"):
            return
        place = (arrival.platform, arrival.account, arrival.recipient)
        kept = self._conversations.setdefault(place, deque(maxlen=_RECENT))
        kept.append({"id": verdict.ref, "text": arrival.text, "at": self.clock().timestamp()})
        self._conversations.move_to_end(place)
        if len(self._conversations) > _CONVERSATIONS:
            self._conversations.popitem(last=False)

    @staticmethod
    def _room(account: Account, at: float, window_s: float) -> float:
        """Return the seconds until the oldest arrival leaves the window."""
        oldest = account.arrivals[len(account.arrivals) - account.within(at, window_s)]
        return max(oldest + window_s - at, 0.001)

    def _write(self, arrival: Arrival, verdict: Verdict, at: float, count: int) -> None:
        self._seq += 1
        self.journal.append(
            {
                "seq": self._seq, "t": round(at, 6), "at": self.clock().isoformat(),
                "platform": arrival.platform, "account": arrival.account,
                "recipient": arrival.recipient, "message_id": arrival.message_id,
                "message": arrival.message, "key": arrival.key, "verdict": verdict.kind,
                "reason": verdict.reason, "ref": verdict.ref, "in_window": count,
                "status": 0 if verdict.lost else STATUS[verdict.kind],
            }
        )  # fmt: skip

    def _forget(self) -> None:
        self.judge = Judge()
        self._taken: dict[tuple[str, str], str] = {}
        self._conversations: OrderedDict[tuple[str, str, str], deque[dict[str, Any]]]
        self._conversations = OrderedDict()
        self._seq = 0
        self._shift = 0.0

    def _remember(self) -> None:
        """Read the journal of an earlier process: bans, duplicates and windows go on."""
        last: dict[str, Any] | None = None
        limits = {
            name: self.behaviour.of(name).limit.model_copy(update={"ban": False})
            for name in PLATFORMS
        }
        for _, line in self.journal.lines():
            last = line
            account, _ = self.judge.arrive(
                line["platform"], line["account"], line["t"], limits[line["platform"]]
            )
            if line["verdict"] == "banned" and account.banned_at is None:
                account.banned_at = line["t"]
            self.judge.rule(account, line["t"], line["message"], line["verdict"])
            if line["verdict"] in DELIVERED:
                self._take(line["platform"], line["message"], line["key"], line["ref"])
        if last:
            self._seq = last["seq"]
            self._shift = _shift(last, time.monotonic(), self.clock())


def _lost(kind: str) -> str | None:
    return None if kind == "accepted" else kind


def _reference(platform: str, message: str, nth: int) -> str:
    return f"{platform[:2]}.{hashing.identifier(platform, message, str(nth)).hex}"


def _shift(last: dict[str, Any], monotonic: float, now: datetime) -> float:
    """Return what to add to the machine's monotonic clock so that it goes on after a reboot."""
    if monotonic >= last["t"]:
        return 0.0
    passed = max((now - datetime.fromisoformat(last["at"])).total_seconds(), 0.0)
    return last["t"] + passed - monotonic
