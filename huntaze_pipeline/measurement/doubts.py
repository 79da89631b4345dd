"""What is kept of a table of arms but looks wrong: told, not corrected.

Expects the rows of `counts`, each experiment's looks in order, its chosen control marked `first`.
"""

import polars as pl

from huntaze_pipeline.errors import Problem
from huntaze_pipeline.measurement import rows

YES = ("true", "1", "1.0", "yes", "y", "t", "control")
NO = ("false", "0", "0.0", "no", "n", "f", "")


def mark() -> pl.Expr:
    """What a row says of being the control, to be compared with `YES` and `NO`."""
    return pl.col("control").str.strip_chars().str.to_lowercase()


def of(table: pl.DataFrame) -> list[Problem]:
    """What is kept but looks wrong: controls, weights, counts that fall from look to look."""
    controls = pl.col("variant").filter(pl.col("first")).n_unique().alias("controls")
    several = table.group_by("experiment", maintain_order=True).agg(controls)
    fall = pl.col("n") < pl.col("n").shift(1).over("experiment", "variant")
    fallen = table.filter(fall).group_by("experiment", maintain_order=True).first()
    return (
        [
            Problem(f"experiment {name}", f"names {number} controls: the first one is taken")
            for name, number in several.filter(pl.col("controls") > 1).rows()
        ]
        + _strange(table)
        + _weightless(table)
        + [
            Problem(
                rows.place(row["row"], row["experiment"], row["variant"]),
                f"n falls at look {row['look']}: looks must hold cumulative counts",
            )
            for row in fallen.rows(named=True)
        ]
    )


def _strange(table: pl.DataFrame) -> list[Problem]:
    """Controls that are neither a mark nor an arm of their experiment."""
    named = table.filter(~mark().is_in((*YES, *NO))).select("experiment", "control")
    arms = table.select("experiment", control="variant")
    unknown = named.unique(maintain_order=True).join(arms, on=["experiment", "control"], how="anti")
    return [
        Problem(f"experiment {name}", f"its control {control!r} is none of its arms")
        for name, control in unknown.rows()
    ]


def _weightless(table: pl.DataFrame) -> list[Problem]:
    """Weights from which no split follows."""
    weight = pl.col("weight")
    blank = weight.is_null().any() & weight.is_not_null().any()
    found = table.group_by("experiment", "look", maintain_order=True).agg(
        pl.when(blank).then(pl.lit("has arms without a weight: an equal split is taken"))
        .when(weight.max() == 0)
        .then(pl.lit("has weights of zero only: its split is not checked"))
        .alias("what")
    )  # fmt: skip
    once = found.drop_nulls("what").unique(["experiment", "what"], maintain_order=True)
    return [Problem(f"experiment {name}", what) for name, _, what in once.rows()]
