"""How long messages that wait will take, from the accounts' queues and limits alone. Pure.

A closed form, no simulation: the slowest account decides. Which messages wait is `progress`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

LATENCY_S = 0.5
"""Typical time of a platform's answer; an account's window starts when the call is over."""


@dataclass(frozen=True, slots=True)
class Line:
    """What waits at one account."""

    account_id: str
    count: int
    """How many calls the account may make in any window; above 0."""
    window_s: float
    due: Mapping[float, int] = field(default_factory=dict)
    """Seconds until they may go (0: now) to how many messages."""
    used: int = 0
    """Calls of the last window; each blocks a permit for at most one window more."""


def seconds(line: Line) -> float:
    """Return after how long the last message of a line has gone.

    The account works without a break from some instant on: those that are due then or later need
    their windows from there. The latest end over all instants is the answer.
    """
    ends, behind = [0.0], 0
    for start in sorted(line.due, reverse=True):
        behind += line.due[start]
        busy = min(line.used, line.count) if start < line.window_s else 0
        ends.append(start + _drain(behind, busy, line))
    return max(ends)


def _drain(messages: int, busy: int, line: Line) -> float:
    """Return how long messages that may all go take: whole windows, and the last one's answer."""
    if messages <= 0:
        return 0.0
    windows = (messages + busy - 1) // line.count
    return windows * (line.window_s + LATENCY_S) + LATENCY_S


def total(lines: Sequence[Line]) -> float:
    """Return after how many seconds the last message of all lines has gone; lines go side by side.

    With no line it is 0.
    """
    return max(map(seconds, lines), default=0.0)


def sentence(lines: Sequence[Line]) -> str:
    """Say it: "1,200 messages on 50 accounts at 10 a minute: about 3 min"."""
    waiting = sum(sum(line.due.values()) for line in lines)
    if not waiting:
        return "nothing waits"
    rates = sorted({60 * line.count / line.window_s for line in lines})
    rate = f"{rates[0]:,.3g}" + (f" to {rates[-1]:,.3g}" if len(rates) > 1 else "")
    accounts = _many(len(lines), "account")
    return f"{_many(waiting, 'message')} on {accounts} at {rate} a minute: {about(total(lines))}"


def about(duration: float) -> str:
    """Return a duration as a person says it, rounded up: seconds, minutes, hours or days."""
    for length, unit in ((1, "s"), (60, "min")):
        count = -int(-duration // length)
        if count < 90:
            return f"about {max(count, 1)} {unit}"
    if duration > 48 * 3600:
        return f"about {_two(-int(-duration // 3600), 24, 'days', 'h')}"
    return f"about {_two(-int(-duration // 60), 60, 'h', 'min')}"


def _two(count: int, size: int, large: str, small: str) -> str:
    """Say a count in two units: 8 h 20 min."""
    whole, rest = divmod(count, size)
    return f"{whole} {large}" + (f" {rest} {small}" if rest else "")


def _many(number: int, name: str) -> str:
    return f"{number:,} {name}{'s' if number != 1 else ''}"
