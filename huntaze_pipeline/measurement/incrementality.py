"""What a campaign brought that would not have come by itself: treated fans against a holdout.

Credit says which message gets a purchase; a holdout says whether it would have happened anyway. All
from additive sums per arm. Who is in which arm, and what each spent, is the lake's.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from huntaze_pipeline.measurement import effects, fixed, moments
from huntaze_pipeline.measurement.moments import Array, Moments

Row = Mapping[str, Any]
LEAST = 100
"""Recipients that both arms must have before anything is claimed."""
RARE = 25
"""Buyers in an arm below which the interval is marked as rough: spending is skewed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Incremental:
    """The campaign's own effect on what its audience spent, in units of its currency."""

    creator_id: str
    campaign_id: str
    treated: int
    holdout: int
    per_recipient: float | None = None
    """Mean of the treated minus mean of the holdout."""
    revenue: float | None = None
    """`per_recipient` times the treated."""
    low: float | None = None
    high: float | None = None
    """The interval of `revenue`: Welch's t, two-sided."""
    p_value: float | None = None
    lift: float | None = None
    """`per_recipient` over the holdout's mean."""
    lift_low: float | None = None
    lift_high: float | None = None
    """Fieller's interval of the lift; null where the holdout's mean is not told from zero."""
    cost: float
    roi: float | None = None
    """(revenue - cost) / cost. The cost is booked, not estimated, so its interval is that of the
    revenue, shifted and scaled."""
    roi_low: float | None = None
    roi_high: float | None = None
    reason: str | None = None
    """Why a figure is null."""
    note: str | None = None


def incremental(rows: Iterable[Row], alpha: float = 0.05) -> list[Incremental]:
    """Compare each campaign's treated fans with its holdout.

    Args:
        rows: `creator_id, campaign_id, arm` (treated or holdout), `n`, `sum`, `sum_squares` (what
            fans paid and its squares, in units), and if they are known `buyers`, `fans` (also those
            whose window is not over), `cost_micros`, `unconverted` (payments that are in no sum for
            want of a rate) and `lacking` (which rate the campaign's own money lacks).
        alpha: error probability of the intervals, of both sides together.

    Returns:
        One result a campaign that has rows, ordered by creator and campaign.
    """
    pairs: dict[tuple[str, str], dict[str, Row]] = {}
    for row in rows:
        pairs.setdefault((row["creator_id"], row["campaign_id"]), {})[row["arm"]] = row
    keys = sorted(pairs)
    faults = [_fault(pairs[key]) for key in keys]
    good = [key for key, fault in zip(keys, faults, strict=True) if fault is None]
    estimates = iter(_estimates([pairs[key] for key in good], alpha))
    return [
        Incremental(**_base(key, pairs[key]), reason=fault)
        if fault is not None
        else _result(key, pairs[key], next(estimates))
        for key, fault in zip(keys, faults, strict=True)
    ]


def _fault(arms: Mapping[str, Row]) -> str | None:
    sizes = {arm: int(arms[arm]["n"]) if arm in arms else 0 for arm in ("treated", "holdout")}
    if not sizes["holdout"]:
        return "no holdout: nobody was kept out whose window is over"
    for arm, n in sizes.items():
        if n < LEAST:
            return f"{arm}: {n} fans whose window is over, fewer than {LEAST}"
    return None


def _estimates(arms: Sequence[Mapping[str, Row]], alpha: float) -> list[list[float | None]]:
    """Per campaign: difference, low, high, p, lift, lift's low and high."""
    kept, treated = (_moments([pair[arm] for pair in arms]) for arm in ("holdout", "treated"))
    gap = effects.absolute(kept, treated)
    interval = fixed.welch(gap, alpha)
    lift = effects.relative(kept, treated)
    low, high = fixed.fieller(kept, treated, alpha)
    columns = (
        gap.estimate, interval.low, interval.high, interval.p_value, lift.estimate, low, high,
    )  # fmt: skip
    return [list(row) for row in zip(*(_known(column) for column in columns), strict=True)]


def _moments(rows: Sequence[Row]) -> Moments:
    columns = ([float(row[name]) for row in rows] for name in ("n", "sum", "sum_squares"))
    return moments.general(*columns)


def _known(values: Array) -> list[float | None]:
    return [value if np.isfinite(value) else None for value in values.tolist()]


def _base(key: tuple[str, str], arms: Mapping[str, Row]) -> dict[str, Any]:
    sizes = {arm: int(arms[arm]["n"]) if arm in arms else 0 for arm in ("treated", "holdout")}
    costs = [row.get("cost_micros") or 0 for row in arms.values()]
    return {
        "creator_id": key[0], "campaign_id": key[1], **sizes, "cost": max(costs, default=0) / 1e6,
    }  # fmt: skip


def _result(
    key: tuple[str, str], arms: Mapping[str, Row], found: list[float | None]
) -> Incremental:
    base = _base(key, arms)
    gap, low, high, p_value, lift, lift_low, lift_high = found
    n, cost = base["treated"], base["cost"]
    revenue, low, high = (None if x is None else x * n for x in (gap, low, high))
    reason = _unpaid(arms, cost)
    back = [None if x is None or reason else (x - cost) / cost for x in (revenue, low, high)]
    if low is None:
        reason = "what fans spent does not vary in either arm: no interval is possible"
    return Incremental(
        **base, per_recipient=gap, revenue=revenue, low=low, high=high, p_value=p_value, lift=lift,
        lift_low=lift_low, lift_high=lift_high, roi=back[0], roi_low=back[1], roi_high=back[2],
        reason=reason, note=_note(arms),
    )  # fmt: skip


def _unpaid(arms: Mapping[str, Row], cost: float) -> str | None:
    """Say why nothing can be divided by the cost: half of it, or of what came, is none."""
    lacking = next((row["lacking"] for row in arms.values() if row.get("lacking")), None)
    if lacking:
        return f"{lacking}: no ROI"
    left = sum(row.get("unconverted") or 0 for row in arms.values())
    if left:
        return f"{left} payments have no rate to the creator's currency and are left out: no ROI"
    return None if cost > 0 else "no cost is recorded: no ROI"


def _note(arms: Mapping[str, Row]) -> str | None:
    few = [f"{arm} {row['buyers']}" for arm, row in arms.items() if row.get("buyers") is not None
           and row["buyers"] < RARE]  # fmt: skip
    told = [f"few buyers ({', '.join(sorted(few))}): the interval is rough"] if few else []
    treated = arms["treated"]
    if (treated.get("fans") or 0) > treated["n"]:
        told.append(
            f"of {treated['fans']} treated {treated['n']} count so far, and all of the cost: more"
            " revenue may come"
        )
    return "; ".join(told) or None
