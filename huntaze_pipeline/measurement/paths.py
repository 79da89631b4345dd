"""Paths: what fans saw in which order, and how often it ended in a conversion. No credit is given
here.

A path comes from a file ("a > b > c", conversions, value, nulls) or from touches and conversions:
each touch belongs to the fan's next conversion within the look-back, else to a path that ended in
nothing.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl

from huntaze_pipeline.measurement import attribution, credits
from huntaze_pipeline.measurement.attribution import Journeys, Rules
from huntaze_pipeline.measurement.moments import Array

SEPARATOR = ">"


@dataclass(frozen=True, slots=True)
class Paths:
    """Distinct or repeated paths with their outcomes."""

    steps: list[tuple[str, ...]]
    conversions: Array
    value: credits.Ints
    """Micros."""
    nulls: Array
    """How often the path ended without a conversion."""

    @property
    def channels(self) -> list[str]:
        """Every channel, sorted."""
        return sorted({step for path in self.steps for step in path})


def split(text: str) -> tuple[str, ...]:
    """The channels of a path written as text."""
    return tuple(part.strip() for part in text.split(SEPARATOR) if part.strip())


def make(
    steps: Sequence[Sequence[str]], conversions: Sequence[float],
    value: Sequence[int] | None = None, nulls: Sequence[float] | None = None,
) -> Paths:  # fmt: skip
    """Paths from plain lists; values default to one unit a conversion."""
    count = np.asarray(conversions, dtype=float)
    money = np.round(count * attribution.MICROS) if value is None else np.asarray(value)
    empty = np.zeros(len(count)) if nulls is None else np.asarray(nulls, dtype=float)
    return Paths([tuple(path) for path in steps], count, money.astype(np.int64), empty)


def merged(parts: Sequence[Paths]) -> Paths:
    """Several collections of paths as one."""
    if len(parts) == 1:
        return parts[0]
    return Paths(
        [path for part in parts for path in part.steps],
        np.concatenate([part.conversions for part in parts] or [np.zeros(0)]),
        np.concatenate([part.value for part in parts] or [np.zeros(0, dtype=np.int64)]),
        np.concatenate([part.nulls for part in parts] or [np.zeros(0)]),
    )


def collapsed(paths: Paths) -> Paths:
    """Consecutive repeats of a channel taken as one step."""
    short = [
        tuple(step for place, step in enumerate(path) if place == 0 or step != path[place - 1])
        for path in paths.steps
    ]
    return Paths(short, paths.conversions, paths.value, paths.nulls)


def touched(paths: Paths) -> Paths:
    """The paths that have a step at all."""
    if all(paths.steps):
        return paths
    kept = [place for place, path in enumerate(paths.steps) if path]
    return Paths(
        [paths.steps[place] for place in kept],
        paths.conversions[kept], paths.value[kept], paths.nulls[kept],
    )  # fmt: skip


def journeys(paths: Paths) -> Journeys:
    """Paths with a step that converted, as journeys without times."""
    won = (paths.conversions > 0) | (paths.value != 0)
    chosen = [place for place, path in enumerate(paths.steps) if path and won[place]]
    lengths = [len(paths.steps[i]) for i in chosen]
    names, code = attribution.coded(
        pl.Series([step for i in chosen for step in paths.steps[i]], dtype=pl.String)
    )
    starts = (np.cumsum([0, *lengths])[:-1]).astype(np.intp)
    return Journeys(
        names, code, np.full(len(code), np.nan), starts, paths.value[chosen],
        paths.conversions[chosen],
    )  # fmt: skip


def collect(touches: pl.DataFrame, conversions: pl.DataFrame, rules: Rules) -> Paths:
    """Paths of all fans, converted or not; same columns as in `attribution.join`."""
    names, code = attribution.coded(touches["channel"])
    touches = touches.with_columns(pl.Series("channel", code, dtype=pl.UInt32))
    goals = conversions.select(
        "fan_id", pl.col("ts").alias("at"), "value_micros", pl.int_range(pl.len()).alias("goal")
    ).sort("at")
    ordered = touches.sort("ts", "event_id")
    near = ordered.join_asof(
        goals, left_on="ts", right_on="at", by="fan_id", strategy="forward", check_sortedness=False
    )
    inside = (pl.col("at") - pl.col("ts")) <= rules.lookback
    marked = near.with_columns(inside.fill_null(False).alias("won"))
    rows = (
        marked.group_by("fan_id", "goal", "won", maintain_order=True)
        .agg(pl.col("channel"), pl.col("value_micros").first())
        .group_by("channel", maintain_order=True)
        .agg(
            pl.col("won").sum().alias("conversions"),
            pl.col("value_micros").filter("won").sum().alias("value"),
            (~pl.col("won")).sum().alias("nulls"),
        )
    )
    paths = make(
        [tuple(names[place] for place in path) for path in rows["channel"].to_list()],
        rows["conversions"].to_list(), rows["value"].to_list(), rows["nulls"].to_list(),
    )  # fmt: skip
    return collapsed(paths) if rules.collapse else paths
