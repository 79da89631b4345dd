"""What a program holds of the limiter: answers, and passes to give back.

Here: values only. Not here: where they come from (`ratelimiter`).
"""

import asyncio
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from types import TracebackType
from typing import NamedTuple, Self

from huntaze_pipeline.delivery.limiter import Permit


@dataclass(slots=True)
class Pass:
    """The right to one call, from before the call until it has ended.

    As a context manager it ends with the block: the call was made, even when it raised, unless
    `unused` or `lost` said otherwise.
    """

    account: str
    handle: tuple[int, int]
    """What Redis knows the permit by, among those of the account: lease end and serial."""
    shard: int
    _end: Callable[[Iterable["Pass"]], None]
    permit: Permit = Permit.SPENT

    def unused(self) -> None:
        """Say that the call was certainly not made: the permit is free again."""
        self.permit = Permit.UNUSED

    def lost(self) -> None:
        """Say that the answer was lost: the call may still arrive, until the lease ends."""
        self.permit = Permit.HELD

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        self._end([self])

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        await asyncio.to_thread(self._end, [self])


class Answer(NamedTuple):
    """What one account got."""

    passes: tuple[Pass, ...]
    wait_s: float | None
    """Seconds until the next permit; None when that hangs on calls that have not ended."""
