"""What becomes of fans on their way through an automation when it changes. Pure.

The answer follows the rule's `on_change`, by the same `flow.moved` that the planner uses.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from huntaze_pipeline.rehearsal.standing import Rest
from huntaze_pipeline.rulebook import flow
from huntaze_pipeline.rulebook.flow import Program
from huntaze_pipeline.rulebook.live import LiveAutomation


@dataclass(frozen=True)
class Fate:
    """How fans who are on their way go on."""

    fans: int
    stay: int = 0
    """Go on with the version that they are in."""
    follow: int = 0
    """Go on with the new version from the same step."""
    restart: int = 0
    """Leave, and enter anew where the conditions hold."""
    cancelled: int = 0
    dropped: int = 0
    """Messages that were ahead of them and are not any more; at most, where steps choose."""
    added: int = 0
    """Messages that are ahead of them now and were not."""

    def plain(self) -> dict[str, int]:
        """Return it as JSON-like data."""
        return dict(vars(self))


def fate(
    rests: Iterable[Rest],
    versions: Mapping[str, LiveAutomation],
    after: LiveAutomation | None,
) -> Fate:
    """Return what becomes of the fans who rest in one automation.

    Args:
        rests: where they are.
        versions: the versions that they are in, by hash.
        after: what will be live; None when the automation stops.
    """
    counts: Counter[str] = Counter()
    for rest in rests:
        old = versions.get(rest.rule_hash)
        ahead = _ahead(old.program if old else None, rest.position)
        how, then = _goes_on(rest, old, after, ahead)
        counts.update({"fans": 1, how: 1})
        counts["dropped"] += sum((ahead - then).values())
        counts["added"] += sum((then - ahead).values())
    return Fate(**{"fans": 0, **counts})


def _goes_on(
    rest: Rest, old: LiveAutomation | None, after: LiveAutomation | None, ahead: Counter[str]
) -> tuple[str, Counter[str]]:
    """Return how one fan goes on, and the messages that are then ahead."""
    if after is None:
        return "cancelled", Counter()
    if after.rule_hash == rest.rule_hash or (old is not None and after.rule.on_change == "pin"):
        return "stay", ahead
    if old is None:  # its text was never kept: the planner takes the live version
        there = after.program.at(rest.position or 0) is not None
        return ("follow" if there else "cancelled"), _ahead(after.program, rest.position)
    if after.rule.on_change == "restart":
        return "restart", _ahead(after.program, 0)
    position = flow.moved(old.program, rest.position or 0, after.program)
    if position is None:
        return "cancelled", Counter()
    return "follow", _ahead(after.program, position)


def _ahead(program: Program | None, position: int | None) -> Counter[str]:
    """Count the messages that can still come, by what they say."""
    if program is None:
        return Counter()
    ops = program.ahead(position or 0, through=True)
    return Counter(_said(op.content) for op in ops if op.kind == "send")


def _said(content: Mapping[str, Any]) -> str:
    import json

    send = content.get("send") or {}
    return json.dumps({key: send.get(key) for key in ("template", "content")}, sort_keys=True)
