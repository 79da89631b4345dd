"""Rows of arms under our own names: which of them can be right, and what is wrong with the others.

What rows mean together (labels, order, looks) is in `counts`.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace

import polars as pl

from huntaze_pipeline.errors import ImportFileError, Problem

_MOST = float(1 << 53)
_USUAL = {"squares": "sum_squares", "control": "control", "look": "look", "weight": "weight"}


@dataclass(frozen=True, slots=True)
class Columns:
    """The names of the columns in a file; None for what it does not have."""

    experiment: str = "experiment_id"
    variant: Sequence[str] = ("variant",)
    """Several columns make one label together; the word `row` numbers the rows of an experiment."""
    n: str = "n"
    sum: str = "sum"
    squares: str | None = None
    control: str | None = None
    look: str | None = None
    weight: str | None = None
    guardrail: str | None = None

    def completed(self, there: Collection[str]) -> "Columns":
        """Return these and the optional ones that a file has under their usual names."""
        return replace(
            self,
            **{
                field: usual
                for field, usual in _USUAL.items()
                if not getattr(self, field) and usual in there
            },
        )


def _require(frame: pl.DataFrame, columns: Columns) -> None:
    given = [
        columns.experiment, columns.n, columns.sum, columns.squares, columns.control, columns.look,
        columns.weight, columns.guardrail, *(name for name in columns.variant if name != "row"),
    ]  # fmt: skip
    there = ", ".join(frame.columns)
    faults = [
        Problem(f"column {name}", f"is not in the file; it has: {there}")
        for name in dict.fromkeys(given)
        if name is not None and name not in frame.columns
    ]
    if faults:
        raise ImportFileError(faults)


def typed(frame: pl.DataFrame, columns: Columns) -> pl.DataFrame:
    """The table with our own names; what is no number becomes NaN, what is not given null.

    Raises:
        ImportFileError: a named column is missing.
    """
    _require(frame, columns)
    look = _optional(columns.look, pl.String)
    return frame.select(
        pl.int_range(1, pl.len() + 1).alias("row"),
        pl.col(columns.experiment).cast(pl.String).alias("experiment"),
        _label(columns, frame.columns).alias("variant"),
        look.alias("look"),
        _optional(columns.control, pl.String).alias("control"),
        _number(columns.n, required=True).alias("n"),
        _number(columns.sum, required=True).alias("sum"),
        _number(columns.squares).alias("squares"),
        _number(columns.weight).alias("weight"),
        _number(columns.guardrail).alias("guardrail"),
    ).with_columns(
        pl.when(pl.lit("row" in columns.variant))
        .then(pl.int_range(1, pl.len() + 1).over("experiment", "look").cast(pl.String))
        .otherwise(pl.col("variant"))
        .alias("variant")
    )


def _label(columns: Columns, there: list[str]) -> pl.Expr:
    parts = [pl.col(name).cast(pl.String) for name in columns.variant if name in there]
    if len(parts) == 1:
        return parts[0]
    # Several columns: one that is empty does not make the whole label unknown.
    return (
        pl.concat_str([part.fill_null("-") for part in parts], separator=" | ")
        if parts
        else pl.lit(None, pl.String)
    )


def _optional(name: str | None, kind: type[pl.String]) -> pl.Expr:
    return pl.lit(None, kind) if name is None else pl.col(name).cast(kind)


def _number(name: str | None, *, required: bool = False) -> pl.Expr:
    """A number; an empty cell is null, or NaN when required; text that is no number is NaN."""
    if name is None:
        return pl.lit(None, pl.Float64)
    cell = pl.col(name)
    text = cell.cast(pl.String).str.strip_chars()
    value = text.cast(pl.Float64, strict=False)
    empty = text.is_null() | (text == "")
    filled = pl.when(empty).then(pl.lit(None, pl.Float64)).otherwise(value.fill_null(float("nan")))
    return filled.fill_null(float("nan")) if required else filled


def checked(table: pl.DataFrame) -> tuple[pl.DataFrame, list[Problem]]:
    """Split off the rows that cannot be right; the first fault of a row names it."""
    what = pl.coalesce([pl.when(rule.fill_null(False)).then(text) for rule, text in _faults()])
    marked = table.with_columns(what.alias("fault"))
    bad = marked.filter(pl.col("fault").is_not_null())
    rows = bad.select("row", "experiment", "variant", "fault").rows()
    return marked.filter(pl.col("fault").is_null()).drop("fault"), [
        Problem(place(row, experiment, variant), fault) for row, experiment, variant, fault in rows
    ]


def _faults() -> list[tuple[pl.Expr, pl.Expr]]:
    n, total, squares = pl.col("n"), pl.col("sum"), pl.col("squares")
    yes_no, given = squares.is_null(), squares.is_not_null()
    amounts = "; for amounts give the sum of squares"
    below = squares * n < total * total * (1 - 1e-9)
    return [
        (pl.col("experiment").is_null(), pl.lit("has no experiment")),
        (pl.col("variant").is_null(), pl.lit("has no variant")),
        (~n.is_finite(), pl.lit("n is no number")),
        (n <= 0, _says("n is {}: must be above 0", n)),
        (n > _MOST, _says("n is {}: more than can be counted exactly (2^53)", n)),
        (n != n.floor(), _says("n is {}: recipients are whole numbers", n)),
        (~total.is_finite(), pl.lit("sum is no number")),
        (
            yes_no & given.any().over("experiment"),
            pl.lit("has no sum of squares, other arms of the experiment do"),
        ),
        (yes_no & (total < 0), _says("sum is {}: conversions cannot be negative", total)),
        (yes_no & (total > n), _says("sum is {}, above n {}" + amounts, total, n)),
        (
            yes_no & (total != total.floor()),
            _says("sum is {}: conversions are whole numbers" + amounts, total),
        ),
        (given & ~squares.is_finite(), pl.lit("sum of squares is no number")),
        (below, _says("sum of squares {} is below sum²/n: impossible", squares)),
        (
            ~pl.col("weight").is_finite() | (pl.col("weight") < 0),
            pl.lit("weight must be a number, 0 or more"),
        ),
        (
            ~pl.col("guardrail").is_between(0, n) | pl.col("guardrail").is_nan(),
            pl.lit("guardrail must lie between 0 and n"),
        ),
    ]


def _says(text: str, *numbers: pl.Expr) -> pl.Expr:
    return pl.format(text, *(number.cast(pl.String).str.strip_suffix(".0") for number in numbers))


def place(row: int, experiment: str | None, variant: str | None) -> str:
    """Where a row is, as people find it."""
    return f"row {row} (experiment {experiment}, variant {variant})"
