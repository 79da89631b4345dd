"""Charts of what is not in a report file: sends against the limit, sizes, rules of a simulation."""

from collections.abc import Mapping, Sequence
from typing import Any

from huntaze_pipeline.reports.figures import Table
from huntaze_pipeline.warehouse.reports import Chart, Column, Mark

Rows = Sequence[Mapping[str, Any]]
Charted = tuple[Chart, Table]


def sends(minutes: Rows, limit: int) -> list[Charted]:
    """Sends of all accounts a minute; and the busiest account against its limit."""
    table = Table(
        (
            Column("minute", "instant", "Minute"), Column("sends", "count", "Sends"),
            Column("busiest", "count", "Busiest account"),
        ),
        [dict(row) for row in minutes],
    )  # fmt: skip
    mark = Mark(value=limit, label=f"limit {limit}")
    return [
        (Chart(kind="area", x="minute", y=["sends"], title="All accounts"), table),
        (
            Chart(kind="line", x="minute", y=["busiest"], reference=mark, title="Busiest account"),
            table,
        ),
    ]


def sizes(rows: Rows, label: str, value: str, title: str, top: int = 15) -> Charted:
    """Plain bars with their counts, in the order given."""
    columns = (Column(label, "text", label), Column(value, "count", value))
    chart = Chart(kind="bars", x=label, y=[value], title=title, top=top)
    return chart, Table(columns, [dict(row) for row in rows])


def rules(rows: Rows, *, false: bool, alpha: float) -> Charted:
    """How often each rule of a simulation named a winner."""
    columns = (Column("rule", "text", "Rule"), Column("winners", "percent", "Winners"))
    mark = Mark(value=alpha, label=f"{alpha:.0%} allowed") if false else None
    title = "False winners by rule" if false else "Winners found by rule"
    chart = Chart(kind="bars", x="rule", y=["winners"], reference=mark, title=title)
    return chart, Table(columns, [dict(row) for row in rows])
