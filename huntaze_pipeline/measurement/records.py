"""Touches, conversions and paths as people have them, read into clean frames. No credit is given
here.

Rows that cannot be right are reported with their place and left out. Times without an offset are
taken as UTC; money becomes whole micros. A large file is read in slices of fans, each journey whole
in one of them, so that memory does not grow with the file.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from huntaze_pipeline.errors import ImportFileError, Problem
from huntaze_pipeline.measurement import counts, paths
from huntaze_pipeline.measurement.attribution import MICROS
from huntaze_pipeline.measurement.paths import Paths


@dataclass(frozen=True, slots=True)
class Fields:
    """Column names of touches and conversions."""

    fan: str = "fan_id"
    time: str = "ts"
    channel: str = "channel"
    value: str = "value"


SLICE = 3_000_000
"""Touches that are looked at together, about."""
_LAZY = {
    ".csv": lambda path: pl.scan_csv(path, separator=counts.separator(path), infer_schema=False),
    ".tsv": lambda path: pl.scan_csv(path, separator="\t", infer_schema=False),
    ".parquet": pl.scan_parquet,
}


@dataclass(frozen=True, slots=True)
class Slice:
    """All touches and conversions of some of the fans."""

    touches: pl.DataFrame
    conversions: pl.DataFrame
    problems: list[Problem]


def slices(touches: Path, conversions: Path, fields: Fields, most: int = SLICE) -> Iterator[Slice]:
    """Read both files fan by fan, about `most` touches at a time.

    Raises:
        ImportFileError: a file cannot be read or a column is missing.
    """
    try:
        left, right = _opened(touches), _opened(conversions)
        count = int(left.select(pl.len()).collect().item())
        parts = max(1, -(-count // most))
        tables = _touches(left, fields), _conversions(right, fields)
        for part in range(parts):
            seen, bought = (_part(table, part, parts) for table in tables)
            good, problems = _distinct(*_clean(seen, "touches", _TOUCH_RULES))
            won, more = _clean(bought, "conversions", _CONVERSION_RULES)
            yield Slice(good.drop(_ROW), won.drop(_ROW), problems + more)
    except (pl.exceptions.PolarsError, OSError) as error:
        first = str(error).splitlines()[0]
        raise ImportFileError(
            [Problem(f"{touches}, {conversions}", f"cannot be read: {first}")]
        ) from error


def _opened(path: Path) -> pl.LazyFrame:
    """A file that is read when it is needed; kinds that cannot be are read at once."""
    scan = _LAZY.get(path.suffix.lower())
    if scan is None or not path.is_file():
        return counts.read(path).lazy()
    try:
        frame = scan(path)
        frame.collect_schema()
    except (pl.exceptions.PolarsError, OSError) as error:
        first = str(error).splitlines()[0]
        raise ImportFileError([Problem(str(path), f"cannot be read: {first}")]) from error
    return frame


def _part(table: pl.LazyFrame, part: int, parts: int) -> pl.DataFrame:
    if parts == 1:
        return table.collect()
    chosen = pl.col("fan_id").hash(seed=1) % parts == part
    return table.filter(chosen).collect(engine="streaming")


def touches(frame: pl.DataFrame, fields: Fields) -> tuple[pl.DataFrame, list[Problem]]:
    """Touches as `fan_id`, `ts`, `channel`, `event_id` (the file's own, else the order of rows).

    A fan's event that is there again is the same touch: it counts once.

    Raises:
        ImportFileError: a column is missing.
    """
    table = _touches(frame.lazy(), fields).collect()
    good, problems = _distinct(*_clean(table, "touches", _TOUCH_RULES))
    return good.drop(_ROW), problems


def _touches(frame: pl.LazyFrame, fields: Fields) -> pl.LazyFrame:
    schema = _require(frame, [fields.fan, fields.time, fields.channel], "touches")
    own = "event_id" in schema
    event = pl.col("event_id").cast(pl.String) if own else pl.col(_ROW).cast(pl.Int64)
    return frame.with_row_index(_ROW, offset=1).select(
        pl.col(_ROW), _name(schema, fields.fan).alias("fan_id"),
        _instant(schema, fields.time).alias("ts"),
        _text(fields.channel).alias("channel"), event.alias("event_id"),
    )  # fmt: skip


_ROW = "row_of_file"
_TOUCH_RULES = [
    ("fan_id", "has no fan"), ("ts", "has no readable time"), ("channel", "has no channel"),
]  # fmt: skip
_CONVERSION_RULES = [
    ("fan_id", "has no fan"), ("ts", "has no readable time"),
    ("value_micros", "value is no number up to nine million million"),
]  # fmt: skip


def conversions(frame: pl.DataFrame, fields: Fields) -> tuple[pl.DataFrame, list[Problem]]:
    """Conversions as `fan_id`, `ts`, `value_micros`.

    Raises:
        ImportFileError: a column is missing.
    """
    table = _conversions(frame.lazy(), fields).collect()
    good, problems = _clean(table, "conversions", _CONVERSION_RULES)
    return good.drop(_ROW), problems


def _conversions(frame: pl.LazyFrame, fields: Fields) -> pl.LazyFrame:
    schema = _require(frame, [fields.fan, fields.time, fields.value], "conversions")
    return frame.with_row_index(_ROW, offset=1).select(
        pl.col(_ROW), _name(schema, fields.fan).alias("fan_id"),
        _instant(schema, fields.time).alias("ts"), _micros(fields.value).alias("value_micros"),
    )  # fmt: skip


def journeys(frame: pl.DataFrame) -> tuple[Paths, list[Problem]]:
    """Paths from the columns `path`, `conversions` and, if there, `value` and `nulls`.

    An empty path is one without a touch: what it brought counts, and nobody earns it.

    Raises:
        ImportFileError: a column is missing.
    """
    _require(frame.lazy(), ["path", "conversions"], "paths")
    money = _micros("value") if "value" in frame.columns else pl.lit(0, pl.Int64)
    empty = _count("nulls") if "nulls" in frame.columns else pl.lit(0.0)
    table = frame.with_row_index(_ROW, offset=1).select(
        pl.col(_ROW), pl.col("path").cast(pl.String), _count("conversions").alias("conversions"),
        money.alias("value"), empty.alias("nulls"),
    )  # fmt: skip
    good, problems = _clean(table, "paths", [
        ("conversions", "conversions must be a number, 0 or more"),
        ("value", "value is no number up to nine million million"),
        ("nulls", "nulls must be a number, 0 or more"),
    ])  # fmt: skip
    steps = [paths.split(text or "") for text in good["path"].to_list()]
    columns = (good[name].to_list() for name in ("conversions", "value", "nulls"))
    return paths.make(steps, *columns), problems


def _require(frame: pl.LazyFrame, names: list[str], what: str) -> pl.Schema:
    schema = frame.collect_schema()
    there = ", ".join(schema)
    faults = [
        Problem(f"{what}, column {name}", f"is not in the file; it has: {there}")
        for name in names
        if name not in schema
    ]
    if faults:
        raise ImportFileError(faults)
    return schema


def _clean(
    table: pl.DataFrame, what: str, rules: list[tuple[str, str]]
) -> tuple[pl.DataFrame, list[Problem]]:
    """Rows without nulls, and a problem for each of the others."""
    fault = pl.coalesce(
        [pl.when(pl.col(name).is_null()).then(pl.lit(text)) for name, text in rules]
    )
    marked = table.with_columns(fault.alias("fault"))
    bad = marked.filter(pl.col("fault").is_not_null()).select(_ROW, "fault").rows()
    good = marked.filter(pl.col("fault").is_null()).drop("fault")
    return good, [Problem(f"{what}, row {row}", text) for row, text in bad]


def _distinct(table: pl.DataFrame, problems: list[Problem]) -> tuple[pl.DataFrame, list[Problem]]:
    """Touches without those whose event the fan has already, and a problem for each of these."""
    if table["event_id"].dtype != pl.String:
        return table, problems  # the rows' own numbers
    known = pl.col("event_id").is_not_null()
    again = known & ~pl.struct("fan_id", "event_id").is_first_distinct()
    twice = table.filter(again).select(_ROW, "event_id").rows()
    told = [
        Problem(f"touches, row {row}", f"event {event} was there already") for row, event in twice
    ]
    return table.filter(~again) if twice else table, problems + told


def _name(schema: pl.Schema, column: str) -> pl.Expr:
    """A fan's id as text; whole numbers alike, also where gaps made fractions of them (7.0)."""
    if not schema[column].is_float():
        return _text(column)
    whole = pl.col(column) == pl.col(column).round()
    return (
        pl.when(whole)
        .then(_text_of(pl.col(column).cast(pl.Int64, strict=False)))
        .otherwise(_text(column))
    )


def _text(name: str) -> pl.Expr:
    return _text_of(pl.col(name))


def _text_of(value: pl.Expr) -> pl.Expr:
    text = value.cast(pl.String).str.strip_chars()
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


def _instant(schema: pl.Schema, name: str) -> pl.Expr:
    kind = schema[name]
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
