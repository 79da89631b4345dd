"""The judge: counts arrivals per account in rolling windows, bans, and knows who got what twice.

It sees only what a platform sees, keeps every arrival instant, and trusts nothing that the sender
says about itself. Instants are seconds of the judge's own monotonic clock; it never reads a clock.
"""

from array import array
from bisect import bisect_right
from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from huntaze_pipeline.local.simulator.behaviour import Limit

DELIVERED = frozenset({"accepted", "reset_accepted", "silent_accepted"})
"""Verdicts after which the recipient has the message."""
LIMITED = frozenset({"limited", "too_fast"})


@dataclass(slots=True)
class Account:
    """One sending account as the platform knows it."""

    platform: str
    name: str
    arrivals: "array[float]" = field(default_factory=lambda: array("d"))
    verdicts: Counter[str] = field(default_factory=Counter)
    banned_at: float | None = None
    head: int = 0
    """Index of the oldest arrival inside the window that ends now."""
    window_s: float = 60
    peak: int = 0
    """Most arrivals in any window so far, exact: a window is fullest when an arrival ends it."""

    def arrive(self, at: float) -> int:
        """Count an arrival and return how many the window (at - window, at] now holds."""
        self.arrivals.append(at)
        while self.arrivals[self.head] <= at - self.window_s:
            self.head += 1
        count = len(self.arrivals) - self.head
        self.peak = max(self.peak, count)
        return count

    def within(self, at: float, window_s: float) -> int:
        """Return how many arrivals lie in (at - window_s, at]."""
        return bisect_right(self.arrivals, at) - bisect_right(self.arrivals, at - window_s)

    def measure(self, window_s: float) -> None:
        """Take another window and count every arrival again under it."""
        instants, self.arrivals = self.arrivals, array("d")
        self.window_s, self.head, self.peak = window_s, 0, 0
        for instant in instants:
            self.arrive(instant)


def fullest(instants: Iterable[float], window_s: float) -> int:
    """Return the most of some instants in any (t - window_s, t]."""
    account = Account("", "", window_s=window_s)
    for at in sorted(instants):
        account.arrive(at)
    return account.peak


class Judge:
    """All accounts of all platforms."""

    def __init__(self) -> None:
        self.accounts: dict[tuple[str, str], Account] = {}
        self.delivered: Counter[str] = Counter()
        """How often each message reached its recipient."""
        self.deliveries = 0
        self.turns: Counter[str] = Counter()
        """How often each message came, whatever became of it."""
        self.minutes: dict[int, list[int]] = defaultdict(lambda: [0, 0])
        self.began: float | None = None

    def arrive(self, platform: str, account: str, at: float, limit: Limit) -> tuple[Account, int]:
        """Count an arrival; return the account and the arrivals in its rolling window.

        Exceeding the limit bans the account from this arrival on, if the platform bans.
        """
        known = self._account(platform, account, limit.window_s)
        count = known.arrive(at)
        self.began = at if self.began is None else self.began
        self.minutes[int((at - self.began) // 60)][0] += 1
        if count > limit.count and limit.ban and known.banned_at is None:
            known.banned_at = at
        return known, count

    def rule(self, account: Account, at: float, message: str, verdict: str) -> None:
        """Note what became of an arrival."""
        account.verdicts[verdict] += 1
        self.turns[message] += 1
        if verdict in DELIVERED:
            self.delivered[message] += 1
            self.deliveries += 1
            self.minutes[int((at - (self.began or at)) // 60)][1] += 1

    def measure(self, platform: str, window_s: float) -> None:
        """Judge a platform's accounts by another window from now on, past arrivals included."""
        for account in self.accounts.values():
            if account.platform == platform and account.window_s != window_s:
                account.measure(window_s)

    def summary(self, window_s: float) -> dict[str, Any]:
        """Return the totals of everything since the start or the last reset."""
        totals = self._totals(list(self.accounts.values()))
        unique = len(self.delivered)
        return {
            **totals,
            "unique_messages": unique,
            "duplicates": self.deliveries - unique,
            "window_s": window_s,
            "per_minute": [
                {"minute": minute, "arrivals": counts[0], "accepted": counts[1]}
                for minute, counts in sorted(self.minutes.items())
            ],
            "platforms": {
                name: self._totals([a for a in self.accounts.values() if a.platform == name])
                for name in sorted({a.platform for a in self.accounts.values()})
            },
        }

    def account(self, name: str) -> list[dict[str, Any]]:
        """Describe the accounts of this name, one per platform that knows it."""
        return [
            {
                "platform": known.platform,
                "account": known.name,
                **self._totals([known]),
                "banned_at": known.banned_at,
                "arrival_instants": list(known.arrivals[-1000:]),
            }
            for known in self.accounts.values()
            if known.name == name
        ]

    def _account(self, platform: str, name: str, window_s: float) -> Account:
        key = (platform, name)
        if key not in self.accounts:
            self.accounts[key] = Account(platform, name, window_s=window_s)
        return self.accounts[key]

    @staticmethod
    def _totals(accounts: list[Account]) -> dict[str, Any]:
        verdicts: Counter[str] = Counter()
        for account in accounts:
            verdicts.update(account.verdicts)
        return {
            "arrivals": sum(len(account.arrivals) for account in accounts),
            "accepted": sum(verdicts[name] for name in DELIVERED),
            "refused": verdicts["refused"] + verdicts["banned"],
            "limited": sum(verdicts[name] for name in LIMITED),
            "bans": sum(account.banned_at is not None for account in accounts),
            "accounts": len(accounts),
            "max_in_any_window": max((account.peak for account in accounts), default=0),
            "verdicts": dict(sorted(verdicts.items())),
        }
