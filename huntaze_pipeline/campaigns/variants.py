"""Who gets which arm of a test, and who is kept out: a stable hash, the same for ever.

The hash is salted with the experiment (or campaign), so arms of different tests are independent.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from huntaze_pipeline import hashing


@dataclass(frozen=True, slots=True)
class Variant:
    """One arm: its share and what it says differently."""

    id: str
    weight: float
    template_id: str | None = None
    variables: Mapping[str, Any] = field(default_factory=dict)


def assign(variants: Sequence[Variant], experiment: str, fan_id: str) -> Variant | None:
    """Return the fan's arm; None when there are no arms.

    Args:
        variants: in order of position; weights are relative.
        experiment: what salts the hash: creator and experiment id.
        fan_id: the fan.
    """
    total = sum(variant.weight for variant in variants)
    if total <= 0:
        return None
    point = hashing.fraction("variant", experiment, fan_id) * total
    upto = 0.0
    for variant in variants:
        upto += variant.weight
        if point < upto:
            return variant
    return next(v for v in reversed(variants) if v.weight > 0)


def in_test(share: float, experiment: str, fan_id: str) -> bool:
    """Say whether a fan belongs to the share of the audience that is tested on."""
    return share >= 1 or hashing.fraction("share", experiment, fan_id) < share


def held_out(share: float, campaign: str, fan_id: str) -> bool:
    """Say whether a fan belongs to the share that is kept out of a campaign on purpose."""
    return share > 0 and hashing.fraction("holdout", campaign, fan_id) < share


def capped(fans: Sequence[str], cap: int | None, campaign: str) -> list[str]:
    """Return at most `cap` fans, chosen by a stable hash, in their given order."""
    if cap is None or len(fans) <= cap:
        return list(fans)
    ranked = sorted(fans, key=lambda fan: hashing.fraction("cap", campaign, fan))
    kept = set(ranked[:cap])
    return [fan for fan in fans if fan in kept]
