"""Which touch earns which part of a conversion: first, last, linear, time decay, position based.

Rules: touches are ordered by time, then event id; a touch exactly one look-back before its
conversion counts, one at the same instant counts, a later one does not. Credits are whole micros
that add up to the conversion's value. Models on whole paths are in `markov` and `shapley`; what
the lake's tables hold is computed in SQL (`marts.fct_credits`) by the same rules.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from functools import cached_property
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from huntaze_pipeline.measurement import credits
from huntaze_pipeline.measurement.moments import Array

MODELS = ("first", "last", "linear", "linear_unique", "time_decay", "position")
WHOLE = ("first", "last")
"""Models that give one touch everything."""
MICROS = 1_000_000


@dataclass(frozen=True, slots=True)
class Rules:
    """What counts and how much."""

    lookback: timedelta = timedelta(days=30)
    half_life: timedelta = timedelta(days=7)
    position: tuple[float, float, float] = (0.4, 0.2, 0.4)
    """First touch, all middle ones together, last touch; scaled to 1 when a path is shorter."""
    collapse: bool = False
    """Whether consecutive touches of one channel count as one (the latest of them)."""


@dataclass(frozen=True)
class Journeys:
    """Touches of conversions in rows, those of one conversion next to each other, in order."""

    names: list[str]
    """Channels, sorted."""
    code: NDArray[np.intp]
    """Of each touch, the position of its channel in `names`."""
    age: Array
    """Time from touch to conversion in seconds; NaN when paths come without times."""
    starts: NDArray[np.intp]
    """Position of each conversion's first touch."""
    value: credits.Ints
    """Micros of each conversion (or of all conversions of an aggregated path)."""
    weight: Array
    """Conversions that each journey stands for: 1, or the count of an aggregated path."""

    @property
    def channel(self) -> list[str]:
        """The channel of each touch."""
        return [self.names[place] for place in self.code]

    @cached_property
    def lengths(self) -> NDArray[np.intp]:
        """Touches of each journey."""
        return np.diff(np.append(self.starts, len(self.code)))

    @cached_property
    def journey(self) -> NDArray[np.intp]:
        """Of each touch, which journey it belongs to."""
        return np.repeat(np.arange(len(self.starts)), self.lengths)

    @cached_property
    def length(self) -> NDArray[np.intp]:
        """Of each touch, how many its journey has."""
        return self.lengths[self.journey]

    @cached_property
    def place(self) -> NDArray[np.intp]:
        """Of each touch, its place in its journey, from 0."""
        return np.arange(len(self.code)) - self.starts[self.journey]


@dataclass(frozen=True, slots=True)
class Joined:
    """Journeys, and what no touch can claim."""

    journeys: Journeys
    conversions: float
    """How many; a path of a file may stand for a part of one."""
    total: int
    """Value of all conversions, in micros."""
    unattributed: int
    unattributed_conversions: float


def join(touches: pl.DataFrame, conversions: pl.DataFrame, rules: Rules) -> Joined:
    """Give each conversion its touches.

    Args:
        touches: `fan_id`, `ts`, `channel` and `event_id` (its order among touches of one instant).
        conversions: `fan_id`, `ts`, `value_micros`.
        rules: look-back and whether repeats collapse.
    """
    numbered = conversions.with_row_index("conversion")
    within = numbered.select("conversion", "fan_id", pl.col("ts").alias("at"), "value_micros").join(
        touches, on="fan_id", how="inner"
    )
    age = (pl.col("at") - pl.col("ts")).dt.total_microseconds() / MICROS
    seen = (
        within.with_columns(age.alias("age"))
        .filter(pl.col("age").is_between(0, rules.lookback.total_seconds()))
        .sort("conversion", "ts", "event_id")
    )
    if rules.collapse:
        again = (pl.col("channel") == pl.col("channel").shift(-1)).over("conversion")
        seen = seen.filter(~again.fill_null(False))
    starts = np.flatnonzero(np.diff(seen["conversion"].to_numpy().astype(np.int64), prepend=-1))
    values = seen["value_micros"].to_numpy()[starts].astype(np.int64)
    total = sum(conversions["value_micros"].to_list())
    names, code = coded(seen["channel"])
    journeys = Journeys(names, code, seen["age"].to_numpy(), starts, values, np.ones(len(starts)))
    rest = len(conversions) - len(starts)
    return Joined(journeys, len(conversions), total, total - sum(values.tolist()), rest)


def coded(channel: pl.Series) -> tuple[list[str], NDArray[np.intp]]:
    """Sorted distinct names, and the position of each value among them."""
    names = channel.unique().sort()
    code = channel.cast(pl.Enum(names)).to_physical().to_numpy()
    return names.to_list(), code.astype(np.intp)


def weights(journeys: Journeys, model: str, rules: Rules) -> Array:
    """Each touch's part of its conversion under a model; the parts of a journey add up to 1."""
    length, place = journeys.length, journeys.place
    first, last = place == 0, place == length - 1
    if model == "first":
        return first.astype(float)
    if model == "last":
        return last.astype(float)
    if model == "linear":
        return 1.0 / length
    if model == "linear_unique":
        return _unique(journeys)
    if model == "position":
        return _scaled(_positions(first, last, length, rules.position), journeys)
    # The youngest touch weighs 1: very old touches must not all underflow to nothing.
    youngest = np.minimum.reduceat(journeys.age, journeys.starts)[journeys.journey]
    raw = np.exp2(-(journeys.age - youngest) / rules.half_life.total_seconds())
    return _scaled(raw, journeys)


def credit(joined: Joined, rules: Rules, models: Sequence[str] = MODELS) -> dict[str, Any]:
    """Conversions and micros by model and channel; every model's micros add up to the same sum."""
    journeys = joined.journeys
    found: dict[str, Any] = {}
    for model in models:
        if model == "time_decay" and np.isnan(journeys.age).any():
            continue
        touch, part, micros = _credited(journeys, model, rules)
        code, each = journeys.code[touch], journeys.weight[journeys.journey[touch]]
        share = np.bincount(code, part * each, len(journeys.names))
        money = _sums(code, micros, len(journeys.names))
        found[model] = {
            name: {"conversions": float(count), "value_micros": value}
            for name, count, value in zip(journeys.names, share, money, strict=True)
        }
    return found


def _credited(
    journeys: Journeys, model: str, rules: Rules
) -> tuple[NDArray[np.intp] | slice, Array, credits.Ints]:
    """The touches that get something, their parts and their micros."""
    if model in WHOLE:
        touch = journeys.starts + (journeys.lengths - 1 if model == "last" else 0)
        return touch, np.ones(len(touch)), journeys.value
    part = weights(journeys, model, rules)
    if model == "linear":
        return slice(None), part, credits.equal(journeys.value, journeys.starts, len(part))
    return slice(None), part, credits.split(journeys.value, part, journeys.starts)


def _sums(code: NDArray[np.intp], micros: credits.Ints, size: int) -> list[int]:
    """Exact sums by code; halves are added apart, so that neither sum can overflow."""
    low = np.bincount(code, micros & 0xFFFFFF, size)
    high = np.zeros(size, dtype=np.int64)
    np.add.at(high, code, micros >> 24)
    return [(int(h) << 24) + int(w) for h, w in zip(high, low, strict=True)]


def influenced(joined: Joined) -> dict[str, dict[str, float | int]]:
    """Per channel every conversion it touched, in full; adds up to more than there is."""
    journeys = joined.journeys
    size = len(journeys.names)
    pairs = np.unique(journeys.journey * max(size, 1) + journeys.code)
    where, code = np.divmod(pairs, max(size, 1))
    counts = np.bincount(code, journeys.weight[where], size)
    return {
        name: {"conversions": float(count), "value_micros": micros}
        for name, count, micros in zip(
            journeys.names, counts, _sums(code, journeys.value[where], size), strict=True
        )
    }


def _positions(
    first: NDArray[np.bool_], last: NDArray[np.bool_], length: NDArray[np.intp],
    parts: tuple[float, float, float],
) -> Array:  # fmt: skip
    middle = parts[1] / np.maximum(length - 2, 1)
    return np.where(first, parts[0], np.where(last, parts[2], middle))


def _scaled(raw: Array, journeys: Journeys) -> Array:
    if not len(journeys.starts):
        return raw
    total = np.add.reduceat(raw, journeys.starts)
    even = total <= 0
    share = raw / np.where(even, 1, total)[journeys.journey]
    return np.where(even[journeys.journey], 1 / journeys.length, share) if even.any() else share


def _unique(journeys: Journeys) -> Array:
    """Every channel of a journey gets the same, shared by its touches."""
    table = pl.DataFrame({"journey": journeys.journey, "channel": journeys.code})
    part = 1 / (pl.col("channel").n_unique().over("journey") * pl.len().over("journey", "channel"))
    return table.select(part.alias("part"))["part"].to_numpy()
