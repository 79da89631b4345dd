"""The sender as an AWS Lambda function on the SQS trigger; `handler` is what Lambda calls.

One invocation parks the notes that it is given, sends what may be sent within the time it has, and
ends; the sender itself is `sender`'s, the same as in a process of its own. What must wait for its
account's window waits in Redis, not in an invocation that is paid for: a schedule (an event without
records, once a minute) sends it. deploy/aws/lambda.yaml has both.
"""

import asyncio
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from huntaze_pipeline import settings
from huntaze_pipeline.delivery import worker
from huntaze_pipeline.delivery.limiter import Parcel
from huntaze_pipeline.delivery.outfit import Options, Parts
from huntaze_pipeline.delivery.queue import decode
from huntaze_pipeline.delivery.sender import Sender
from huntaze_pipeline.delivery.stamina import AWAY

OPTIONS = Options(
    concurrency=50, timeout_s=5.0, drain_s=6.0, receivers=0, relay=True, patience_s=2.0
)
"""A call ends well before the function is cut off; slots further away than `patience_s` are left
to the next invocation. Lambda receives, so the sender does not; due decisions are rung for."""
RESERVE_S = OPTIONS.drain_s + 2.0
"""This long before its time is over, an invocation claims nothing more; its calls may end."""


class Context(Protocol):
    """The part of Lambda's context object that is used."""

    def get_remaining_time_in_millis(self) -> int:
        """How long this invocation may still run."""
        ...


@dataclass(frozen=True, slots=True)
class Mail:
    """What an SQS event holds."""

    parcels: list[Parcel]
    readable: list[str]
    """Ids of the SQS messages that were notes."""
    strange: list[str]
    """Ids of the others: they stay until SQS moves them to the dead-letter queue."""


def handler(event: Mapping[str, Any], context: Context) -> dict[str, Any]:
    """Take an SQS event, or a scheduled one, and send what can be sent now.

    Returns:
        `batchItemFailures`, as Lambda's partial batch response wants it: notes that could not be
        parked (Redis or PostgreSQL is away) and bodies that are no notes. SQS keeps those.
    """
    return _function().invoke(event, context.get_remaining_time_in_millis() / 1000)


class Function:
    """What one Lambda environment keeps from one invocation to the next: loop and connections."""

    def __init__(self, parts: Parts, options: Options = OPTIONS) -> None:
        self._parts = parts
        self._options = options
        self._runner = asyncio.Runner()

    def invoke(self, event: Mapping[str, Any], remaining_s: float) -> dict[str, Any]:
        """Park the notes, then work until nothing can be sent soon or the time is nearly over."""
        until = time.monotonic() + remaining_s - RESERVE_S
        mail = sorted_out(event.get("Records") or [])
        for name in mail.strange:
            self._parts.journal.strange(name)
        try:
            if mail.parcels:
                self._parts.direct.park(mail.parcels)
        except AWAY as error:
            self._parts.journal.pause("park", error)
            return _failures([*mail.readable, *mail.strange])
        self._runner.run(self._send(until))
        return _failures(mail.strange)

    async def _send(self, until: float) -> None:
        stop = asyncio.Event()
        left = max(0.0, until - time.monotonic())
        timer = asyncio.get_running_loop().call_later(left, stop.set)
        try:
            await Sender(self._parts, self._options).run(stop, until_idle=True)
        finally:
            timer.cancel()

    def close(self) -> None:
        """Release the loop and the connections."""
        for platform in self._parts.platforms.values():
            self._runner.run(platform.close())
        self._runner.close()
        worker.close(self._parts)


def sorted_out(records: Sequence[Mapping[str, Any]]) -> Mail:
    """Read the bodies of an SQS event's records, each by itself.

    What has no id is not from SQS: it can neither be kept nor named in the answer.
    """
    mail = Mail([], [], [])
    for record in records:
        name = record.get("messageId") if isinstance(record, dict) else None
        if not isinstance(name, str):
            continue
        try:
            mail.parcels.extend(decode(record.get("body", "")))
            mail.readable.append(name)
        except ValueError:
            mail.strange.append(name)
    return mail


def _failures(ids: Sequence[str]) -> dict[str, Any]:
    return {"batchItemFailures": [{"itemIdentifier": one} for one in ids]}


_kept: list[Function] = []


def _function() -> Function:
    """Make the function's world at the first invocation: a fault is then in Lambda's log."""
    if not _kept:
        _kept.append(Function(worker.parts(settings.load())))
    return _kept[0]
