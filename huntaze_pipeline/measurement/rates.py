"""Rates of a campaign with their intervals: the lake's `metrics.campaign_rates`, for live counts.

What is counted is `analytics`' work.
"""

from dataclasses import dataclass

from huntaze_pipeline.measurement.analytics import Counts

RATES = {
    "delivery": ("delivered", "sent"), "open": ("opened", "sent"),
    "human_open": ("human_opened", "sent"), "click": ("clicked", "sent"),
    "human_click": ("human_clicked", "sent"), "click_to_open": ("clicked", "opened"),
    "human_click_to_open": ("human_clicked", "human_opened"), "conversion": ("converters", "sent"),
}  # fmt: skip
"""What of what: shares of the messages sent, for not every platform tells what it delivered."""
_Z2 = 3.8414588206941254
"""The square of the normal distribution's 97.5 % point."""


@dataclass(frozen=True, slots=True)
class Rate:
    """One share with its 95 % Wilson interval."""

    metric: str
    numerator: int
    denominator: int
    rate: float | None
    """None when there is nothing to be a share of, or more than all."""
    low: float | None
    high: float | None


def of(counts: Counts) -> list[Rate]:
    """Return every rate of one set of counts.

    Wilson (1927), "Probable inference, the law of succession, and statistical inference".
    """
    return [_rate(name, getattr(counts, x), getattr(counts, n)) for name, (x, n) in RATES.items()]


def _rate(metric: str, x: int, n: int) -> Rate:
    if not n > 0 or x > n:
        return Rate(metric, x, n, None, None, None)
    rate, w = x / n, _Z2 / n
    middle, width = rate + w / 2, (w * (rate * (1 - rate) + w / 4)) ** 0.5
    low = 0.0 if x == 0 else (middle - width) / (1 + w)
    high = 1.0 if x == n else (middle + width) / (1 + w)
    return Rate(metric, x, n, rate, low, high)
