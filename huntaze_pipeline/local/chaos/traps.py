"""Traps: a process that reaches a set trap kills itself, as `kill -9` would, and only one does.

A trap is a file named by its point. The first process that manages to remove it dies. Traps are
laid around the calls of the parts that a sender or relay is made of, so the code that runs is the
one that runs in production, and it knows nothing of them.
"""

import asyncio
import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

from huntaze_pipeline.delivery.outfit import Parts
from huntaze_pipeline.local.chaos import points
from huntaze_pipeline.local.chaos.points import Point

DURING_S = 0.01
"""How long a call has been on its way when its process dies: the platforms answer later."""


class Traps:
    """The traps of one run, in a folder that all its processes see."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def arm(self, number: int) -> None:
        """Let the next process that reaches the point die there."""
        self._folder.mkdir(exist_ok=True)
        self._place(number).touch()

    def waiting(self) -> set[int]:
        """Return the points whose traps nobody has reached."""
        return {int(place.name) for place in self._folder.glob("*")}

    def lift(self) -> None:
        """Remove what nobody has reached."""
        for place in self._folder.glob("*"):
            place.unlink(missing_ok=True)

    def reach(self, number: int) -> None:
        """Die here if the trap is set."""
        try:
            self._place(number).unlink()
        except FileNotFoundError:
            return
        os.kill(os.getpid(), signal.SIGKILL)

    def _place(self, number: int) -> Path:
        return self._folder / str(number)


def lay(traps: Traps, made: Parts, *, role: str) -> None:
    """Lay the traps of a role around the parts of a process.

    Args:
        traps: of this run.
        made: the parts, before anything uses them.
        role: `sender` or `relay`. What both do is one point each, but parking is two.
    """
    for name in ("send", "receive", "delete"):
        _around(traps, made.queue, "queue", name)
    if role == "relay":
        _around(traps, made.limiter, "direct", "enqueue")
        return
    for name in ("claim", "commit"):
        _around(traps, made.limiter, "limiter", name)
    _around(traps, made.limiter.redis, "limiter", "restore")
    _after_rebuild(traps, made.limiter.redis)
    for platform in made.platforms.values():
        _around_async(traps, platform, "platform", "send")
        _around_async(traps, platform, "platform", "look_up")


def _around(traps: Traps, target: Any, part: str, name: str) -> None:
    call: Callable[..., Any] = getattr(target, name)
    before = [p.number for p in points.at(part, name) if not p.after]
    after = [p.number for p in points.at(part, name) if p.after]

    def trapped(*args: Any, **kwargs: Any) -> Any:
        for number in before:
            traps.reach(number)
        answer = call(*args, **kwargs)
        if _worth(name, answer):
            for number in after:
                traps.reach(number)
        return answer

    setattr(target, name, trapped)


def _worth(name: str, answer: Any) -> bool:
    """An empty-handed claim or receive changed nothing."""
    if name == "claim":
        return bool(answer.grants)
    return bool(answer) if name == "receive" else True


def _around_async(traps: Traps, target: Any, part: str, name: str) -> None:
    call: Callable[..., Any] = getattr(target, name)
    trap = points.at(part, name)

    async def trapped(*args: Any, **kwargs: Any) -> Any:
        for point in trap:
            if not (point.after or point.during):
                traps.reach(point.number)
        dying = [asyncio.create_task(_soon(traps, point)) for point in trap if point.during]
        answer = await call(*args, **kwargs)
        for task in dying:
            task.cancel()
        for point in trap:
            if point.after:
                traps.reach(point.number)
        return answer

    setattr(target, name, trapped)


async def _soon(traps: Traps, point: Point) -> None:
    await asyncio.sleep(DURING_S)
    traps.reach(point.number)


def _after_rebuild(traps: Traps, limiter: Any) -> None:
    """Between the commit of a rebuild and its first parked message: `enqueue` under a new epoch."""
    restore, enqueue = limiter.restore, limiter.enqueue
    made: set[str] = set()

    def restored(epoch: str, *args: Any, **kwargs: Any) -> Any:
        answer = restore(epoch, *args, **kwargs)
        made.add(epoch)
        return answer

    def parked(*args: Any, **kwargs: Any) -> Any:
        if limiter.epoch in made:
            made.discard(limiter.epoch)
            for point in points.at("rebuilt", "enqueue"):
                traps.reach(point.number)
        return enqueue(*args, **kwargs)

    limiter.restore, limiter.enqueue = restored, parked
