"""The numbered points of the crash table: the instants between two effects that outlive a process.

Whatever a process does in between is lost with it, so a kill at any instant is a kill at one of
these. Not here: how a process dies there (`traps`), nor when (`schedule`).
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Point:
    """One instant at which a process may die."""

    number: int
    where: str
    """What has happened and what has not."""
    part: str
    """Whose call the point belongs to: caller, queue, limiter, platform."""
    call: str
    after: bool
    """Whether the call was made; False: the process dies just before it."""
    during: bool = False
    """The process dies while it waits for the answer."""
    rebuild: bool = False
    """Only reached when Redis has lost its memory."""


POINTS = (
    Point(1, "rows written to the outbox, not committed", "caller", "commit", after=False),
    Point(2, "rows committed, the caller was not told", "caller", "commit", after=True),
    Point(3, "rows taken by the relay, SQS not rung", "queue", "send", after=False),
    Point(4, "SQS rung, rows not committed", "queue", "send", after=True),
    Point(5, "parked directly, rows not committed", "direct", "enqueue", after=True),
    Point(6, "note received, not parked", "queue", "receive", after=True),
    Point(7, "messages parked, note not deleted", "queue", "delete", after=False),
    Point(8, "permits taken, no intent", "limiter", "claim", after=True),
    Point(9, "intent committed, platform not called", "platform", "send", after=False),
    Point(10, "platform called, no answer yet", "platform", "send", after=False, during=True),
    Point(11, "answered, result not committed", "platform", "send", after=True),
    Point(12, "result committed, permit not settled", "limiter", "commit", after=False),
    Point(13, "permit settled, breaker not told", "limiter", "commit", after=True),
    Point(14, "platform asked about a lost answer, result not committed", "platform", "look_up",
          after=True),
    Point(15, "rebuild: the new epoch noted but not committed, Redis not told", "limiter",
          "restore", after=False, rebuild=True),
    Point(16, "rebuild: Redis told, the new epoch not committed", "limiter", "restore",
          after=True, rebuild=True),
    Point(17, "rebuild: the new epoch committed, the queues still empty", "rebuilt", "enqueue",
          after=False, rebuild=True),
)  # fmt: skip


def at(part: str, call: str) -> list[Point]:
    """Return the points around one call of one part."""
    return [point for point in POINTS if (point.part, point.call) == (part, call)]
