"""What goes wrong with a call, drawn from the seed: the same message fails the same way every time.

Pure: no counting, no clock, no socket. A message that comes again draws anew, so a share of 5xx is
a share of calls, and a retry has its own chance.
"""

import math
from dataclasses import dataclass
from statistics import NormalDist
from typing import Literal

from huntaze_pipeline import hashing
from huntaze_pipeline.local.simulator.behaviour import Conduct, Faults, Recipients

Fault = Literal["limited", "error", "reset", "reset_accepted", "silent_accepted"]
Refusal = Literal["invalid", "blocked", "closed"]

_FAULTS: tuple[Fault, ...] = ("limited", "error", "reset", "reset_accepted", "silent_accepted")
_SPREAD = 0.35
"""Sigma of the logarithm of latency: the 95th percentile is 1.8 times the median."""
_NORMAL = NormalDist()


@dataclass(frozen=True, slots=True)
class Call:
    """What identifies one call for the draw: the message and how often it has come before."""

    seed: str
    platform: str
    message: str
    turn: int

    def draw(self, name: str) -> float:
        """Return this call's number in [0, 1) for one question."""
        return hashing.fraction(self.seed, self.platform, name, self.message, str(self.turn))


def fault(faults: Faults, call: Call) -> Fault | None:
    """Return the one fault of this call, if any."""
    if not any(getattr(faults, name) for name in _FAULTS):
        return None
    left = call.draw("fault")
    for name in _FAULTS:
        left -= getattr(faults, name)
        if left < 0:
            return name
    return None


def latency(faults: Faults, call: Call) -> float:
    """Return how many seconds this call's answer takes."""
    if not faults.median_s and not faults.tail_share:
        return 0.0
    if faults.tail_share and call.draw("tail") < faults.tail_share:
        return faults.tail_s
    return faults.median_s * math.exp(_SPREAD * _NORMAL.inv_cdf(max(call.draw("latency"), 1e-9)))


def refusal(conduct: Conduct, seed: str, recipient: str) -> Refusal | None:
    """Return why this recipient can never be written to; nothing else matters for it."""
    known = conduct.recipients
    if _among(known, "invalid", seed, recipient):
        return "invalid"
    if _among(known, "blocked", seed, recipient):
        return "blocked"
    return "closed" if _among(known, "closed", seed, recipient) else None


def _among(known: Recipients, kind: Refusal, seed: str, recipient: str) -> bool:
    share = getattr(known, f"{kind}_share")
    return recipient in getattr(known, kind) or (
        share > 0 and hashing.fraction(seed, "recipient", kind, recipient) < share
    )
