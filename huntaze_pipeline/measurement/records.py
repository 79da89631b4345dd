"""Touches, conversions and paths as people have them, read into clean frames. No credit is given
here.

Rows that cannot be right are reported with their place and left out. Times without an offset are
taken as UTC; money becomes whole micros.
"""

from dataclasses import dataclass

import polars as pl

from huntaze_pipeline.errors import ImportFileError, Problem
from huntaze_pipeline.measurement import paths
from huntaze_pipeline.measurement.attribution import MICROS
from huntaze_pipeline.measurement.paths import Paths


@dataclass(frozen=True, slots=True)
class Fields:
    """Column names of touches and conversions."""

    fan: str = "fan_id"
    time: str = "ts"
    channel: str = "channel"
    value: str = "value"


def touches(frame: pl.DataFrame, fields: Fields) -> tuple[pl.DataFrame, list[Problem]]:
    """Touches as `fan_id`, `ts`, `channel`, `event_id` (the file's own, else the order of rows).

    Raises:
        ImportFileError: a column is missing.
    """
    _require(frame, [fields.fan, fields.time, fields.channel], "touches")
    own = "event_id" in frame.columns
    event = pl.col("event_id").cast(pl.String) if own else pl.int_range(pl.len())
    table = frame.select(
        _row(), _text(fields.fan).alias("fan_id"), _instant(frame, fields.time).alias("ts"),
        _text(fields.channel).alias("channel"), event.alias("event_id"),
    )  # fmt: skip
    return _clean(table, "touches", [
        ("fan_id", "has no fan"), ("ts", "has no readable time"), ("channel", "has no channel"),
    ])  # fmt: skip


def conversions(frame: pl.DataFrame, fields: Fields) -> tuple[pl.DataFrame, list[Problem]]:
    """Conversions as `fan_id`, `ts`, `value_micros`.

    Raises:
        ImportFileError: a column is missing.
    """
    _require(frame, [fields.fan, fields.time, fields.value], "conversions")
    table = frame.select(
        _row(), _text(fields.fan).alias("fan_id"), _instant(frame, fields.time).alias("ts"),
        _micros(fields.value).alias("value_micros"),
    )  # fmt: skip
    return _clean(table, "conversions", [
        ("fan_id", "has no fan"), ("ts", "has no readable time"),
        ("value_micros", "value is no number"),
    ])  # fmt: skip


def journeys(frame: pl.DataFrame) -> tuple[Paths, list[Problem]]:
    """Paths from the columns `path`, `conversions` and, if there, `value` and `nulls`.

    Raises:
        ImportFileError: a column is missing.
    """
    _require(frame, ["path", "conversions"], "paths")
    money = _micros("value") if "value" in frame.columns else pl.lit(0, pl.Int64)
    empty = _count("nulls") if "nulls" in frame.columns else pl.lit(0.0)
    table = frame.select(
        _row(), _text("path").alias("path"), _count("conversions").alias("conversions"),
        money.alias("value"), empty.alias("nulls"),
    )  # fmt: skip
    steps = pl.Series(
        [paths.split(text or "") for text in table["path"].to_list()], dtype=pl.List(pl.String)
    )
    table = table.with_columns(pl.when(steps.list.len() > 0).then(steps).alias("path"))
    good, problems = _clean(table, "paths", [
        ("path", "has no channel"), ("conversions", "conversions must be a number, 0 or more"),
        ("value", "value is no number"), ("nulls", "nulls must be a number, 0 or more"),
    ])  # fmt: skip
    columns = (good[name].to_list() for name in ("path", "conversions", "value", "nulls"))
    return paths.make(*columns), problems


def _require(frame: pl.DataFrame, names: list[str], what: str) -> None:
    there = ", ".join(frame.columns)
    faults = [
        Problem(f"{what}, column {name}", f"is not in the file; it has: {there}")
        for name in names
        if name not in frame.columns
    ]
    if faults:
        raise ImportFileError(faults)


def _clean(
    table: pl.DataFrame, what: str, rules: list[tuple[str, str]]
) -> tuple[pl.DataFrame, list[Problem]]:
    """Rows without nulls, and a problem for each of the others."""
    fault = pl.coalesce(
        [pl.when(pl.col(name).is_null()).then(pl.lit(text)) for name, text in rules]
    )
    marked = table.with_columns(fault.alias("fault"))
    bad = marked.filter(pl.col("fault").is_not_null()).select("row", "fault").rows()
    good = marked.filter(pl.col("fault").is_null()).drop("row", "fault")
    return good, [Problem(f"{what}, row {row}", text) for row, text in bad]


def _row() -> pl.Expr:
    return pl.int_range(1, pl.len() + 1).alias("row")


def _text(name: str) -> pl.Expr:
    text = pl.col(name).cast(pl.String).str.strip_chars()
    return pl.when(text != "").then(text)


def _finite(name: str) -> pl.Expr:
    value = _text(name).cast(pl.Float64, strict=False)
    return pl.when(value.is_finite()).then(value)


def _count(name: str) -> pl.Expr:
    value = pl.when(_text(name).is_null()).then(0.0).otherwise(_finite(name))
    return pl.when(value >= 0).then(value)


def _micros(name: str) -> pl.Expr:
    # Exact for amounts below nine billion: a double holds whole numbers up to 2**53.
    return (_finite(name) * MICROS).round().cast(pl.Int64, strict=False)


def _instant(frame: pl.DataFrame, name: str) -> pl.Expr:
    kind = frame.schema[name]
    if isinstance(kind, pl.Datetime):
        aware = pl.col(name).dt.convert_time_zone("UTC")
        given = aware if kind.time_zone else pl.col(name).dt.replace_time_zone("UTC")
        return given.dt.cast_time_unit("us")
    if kind == pl.Date:
        return pl.col(name).cast(pl.Datetime("us", "UTC"))
    text = _text(name).str.replace(r"^(\d{4}-\d\d-\d\d) +", "${1}T").str.replace(r"[zZ]$", "+00:00")
    text = text.str.replace(r"^(\d{4}-\d\d-\d\d)$", "${1}T00:00")
    text = text.str.replace(r"T(\d\d:\d\d)($|[+-])", "T${1}:00${2}")
    whole = pl.when(text.str.contains(r"[+-]\d\d:?\d\d$")).then(text).otherwise(text + "+00:00")
    return whole.str.to_datetime("%Y-%m-%dT%H:%M:%S%.f%z", time_unit="us", strict=False)
