"""The doorbell between the outbox and the senders: notes of ids in three priorities.

Here: what a queue is, and an in-memory one for tests. The real one is `sqs`. A note names messages
of one account and carries no content; one that comes twice, or too late, changes nothing.
"""

import json
import threading
import time
from collections import defaultdict, deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from huntaze_pipeline.delivery.limiter import BANDS, Parcel
from huntaze_pipeline.errors import ServiceError

BATCH = 10
"""Notes a call; SQS takes no more."""
BUNDLE = 50
"""Messages per note: SQS costs money, and time, by the note."""


class QueueError(ServiceError):
    """The queue does not answer or refuses."""


@dataclass(frozen=True, slots=True)
class Received:
    """A note that came: its messages, and the receipt with which it is deleted."""

    parcels: tuple[Parcel, ...]
    receipt: str


@dataclass(frozen=True, slots=True)
class Depth:
    """How many notes one queue holds, about."""

    name: str
    waiting: int
    in_flight: int
    dead: bool = False


class Redriven(NamedTuple):
    """What became of dead notes."""

    moved: int
    unreadable: int
    """No notes of ours; they stay where they are."""


class Queue(Protocol):
    """Three queues and one for the notes that nobody could take."""

    def send(self, parcels: Sequence[Parcel]) -> list[Parcel]:
        """Ring for these; return those that could not be sent.

        Raises:
            QueueError: nothing can be sent at all.
        """
        ...

    def receive(self, priority: str, *, wait_s: float) -> list[Received]:
        """Take up to ten notes of one priority, waiting for the first."""
        ...

    def delete(self, priority: str, received: Sequence[Received]) -> None:
        """Confirm notes; those not confirmed come again."""
        ...

    def depths(self) -> list[Depth]:
        """Count what is there."""
        ...

    def redrive(self) -> Redriven:
        """Move dead notes back where they came from, but for those that nobody can read."""
        ...

    def purge(self) -> None:
        """Drop every note. The messages stay in the outbox's table."""
        ...


def bundles(parcels: Iterable[Parcel]) -> list[list[Parcel]]:
    """Group parcels into notes: one account and priority each, at most `BUNDLE`."""
    groups: dict[tuple[str, str], list[Parcel]] = defaultdict(list)
    for parcel in parcels:
        groups[parcel.account_id, parcel.priority].append(parcel)
    return [
        group[start : start + BUNDLE]
        for group in groups.values()
        for start in range(0, len(group), BUNDLE)
    ]


def encode(parcels: Sequence[Parcel]) -> str:
    """Write a note for messages of one account and priority."""
    first = parcels[0]
    ids = [[p.creator_id, p.message_id, p.wanted_ms] for p in parcels]
    note = {"account": first.account_id, "priority": first.priority, "messages": ids}
    return json.dumps(note, separators=(",", ":"))


def decode(body: str) -> list[Parcel]:
    """Read a note.

    Raises:
        ValueError: the text is no note.
    """
    try:
        note = json.loads(body)
        account, priority = note["account"], note["priority"]
        parcels = [Parcel(c, m, account, priority, at) for c, m, at in note["messages"]]
    except (TypeError, KeyError, ValueError, RecursionError) as error:
        raise ValueError(f"not a note: {error}") from None
    if priority not in BANDS or not parcels or not all(map(_sound, parcels)):
        raise ValueError("not a note: an id, the priority or an instant is wrong")
    return parcels


def _sound(parcel: Parcel) -> bool:
    """Whether PostgreSQL and Redis can take it: a body may come from anybody."""
    ids = (parcel.creator_id, parcel.message_id, parcel.account_id)
    wanted = parcel.wanted_ms
    return all(map(_plain, ids)) and isinstance(wanted, int) and 0 <= wanted < 2**53


def _plain(text: object) -> bool:
    return isinstance(text, str) and not any(c < " " or "\ud800" <= c <= "\udfff" for c in text)


class MemoryQueue:
    """A queue in one process, for tests; `down` makes it refuse like a service that is away."""

    def __init__(self, *, visibility_s: float = 30.0, max_receives: int = 10) -> None:
        self.down = False
        self._visibility_s = visibility_s
        self._max = max_receives
        self._lock = threading.Lock()
        self._serial = 0
        self._waiting: dict[str, deque[tuple[str, int]]] = {band: deque() for band in BANDS}
        self._flying: dict[str, dict[str, tuple[float, str, int]]] = {b: {} for b in BANDS}
        self._dead: list[str] = []

    def send(self, parcels: Sequence[Parcel]) -> list[Parcel]:
        """Keep the notes."""
        self._check()
        with self._lock:
            for group in bundles(parcels):
                self._waiting[group[0].priority].append((encode(group), 0))
        return []

    def receive(self, priority: str, *, wait_s: float) -> list[Received]:
        """Hand out up to ten notes and hide them."""
        self._check()
        deadline = time.monotonic() + wait_s
        while not (notes := self._take(priority)) and time.monotonic() < deadline:
            time.sleep(0.01)
        return notes

    def delete(self, priority: str, received: Sequence[Received]) -> None:
        """Forget the notes."""
        self._check()
        with self._lock:
            for item in received:
                self._flying[priority].pop(item.receipt, None)

    def depths(self) -> list[Depth]:
        """Count exactly."""
        with self._lock:
            counts = [Depth(b, len(self._waiting[b]), len(self._flying[b])) for b in BANDS]
        return [*counts, Depth("dlq", len(self._dead), 0, dead=True)]

    def redrive(self) -> Redriven:
        """Queue the dead again."""
        with self._lock:
            dead, self._dead = self._dead, []
        self.send([parcel for body in dead for parcel in decode(body)])
        return Redriven(len(dead), 0)

    def purge(self) -> None:
        """Drop every note."""
        with self._lock:
            for band in BANDS:
                self._waiting[band].clear()
                self._flying[band].clear()
            self._dead.clear()

    def _check(self) -> None:
        if self.down:
            raise QueueError("the queue is away")

    def _take(self, priority: str) -> list[Received]:
        with self._lock:
            self._surface(priority)
            found = []
            while self._waiting[priority] and len(found) < BATCH:
                body, receives = self._waiting[priority].popleft()
                if receives >= self._max:
                    self._dead.append(body)
                    continue
                self._serial += 1
                receipt = str(self._serial)
                until = time.monotonic() + self._visibility_s
                self._flying[priority][receipt] = (until, body, receives + 1)
                found.append(Received(tuple(decode(body)), receipt))
        return found

    def _surface(self, priority: str) -> None:
        flying = self._flying[priority]
        for receipt, (until, body, receives) in list(flying.items()):
            if until <= time.monotonic():
                del flying[receipt]
                self._waiting[priority].append((body, receives))
