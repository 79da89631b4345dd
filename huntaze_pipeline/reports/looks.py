"""The looks of an A/B test as rows and charts: differences, the course of the test, the split.

What a look holds is `measurement.decision`'s; a look of an older version may lack some of it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from huntaze_pipeline.reports import writing
from huntaze_pipeline.reports.figures import Row, Table
from huntaze_pipeline.reports.page import Figure
from huntaze_pipeline.warehouse.reports import Chart, Column, Mark

Result = Mapping[str, Any]
_METHODS = {
    "group_sequential": "group sequential", "always_valid": "always valid",
    "exact": "exact, always valid",
}  # fmt: skip
_BELIEF = 0.3
"""Standard deviation of the lifts that are expected before a test, for the shrunken estimate."""


@dataclass(frozen=True, slots=True)
class Split:
    """Planned and real numbers of recipients."""

    table: Table
    told: str
    wrong: bool


def method(result: Result) -> str:
    """Return the name of the rule that a look was made by."""
    return _METHODS.get(str(result.get("method")), "")


def points(share: float) -> str:
    """Write a difference of rates in percentage points, with its sign."""
    return f"{share * 100:+.2f}".replace("-", writing.MINUS)


def leading(result: Result) -> Row | None:
    """Return the pair of the best arm and its nearest rival, seen from the best arm."""
    best = result.get("best")
    seen = [_seen(pair, best) for pair in result.get("pairs", []) if best in (pair["a"], pair["b"])]
    known = [pair for pair in seen if pair["estimate"] is not None]
    return min(known, key=lambda pair: pair["estimate"], default=None)


def differences(result: Result, money_in: str | None = None) -> Figure | None:
    """Return every pair's difference with its interval; None before the first look with any.

    Args:
        result: what a look found.
        money_in: the currency of a test on revenue, whose differences are amounts.
    """
    pairs = [pair for pair in result.get("pairs", []) if pair.get("low") is not None]
    if not pairs:
        return None
    rows = [
        {
            "pair": f"{pair['b']} − {pair['a']}", "estimate": _shown(result, pair),
            "low": pair["low"], "high": pair["high"],
            "clear": pair["low"] > 0 or (pair["high"] or 0) < 0,
        }
        for pair in pairs
    ]  # fmt: skip
    chart = Chart(
        kind="intervals", x="pair", y=["estimate"], low="low", high="high", colour="clear",
        reference=Mark(value=0, label="no difference"), title="Differences between the arms",
    )  # fmt: skip
    return Figure(chart, _amounts(Table(_PAIRS, rows), money_in))


def _amounts(table: Table, money_in: str | None) -> Table:
    """Make shares of a table the amounts that they are in a test on revenue."""
    if money_in is None:
        return table
    shares = [c.name for c in table.columns if c.format == "percent"]
    columns = tuple(replace(c, format="money") if c.name in shares else c for c in table.columns)
    rows = [
        row | {n: None if row[n] is None else row[n] * writing.MICROS for n in shares}
        for row in table.rows
    ]
    return Table(columns, rows, money_in)


def interval_told(result: Result) -> str:
    """Say what the intervals of a look are."""
    if result.get("method") == "exact":
        return "Relative lift with an interval that holds at every look."
    kind = (
        "at this look's boundary" if result.get("method") == "group_sequential"
        else "that holds at every look"
    )  # fmt: skip
    return f"Difference of the arms with an interval {kind}; green is clear of zero."


def course(looks: Sequence[Row], alpha: float, money_in: str | None = None) -> Figure | None:
    """Return how the evidence grew: |z| against the boundary, or the interval at every look."""
    judged = [look for look in looks if look["result"].get("pairs")]
    if not judged:
        return None
    if judged[-1]["result"].get("method") == "group_sequential":
        return _boundary(judged, alpha)
    found = _corridor(judged)
    return Figure(found.chart, _amounts(found.table, money_in))


def course_told(result: Result) -> str:
    """Say how to read the course."""
    if result.get("method") == "group_sequential":
        return "How many standard errors lie between the arms; above the boundary an arm wins."
    return "The leading pair's difference and the interval that holds at every look."


def split(counts: Sequence[Mapping[str, Any]]) -> Split:
    """Compare assigned recipients with the planned split."""
    from huntaze_pipeline.measurement import srm

    arms: dict[str, list[float]] = {}
    for arm in counts:
        found = arms.setdefault(str(arm["id"]), [0.0, float(arm["weight"])])
        found[0] += arm["assigned"]
    users, weights = [a[0] for a in arms.values()], [a[1] for a in arms.values()]
    p, e = srm.pvalue(users, weights), srm.evalue(users, weights)
    total, shares = sum(users), sum(weights) or 1.0
    rows = [
        {
            "arm": name,
            "assigned": int(n),
            "planned": w / shares,
            "share": n / total if total else None,
        }
        for name, (n, w) in arms.items()
    ]
    told = (
        f"Chi² p = {p:.3g}; e-value {e:.3g}. A wrong split is called from e ≥ {srm.E_LIMIT:,.0f}."
    )
    return Split(Table(_SPLIT, rows), told, e >= srm.E_LIMIT or p < srm.P_LIMIT)


def curse(result: Result, winner: str, rows: Sequence[Row]) -> str:
    """Say what the winner's lift is, and what it probably is: early winners overstate."""
    from huntaze_pipeline.measurement import bayes, effects, moments

    lead = leading(result)
    arms = {row["arm"]: row for row in rows}
    rival = lead["a"] if lead is not None else None
    if lead is None or rival not in arms or winner not in arms:
        return ""
    pair = [arms[name] for name in (rival, winner)]
    both = [moments.binary([float(r["matured"])], [float(r["hits"])]) for r in pair]
    effect = effects.relative(both[0], both[1])
    lift = float(effect.estimate[0])
    if lift != lift:
        return ""
    likely = float(bayes.posterior(effect, bayes.Prior(0.0, _BELIEF**2)).mean[0])
    return (
        f"Measured lift over {rival}: {writing.change(lift)}. A test that stops once it has won"
        f" overstates its lift (the winner's curse); shrunken towards what tests usually bring"
        f" (0 ± {_BELIEF:.0%}) it is {writing.change(likely)}."
    )


def _seen(pair: Mapping[str, Any], best: Any) -> Row:
    """Return a pair with `best` as its challenger."""
    if pair["b"] == best or pair["estimate"] is None:
        return dict(pair)
    turned = {name: None if pair[name] is None else -pair[name] for name in ("estimate", "z")}
    low = None if pair["high"] is None else -pair["high"]
    high = None if pair["low"] is None else -pair["low"]
    return dict(pair) | turned | {"a": pair["b"], "b": pair["a"], "low": low, "high": high}


def _shown(result: Result, pair: Mapping[str, Any]) -> float | None:
    """The exact rule's interval is of the relative lift: so is the point in its middle."""
    if result.get("method") != "exact":
        return pair["estimate"]
    return (pair["low"] + pair["high"]) / 2 if pair["high"] is not None else None


def _boundary(looks: Sequence[Row], alpha: float) -> Figure:
    from huntaze_pipeline.measurement import spending

    bounds = spending.table(alpha)
    rows = [
        {"at": (n + 1) / len(bounds), "what": "Boundary", "z": bound}
        for n, bound in enumerate(bounds)
        if bound < spending.CEILING
    ]
    results = [look["result"] for look in looks if "information" in look["result"]]
    taken = [
        {"at": r["information"], "what": f"{pair['b']} − {pair['a']}", "z": abs(pair["z"])}
        for r in results
        for pair in r["pairs"]
        if pair["z"] is not None
    ]
    rows = taken + rows
    chart = Chart(
        kind="line", x="at", y=["z"], colour="what", title="Evidence against the boundary"
    )
    return Figure(chart, Table(_COURSE, rows))


def _corridor(looks: Sequence[Row]) -> Figure:
    rows = []
    best = looks[-1]["result"].get("best")
    rival = (leading(looks[-1]["result"]) or {}).get("a")
    for look in looks:
        for pair in look["result"]["pairs"]:
            if {pair["a"], pair["b"]} == {best, rival}:
                seen = _seen(pair, best)
                rows.append({name: seen[name] for name in ("estimate", "low", "high")}
                            | {"at": look["looked_at"]})  # fmt: skip
    chart = Chart(
        kind="line", x="at", y=["high", "estimate", "low"], title=f"{best} against {rival}",
        reference=Mark(value=0, label="no difference"),
    )  # fmt: skip
    return Figure(chart, Table(_CORRIDOR, rows))


_PAIRS = (
    Column("pair", "text", "Pair"), Column("estimate", "percent", "Difference"),
    Column("low", "percent", "From"), Column("high", "percent", "To"),
    Column("clear", "flag", "Clear of zero"),
)  # fmt: skip
_COURSE = (
    Column("at", "percent", "Planned recipients whose window has passed"),
    Column("what", "text", "Pair"), Column("z", "number", "|z|"),
)  # fmt: skip
_CORRIDOR = (
    Column("at", "instant", "Look"), Column("high", "percent", "Upper end"),
    Column("estimate", "percent", "Estimate"), Column("low", "percent", "Lower end"),
)  # fmt: skip
_SPLIT = (
    Column("arm", "text", "Arm"), Column("assigned", "count", "Assigned"),
    Column("share", "percent", "Share"), Column("planned", "percent", "Planned"),
)  # fmt: skip
