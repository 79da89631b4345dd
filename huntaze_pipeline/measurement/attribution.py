"""Which touch earns which part of a conversion: first, last, linear, time decay, position based.

Rules: touches are ordered by time, then event id; a touch exactly one look-back before its
conversion counts, one at the same instant counts, a later one does not. Credits are whole micros
that add up to the conversion's value. Models on whole paths are in `markov` and `shapley`; SQL
versions are not here.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from huntaze_pipeline.measurement import credits
from huntaze_pipeline.measurement.moments import Array

MODELS = ("first", "last", "linear", "linear_unique", "time_decay", "position")
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


@dataclass(frozen=True, slots=True)
class Journeys:
    """Touches of conversions in rows, those of one conversion next to each other, in order."""

    channel: list[str]
    age: Array
    """Time from touch to conversion in seconds; NaN when paths come without times."""
    starts: NDArray[np.intp]
    """Position of each conversion's first touch."""
    value: credits.Ints
    """Micros of each conversion (or of all conversions of an aggregated path)."""
    weight: Array
    """Conversions that each journey stands for: 1, or the count of an aggregated path."""

    @property
    def lengths(self) -> NDArray[np.intp]:
        """Touches of each journey."""
        return np.diff(np.append(self.starts, len(self.channel)))


@dataclass(frozen=True, slots=True)
class Joined:
    """Journeys, and what no touch can claim."""

    journeys: Journeys
    conversions: int
    total: int
    """Value of all conversions, in micros."""
    unattributed: int
    unattributed_conversions: int


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
    total = int(conversions["value_micros"].sum())
    journeys = Journeys(
        seen["channel"].to_list(), seen["age"].to_numpy(), starts, values, np.ones(len(starts))
    )
    rest = len(conversions) - len(starts)
    return Joined(journeys, len(conversions), total, total - int(values.sum()), rest)


def weights(journeys: Journeys, model: str, rules: Rules) -> Array:
    """Each touch's part of its conversion under a model; the parts of a journey add up to 1."""
    lengths = journeys.lengths
    length = np.repeat(lengths, lengths)
    place = np.arange(len(length)) - np.repeat(journeys.starts, lengths)
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
        return _scaled(_positions(first, last, length, rules.position), journeys.starts, lengths)
    # The youngest touch weighs 1: very old touches must not all underflow to nothing.
    youngest = np.repeat(np.minimum.reduceat(journeys.age, journeys.starts), lengths)
    raw = np.exp2(-(journeys.age - youngest) / rules.half_life.total_seconds())
    return _scaled(raw, journeys.starts, lengths)


def credit(joined: Joined, rules: Rules, models: Sequence[str] = MODELS) -> dict[str, Any]:
    """Conversions and micros by model and channel; every model's micros add up to the same sum."""
    journeys = joined.journeys
    names, code = np.unique(np.array(journeys.channel, dtype=object), return_inverse=True)
    found: dict[str, Any] = {}
    for model in models:
        if model == "time_decay" and np.isnan(journeys.age).any():
            continue
        if not len(names):
            found[model] = {}
            continue
        part = weights(journeys, model, rules)
        micros = credits.split(journeys.value, part, journeys.starts)
        each = np.repeat(journeys.weight, journeys.lengths)
        share = np.bincount(code, part * each, len(names))
        money = np.zeros(len(names), dtype=np.int64)
        np.add.at(money, code, micros)
        found[model] = {
            name: {"conversions": float(count), "value_micros": int(value)}
            for name, count, value in zip(names, share, money, strict=True)
        }
    return found


def influenced(joined: Joined) -> dict[str, dict[str, float | int]]:
    """Per channel every conversion it touched, in full; adds up to more than there is."""
    journeys = joined.journeys
    table = pl.DataFrame({
        "channel": pl.Series(journeys.channel, dtype=pl.String),
        "journey": np.repeat(np.arange(len(journeys.starts)), journeys.lengths),
    }).unique()  # fmt: skip
    per = pl.DataFrame({
        "journey": np.arange(len(journeys.starts)),
        "count": journeys.weight,
        "value": journeys.value,
    })  # fmt: skip
    sums = table.join(per, on="journey").group_by("channel").agg(pl.col("count", "value").sum())
    return {
        channel: {"conversions": float(count), "value_micros": int(value)}
        for channel, count, value in sums.sort("channel").rows()
    }


def _positions(
    first: NDArray[np.bool_], last: NDArray[np.bool_], length: NDArray[np.intp],
    parts: tuple[float, float, float],
) -> Array:  # fmt: skip
    middle = parts[1] / np.maximum(length - 2, 1)
    return np.where(first, parts[0], np.where(last, parts[2], middle))


def _scaled(raw: Array, starts: NDArray[np.intp], lengths: NDArray[np.intp]) -> Array:
    if not len(starts):
        return raw
    total = np.repeat(np.add.reduceat(raw, starts), lengths)
    return np.where(
        total > 0, raw / np.where(total > 0, total, 1), 1.0 / np.repeat(lengths, lengths)
    )


def _unique(journeys: Journeys) -> Array:
    """Every channel of a journey gets the same, shared by its touches."""
    lengths = journeys.lengths
    journey = np.repeat(np.arange(len(lengths)), lengths)
    table = pl.DataFrame({"journey": journey, "channel": journeys.channel})
    part = 1 / (pl.col("channel").n_unique().over("journey") * pl.len().over("journey", "channel"))
    return table.select(part.alias("part"))["part"].to_numpy()
