"""The world of a run: one creator, accounts on all platforms, and messages known by heart.

The list of messages follows from their number, so the judge needs nobody to tell what should be
there. Texts and recipients differ, as a platform without keys is asked by the text.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import insert

from huntaze_pipeline.clock import system_clock
from huntaze_pipeline.delivery.limiter import BANDS
from huntaze_pipeline.rulebook.decision import Decision
from huntaze_pipeline.store.people import PLATFORMS, Account, Creator, Fan
from huntaze_pipeline.store.session import Store

CREATOR, FAN = "chaos", "fan"
FAULTS = {
    "median_s": 0.05, "tail_share": 0.03, "tail_s": 2.5, "limited": 0.02, "retry_after_s": 1,
    "error": 0.03, "reset": 0.01, "reset_accepted": 0.01, "silent_accepted": 0.01,
}  # fmt: skip
"""What the platforms do while the storm lasts: slow answers that come after the time-out too."""
CALM = {name: 0 for name in FAULTS if name not in ("median_s", "tail_s", "retry_after_s")}


@dataclass(frozen=True, slots=True)
class World:
    """How large, and how fast an account may send."""

    messages: int
    accounts: int
    limit: int
    window_s: float
    total: int = 0
    """Calls that all accounts of a platform together may make in a window; 0: no such limit."""

    @property
    def rounds(self) -> int:
        """How many windows full of messages there are, at least."""
        most = self.accounts * self.limit
        if self.total:
            most = min(most, self.total * len(PLATFORMS))
        return -(-self.messages // most)

    def restrain(self, policies: dict[str, Any]) -> None:
        """Write the shared limits into the policies that senders read."""
        for name in PLATFORMS if self.total else ():
            shared = {"count": self.total, "per": f"{self.window_s:g}s"}
            policies["platforms"][name]["total"] = shared

    def decisions(self, first: int, last: int, now: datetime) -> list[Decision]:
        """Return the decisions with these numbers."""
        return [self._decision(number, now) for number in range(first, min(last, self.messages))]

    def ids(self) -> set[str]:
        """Return the ids of all messages."""
        return {d.message_id for d in self.decisions(0, self.messages, system_clock())}

    def behaviour(self, seed: int) -> dict[str, Any]:
        """Return the simulator's settings."""
        limit = {"count": self.limit, "window_s": self.window_s, "ban": True}
        platforms = {"*": {"limit": limit, "faults": FAULTS}}
        return {"seed": f"chaos {seed}", "platforms": platforms}

    def prepare(self, store: Store) -> None:
        """Write the creator, the fan and the accounts."""
        owner = {"creator_id": CREATOR}
        with store.worker() as connection:
            connection.execute(insert(Creator).values(id=CREATOR, name="Chaos", zone="Etc/UTC"))
            connection.execute(insert(Fan), [owner | {"id": FAN, "name": "Fan"}])
            connection.execute(insert(Account), [owner | row for row in self._accounts()])

    def _accounts(self) -> Iterator[dict[str, Any]]:
        for number in range(self.accounts):
            yield {
                "id": _account(number), "platform": _platform(number), "handle": _account(number),
                "limit_count": self.limit, "limit_window_s": self.window_s,
            }  # fmt: skip

    def _decision(self, number: int, now: datetime) -> Decision:
        place = number % self.accounts
        platform = _platform(place)
        return Decision(
            creator_id=CREATOR, source="api", source_id="chaos", rule_hash="chaos", fan_id=FAN,
            occurrence=str(number), platform=platform, account_id=_account(place),
            address=f"fan-{number}" + ("@example.com" if platform == "email" else ""),
            subject=f"Number {number}" if platform == "email" else None,
            content=f"Message number {number}", priority=BANDS[number // self.accounts % 3],
            not_before=now, decided_at=now,
        )  # fmt: skip


def _account(number: int) -> str:
    return f"account-{number:04d}"


def _platform(number: int) -> str:
    return PLATFORMS[number % len(PLATFORMS)]
