"""Tables of arms as people have them, read into arrays: one row per arm (and look) of an
experiment.

Every column can have any name. A row that cannot be right is reported with its place and left out;
the rest is analysed. What the numbers mean is decided in `analysis`.
"""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import numpy as np
import polars as pl
from numpy.typing import NDArray

from huntaze_pipeline.errors import ImportFileError, Problem
from huntaze_pipeline.measurement import doubts, rows
from huntaze_pipeline.measurement.moments import Array
from huntaze_pipeline.measurement.rows import Columns

MOST_ARMS = 100
Duplicates = Literal["number", "sum", "refuse"]


@dataclass(frozen=True, slots=True)
class Counts:
    """Arms in blocks: a block is one experiment at one look, its control first."""

    experiments: list[str]
    """Of each block."""
    looks: list[str | None]
    """Of each block; blocks of one experiment follow each other in the order of their looks."""
    starts: NDArray[np.intp]
    """Position of each block's first arm."""
    variants: list[str]
    n: Array
    sum: Array
    squares: Array
    """NaN for an arm of yes/no values."""
    weight: Array
    guardrail: Array
    """Bad events per arm; NaN when not given."""
    problems: list[Problem] = field(default_factory=list)
    dropped: int = 0
    """Rows left out."""
    unread: dict[str, str] = field(default_factory=dict)
    """Experiments with a row that was left out, and the first such row: what is left of them can
    be shown, not decided."""

    @property
    def lengths(self) -> NDArray[np.intp]:
        """Arms of each block."""
        return np.diff(np.append(self.starts, len(self.n)))


def read(path: Path) -> pl.DataFrame:
    """Read a CSV, TSV, Parquet, JSON Lines or JSON (array) file; CSV cells stay text.

    Raises:
        ImportFileError: no such file, an unknown kind, or content that is not of its kind.
    """
    kinds = {
        ".csv": lambda: pl.read_csv(path, separator=separator(path), infer_schema=False),
        ".tsv": lambda: pl.read_csv(path, separator="\t", infer_schema=False),
        ".parquet": lambda: pl.read_parquet(path),
        ".jsonl": lambda: pl.read_ndjson(path, infer_schema_length=None),
        ".ndjson": lambda: pl.read_ndjson(path, infer_schema_length=None),
        ".json": lambda: pl.read_json(path, infer_schema_length=None),
    }
    kind = kinds.get(path.suffix.lower())
    if kind is None:
        raise ImportFileError([Problem(str(path), f"is none of {', '.join(kinds)}")])
    if not path.is_file():
        raise ImportFileError([Problem(str(path), "no such file")])
    try:
        return kind()
    except (pl.exceptions.PolarsError, OSError, ValueError) as error:
        first = str(error).splitlines()[0]
        raise ImportFileError([Problem(str(path), f"cannot be read: {first}")]) from error


def separator(path: Path) -> str:
    """Return what stands between the columns of a CSV's header: whatever of `,` `;` tab is most."""
    with path.open("rb") as file:
        head = file.readline(1 << 16)
    return max(",;\t", key=lambda mark: head.count(mark.encode()))


def load(frame: pl.DataFrame, columns: Columns, duplicates: Duplicates = "number") -> Counts:
    """Turn a table into arms.

    Args:
        frame: one row per arm (and look); cumulative counts.
        columns: what its columns are called.
        duplicates: rows of one experiment with the same label are taken as separate arms, added
            up, or left out.

    Raises:
        ImportFileError: a named column is missing, or no experiment is left.
    """
    table = rows.typed(frame, columns)
    right, problems = rows.checked(table)
    labelled, more = _labelled(right, columns, duplicates)
    good, rest = _comparable(labelled)
    problems += more + rest
    if good.is_empty():
        raise ImportFileError(problems or [Problem("file", "holds no rows")])
    kept = labelled if duplicates == "refuse" else right
    return _arranged(good, problems, len(table) - len(good), _unread(table, kept))


def _unread(table: pl.DataFrame, kept: pl.DataFrame) -> dict[str, str]:
    """Each experiment's first row that was left out; not an arm that was to get nobody."""
    lost = table.join(kept, on="row", how="anti", maintain_order="left")
    meant = lost.filter(((pl.col("n") != 0) | (pl.col("weight") != 0)).fill_null(True))
    found = meant.group_by("experiment", maintain_order=True).first()
    places = zip(found["row"], found["experiment"], found["variant"], strict=True)
    return {place[1]: rows.place(*place) for place in places}


def _labelled(
    table: pl.DataFrame, columns: Columns, duplicates: Duplicates
) -> tuple[pl.DataFrame, list[Problem]]:
    """Make labels unique within a block, and say how."""
    key = ["experiment", "look", "variant"]
    double = table.filter(pl.len().over(key) > 1)
    if double.is_empty():
        return table, []
    how = {
        "number": "taken as separate arms, numbered #2, #3, …",
        "sum": "added up",
        "refuse": "left out",
    }[duplicates]
    advice = "name another --variant column, use --variant row, or --duplicates sum"
    found = double.group_by(key, maintain_order=True).agg(
        pl.len().alias("size"), pl.col("row").first()
    )
    problems = [
        Problem(
            rows.place(row, experiment, variant), f"{size} rows share this label: {how} ({advice})"
        )
        for experiment, _, variant, size, row in found.rows()
    ]
    return _merged(table, key, duplicates), problems


def _merged(table: pl.DataFrame, key: list[str], duplicates: Duplicates) -> pl.DataFrame:
    if duplicates == "refuse":
        return table.filter(pl.len().over(key) == 1)
    if duplicates == "sum":
        added = [pl.col(name).sum() for name in ("n", "sum")]
        kept = [
            pl.when(pl.col(name).is_not_null().all()).then(pl.col(name).sum()).alias(name)
            for name in ("squares", "guardrail", "weight")
        ]
        first = [pl.col("row").first(), pl.col("control").first()]
        return table.group_by(key, maintain_order=True).agg(*added, *kept, *first)
    place = pl.int_range(1, pl.len() + 1).over(key)
    numbered = pl.when(place > 1).then(pl.format("{} #{}", pl.col("variant"), place))
    return table.with_columns(numbered.otherwise(pl.col("variant")).alias("variant"))


def _comparable(table: pl.DataFrame) -> tuple[pl.DataFrame, list[Problem]]:
    """Leave out blocks with one arm, or with too many to compare pair by pair."""
    arms = pl.len().over("experiment", "look")
    odd = table.filter((arms < 2) | (arms > MOST_ARMS))
    blocks = odd.group_by("experiment", "look", maintain_order=True).len().rows()
    problems = [
        Problem(
            f"experiment {experiment}" + (f", look {look}" if look is not None else ""),
            "has one arm only: nothing to compare" if size < 2 else
            f"has {size} arms: at most {MOST_ARMS} are compared",
        )
        for experiment, look, size in blocks
    ]  # fmt: skip
    return table.filter((arms >= 2) & (arms <= MOST_ARMS)), problems


def _arranged(
    table: pl.DataFrame, problems: list[Problem], dropped: int, unread: dict[str, str]
) -> Counts:
    table, more = _ordered(table)
    block = table.select(pl.struct("experiment", "look").rle_id()).to_series().to_numpy()
    starts = np.flatnonzero(np.diff(block, prepend=-1))
    heads = table[starts]
    weight = table["weight"].to_numpy()
    none = np.isnan(weight)
    part = np.add.reduceat(none.astype(float), starts)[block] > 0
    return Counts(
        experiments=heads["experiment"].to_list(),
        looks=heads["look"].to_list(),
        starts=starts,
        variants=table["variant"].to_list(),
        n=table["n"].to_numpy(),
        sum=table["sum"].to_numpy(),
        squares=table["squares"].to_numpy(),
        weight=np.where(part, 1.0, weight),
        guardrail=table["guardrail"].to_numpy(),
        problems=problems + more,
        dropped=dropped,
        unread=unread,
    )


def _ordered(table: pl.DataFrame) -> tuple[pl.DataFrame, list[Problem]]:
    """Experiments as they came, looks by number (else text), control first, arms as they came.

    An arm keeps its place and its role in all looks, or pairs could not be followed over them.
    """
    flag = doubts.mark().is_in(doubts.YES)
    named = pl.col("control") == pl.col("variant")
    arm = ("experiment", "variant")
    chosen = table.with_columns(
        (flag | named).fill_null(False).any().over(arm).alias("first"),
        pl.col("row").min().over("experiment").alias("_e"),
        pl.col("row").min().over(arm).alias("_v"),
        pl.col("look").cast(pl.Float64, strict=False).alias("_l"),
    )
    order = chosen.sort("_e", "_l", "look", ~pl.col("first"), "_v", nulls_last=True)
    problems = doubts.of(order)
    return order.drop("_e", "_v", "_l", "first"), problems
