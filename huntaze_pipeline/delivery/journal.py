"""What a sender says: one JSON line per message, ids and outcomes, never content or addresses.

Lines of a batch are written at once. Repeated pauses are said once per change.
"""

import json
import threading
import time
from collections.abc import Sequence
from typing import Any, TextIO

from huntaze_pipeline.clock import Clock
from huntaze_pipeline.delivery.limiter import Grant
from huntaze_pipeline.delivery.results import Result

_QUIET = frozenset({"gone", "early", "locked", "void"})
"""Stops that are part of the machinery and change nothing."""
_REPEAT_S = 10.0
_STRANGE = 10_000
"""Ids of unreadable notes that are remembered."""


class Journal:
    """The log of one sender. Safe to use from several threads."""

    def __init__(self, worker: str, clock: Clock, out: TextIO | None) -> None:
        self._worker = worker
        self._clock = clock
        self._out = out
        self._lock = threading.Lock()
        self._said: dict[str, tuple[str, float]] = {}
        self._strange: set[str] = set()

    def sent(
        self, found: Sequence[Result], took: Sequence[float], kept: set[tuple[str, str]]
    ) -> None:
        """Log the results of calls."""
        self._write(
            [
                {
                    "event": "message",
                    "message_id": r.intent.outgoing.message_id,
                    "creator_id": r.intent.creator_id,
                    "account_id": r.intent.outgoing.account_id,
                    "platform": r.intent.platform,
                    "outcome": r.outcome.kind.value,
                    "state": r.resolution.state,
                    "status_code": r.outcome.status_code,
                    "fence": r.intent.fence,
                    "kept": (r.intent.creator_id, r.intent.outgoing.message_id) in kept,
                    "took_ms": round(seconds * 1000, 1),
                }
                for r, seconds in zip(found, took, strict=True)
            ]
        )

    def stopped(self, grant: Grant, reason: str) -> None:
        """Log a message that the last gates held back."""
        if reason not in _QUIET:
            line = {"event": "stopped", "message_id": grant.message_id, "reason": reason}
            self._write([line | {"creator_id": grant.creator_id, "account_id": grant.account_id}])

    def pause(self, what: str, error: Exception) -> None:
        """Log that something waits for a service; the same words only now and then."""
        words = _words(error)
        now = time.monotonic()
        with self._lock:
            before, at = self._said.get(what, ("", 0.0))
            if words == before and now - at < _REPEAT_S:
                return
            self._said[what] = (words, now)
        self._write([{"event": "pause", "what": what, "error": words}])

    def strange(self, note_id: str) -> None:
        """Log that an SQS message is no note, once, however often it comes."""
        with self._lock:
            if note_id in self._strange:
                return
            if len(self._strange) >= _STRANGE:
                self._strange.clear()
            self._strange.add(note_id)
        self._write([{"event": "unreadable", "note_id": note_id}])

    def note(self, words: str) -> None:
        """Log a fact about the sender itself."""
        self._write([{"event": "note", "words": words}])

    def _write(self, lines: Sequence[dict[str, Any]]) -> None:
        if self._out is None or not lines:
            return
        head = {"at": self._clock().isoformat(), "worker": self._worker}
        text = "".join(json.dumps(head | line) + "\n" for line in lines)
        with self._lock:
            self._out.write(text)
            self._out.flush()


def _words(error: Exception) -> str:
    """The first line of what went wrong; statements and their parameters stay out of the log."""
    cause = getattr(error, "orig", None) or error
    return f"{type(error).__name__}: {(str(cause).strip().splitlines() or [''])[0][:200]}"
