"""What comes in and what is decided about it: an arrival, a verdict, and the answer's status.

Values only; deciding is `desk`'s work, and wording `dialects`'.
"""

from dataclasses import dataclass

from huntaze_pipeline import hashing

STATUS = {
    "accepted": 200, "replayed": 200, "silent_accepted": 200, "reset_accepted": 200, "reset": 200,
    "error": 503, "limited": 429, "too_fast": 429, "refused": 400, "banned": 403,
}  # fmt: skip
"""What kind of answer a verdict gets, in HTTP's words; a lost answer is logged as 0."""

_LOST = {"reset": "reset", "reset_accepted": "reset", "silent_accepted": "silent"}


@dataclass(frozen=True, slots=True)
class Arrival:
    """A message as a platform reads it off the wire."""

    platform: str
    account: str
    recipient: str
    message_id: str | None
    key: str | None
    text: str

    @property
    def message(self) -> str:
        """What the recipient would recognise it by: its id, its key or its words."""
        return self.message_id or self.key or hashing.content([self.recipient, self.text])


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the platform does with an arrival."""

    kind: str
    """accepted | replayed | reset_accepted | silent_accepted | reset | error | limited |
    too_fast | refused | banned"""
    reason: str | None = None
    ref: str | None = None
    retry_after_s: float | None = None
    delay_s: float = 0

    @property
    def lost(self) -> str | None:
        """How the answer gets lost, if it does: reset or silent."""
        name = self.reason if self.kind == "replayed" else self.kind
        return _LOST.get(name or "")
