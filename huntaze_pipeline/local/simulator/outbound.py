"""Receipts that are still to be posted: a journal on disk and a short queue in memory.

Every plan is a line of the journal; memory holds only (when, where in the file, which step) of at
most `_ROOM` messages, and the rest is read when there is room. What the webhook took is noted, so a
new process goes on where the old one stopped. Posting is `courier`'s work.
"""

import heapq
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from huntaze_pipeline.local.simulator import receipts
from huntaze_pipeline.local.simulator.behaviour import Behaviour
from huntaze_pipeline.local.simulator.journal import Journal

_ROOM = 200_000


class Planned(Protocol):
    """What a plan needs to know of an arrival."""

    @property
    def platform(self) -> str: ...  # noqa: D102
    @property
    def account(self) -> str: ...  # noqa: D102
    @property
    def message(self) -> str: ...  # noqa: D102
    @property
    def text(self) -> str: ...  # noqa: D102


class Due(NamedTuple):
    """One receipt that waits: its instant (epoch seconds), its plan's offset and its step."""

    at: float
    offset: int
    step: int
    era: int
    """Rises with every reset: what was taken before it is not confirmed after it."""


class Outbound:
    """The receipts of all messages, in the order in which they are due."""

    def __init__(self, folder: Path) -> None:
        self.plans = Journal(folder / "receipts.jsonl")
        self.taken = Journal(folder / "receipts.taken.jsonl")
        self._era = 0
        self._clear()
        self._done: dict[int, int] = {}
        for _, line in self.taken.lines():
            for offset, step in line["taken"]:
                self._done[offset] = max(self._done.get(offset, 0), step + 1)
                self.posted += 1
        self._load()

    def plan(self, behaviour: Behaviour, arrival: Planned, ref: str | None, now: datetime) -> None:
        """Decide what the fan does with a message and remember it."""
        steps = receipts.plan(
            behaviour.receipts, behaviour.seed, arrival.platform, arrival.message, arrival.text
        )
        line = {
            "message_id": arrival.message, "platform_ref": ref, "platform": arrival.platform,
            "account_id": arrival.account, "currency": behaviour.receipts.currency,
            "at": now.isoformat(),
            "steps": [[s.kind, round(s.after_s, 3), s.value, s.user_agent] for s in steps],
        }  # fmt: skip
        caught_up = self._cursor == self.plans.end
        offset = self.plans.append(line)
        if caught_up and len(self._queue) < _ROOM:
            self._cursor = self.plans.end
            self._push(offset, line, 0)

    def due(self, now: datetime, most: int) -> list[tuple[Due, dict[str, Any]]]:
        """Take receipts whose time has come; each must be given to `confirm` or `put_back`."""
        self._load()
        ready: list[tuple[Due, dict[str, Any]]] = []
        while self._queue and len(ready) < most and self._queue[0].at <= now.timestamp():
            due = heapq.heappop(self._queue)
            ready.append((due, _receipt(self.plans.read(due.offset)[0], due)))
        return ready

    def next_at(self) -> float | None:
        """Return when the next receipt is due, in epoch seconds."""
        return self._queue[0].at if self._queue else None

    def confirm(self, taken: list[Due]) -> None:
        """Note that the webhook took these; the next step of each message may follow."""
        taken = [due for due in taken if due.era == self._era]
        self.taken.append({"taken": [[due.offset, due.step] for due in taken]})
        self.posted += len(taken)
        for due in taken:
            self._push(due.offset, self.plans.read(due.offset)[0], due.step + 1)

    def put_back(self, refused: list[Due]) -> None:
        """Keep these for another try."""
        self.failures += 1
        for due in refused:
            if due.era == self._era:
                heapq.heappush(self._queue, due)

    def counts(self) -> dict[str, int]:
        """Return how many were posted, how many messages wait, and how many posts failed."""
        return {"posted": self.posted, "waiting": len(self._queue), "failed_posts": self.failures}

    def reset(self) -> None:
        """Forget all of it; the files are put aside."""
        self.plans.rotate()
        self.taken.rotate()
        self._done = {}
        self._era += 1
        self._clear()

    def close(self) -> None:
        """Close the files."""
        self.plans.close()
        self.taken.close()

    def _clear(self) -> None:
        self._queue: list[Due] = []
        self._cursor = 0
        self.posted = 0
        self.failures = 0

    def _load(self) -> None:
        """Read plans into the queue while there is room."""
        while self._cursor < self.plans.end and len(self._queue) < _ROOM:
            offset = self._cursor
            line, self._cursor = self.plans.read(offset)
            self._push(offset, line, self._done.pop(offset, 0))

    def _push(self, offset: int, line: dict[str, Any], step: int) -> None:
        if step < len(line["steps"]):
            began = datetime.fromisoformat(line["at"]).timestamp()
            at = began + line["steps"][step][1]
            heapq.heappush(self._queue, Due(at, offset, step, self._era))


def _receipt(plan: dict[str, Any], due: Due) -> dict[str, Any]:
    """Return one receipt as it is posted; its id is the same however often it is sent."""
    kind, after_s, value, agent = plan["steps"][due.step]
    occurred = datetime.fromisoformat(plan["at"]) + timedelta(seconds=after_s)
    return {
        "id": f"{plan['platform_ref']}:{kind}", "kind": kind, "message_id": plan["message_id"],
        "platform_ref": plan["platform_ref"], "account_id": plan["account_id"],
        "platform": plan["platform"], "occurred_at": occurred.isoformat(), "value": value,
        "currency": plan["currency"] if value is not None else None, "user_agent": agent,
    }  # fmt: skip
