"""An analysis as plain values for JSON and tables: strict numbers, null with the reason, no NaN."""

from collections import Counter
from typing import Any

import numpy as np

from huntaze_pipeline.measurement import display, sequential
from huntaze_pipeline.measurement.analysis import STATES, Analysis
from huntaze_pipeline.measurement.effects import Effect, Interval
from huntaze_pipeline.measurement.moments import Array

_NO_BASE = "the baseline's mean is zero: no ratio to it"
_NO_SPREAD = "the values of both arms do not vary: no test is possible"
_ONE = "an arm has one recipient: its variance is unknown"
_FEW = (
    f"an arm has fewer than {sequential.LEAST:g} conversions (or recipients without one) or too few"
    " amounts for looks at any time"
)
_EMPTY = "the intervals of the looks do not overlap: the effect changed over time"
_OPEN = "a bound is infinite or the mean of the baseline cannot be told apart from zero"


def report(analysis: Analysis) -> dict[str, Any]:
    """Everything that is told of an analysis."""
    problems = [{"where": p.where, "what": p.what} for p in analysis.counts.problems]
    return {
        "experiments": experiments(analysis),
        "problems": problems,
        "summary": summary(analysis),
    }


def experiments(analysis: Analysis) -> list[dict[str, Any]]:
    """One dictionary an experiment, at its last look, in the order of the file."""
    counts, arms = analysis.counts, _arms(analysis)
    pairs, shown = _pairs(analysis), analysis.last
    edges = np.searchsorted(analysis.pairs.block, np.arange(len(counts.starts) + 1)).tolist()
    ends = np.append(counts.starts, len(counts.n)).tolist()
    best, lifts = _best(analysis), _lifts(analysis)
    result = []
    for place, block in enumerate(shown.tolist()):
        entry = {
            "experiment_id": counts.experiments[block],
            "state": analysis.states[place],
            "winner": analysis.winners[place],
            "reason": analysis.reasons[place],
            "srm": {
                "p_value": float(analysis.srm_p[block]),
                "e_value": float(analysis.srm_e[block]),
            },
            "arms": arms[ends[block] : ends[block + 1]],
            "pairs": pairs[edges[block] : edges[block + 1]],
            "display": {
                "chance_best": best[ends[block] : ends[block + 1]],
                "lifts": lifts[edges[block] : edges[block + 1]],
                "note": display.CURSE if analysis.winners[place] is not None else None,
            },
        }
        if counts.looks[block] is not None:
            entry["look"] = counts.looks[block]
        result.append(entry)
    return result


def summary(analysis: Analysis) -> dict[str, Any]:
    """How many experiments ended in which state."""
    tally = Counter(analysis.states)
    return {
        "experiments": len(analysis.states),
        "arms": int(analysis.counts.lengths[analysis.last].sum()),
        "by_state": {state: tally.get(state, 0) for state in STATES},
        "rows_left_out": analysis.counts.dropped,
    }


def numbers(values: Array) -> list[float | None]:
    """Floats for JSON: what is not finite becomes None."""
    return [value if value - value == 0 else None for value in values.tolist()]


def _best(analysis: Analysis) -> list[dict[str, Any]]:
    """Each arm's chance to have the highest mean."""
    chances = numbers(display.chances(analysis.arms, analysis.counts.starts))
    rows = zip(analysis.counts.variants, chances, strict=True)
    return [{"variant": variant, "chance": chance} for variant, chance in rows]


def _lifts(analysis: Analysis) -> list[dict[str, Any]]:
    """Lifts as people should read them: with Fieller's interval, and shrunken."""
    pairs, names = analysis.pairs, analysis.counts.variants
    mean, (low, high) = display.shrunk(pairs.relative)
    columns = [numbers(x) for x in (pairs.relative.estimate, *pairs.fieller, mean, low, high)]
    places = zip(pairs.a.tolist(), pairs.b.tolist(), *columns, strict=True)
    return [
        {
            "a": names[a], "b": names[b], "lift": lift, "ci": _both(left, right),
            "shrunk": {"lift": pulled, "ci": _both(down, up)},
        }
        for a, b, lift, left, right, pulled, down, up in places
    ]  # fmt: skip


def _both(low: float | None, high: float | None) -> list[float] | None:
    return None if low is None or high is None else [low, high]


def _arms(analysis: Analysis) -> list[dict[str, Any]]:
    counts, arms = analysis.counts, analysis.arms
    rows = zip(
        counts.variants, counts.n.astype(int).tolist(), numbers(arms.mean), numbers(arms.error),
        strict=True,
    )  # fmt: skip
    keys = ("variant", "n", "mean", "stderr")
    result: list[dict[str, Any]] = [dict(zip(keys, row, strict=True)) for row in rows]
    return [arm if arm["stderr"] is not None else arm | {"reason": _ONE} for arm in result]


def _pairs(analysis: Analysis) -> list[dict[str, Any]]:
    pairs, names = analysis.pairs, analysis.counts.variants
    plain, ratio = _reasons(analysis)
    fixed_absolute = _tested(pairs.absolute, pairs.fixed_absolute, plain)
    fixed_relative = _tested(pairs.relative, pairs.fixed_relative, ratio)
    for entry, low, high in zip(fixed_relative, *map(numbers, pairs.fieller), strict=True):
        entry["fieller"] = [low, high]
        if low is None and "reason" not in entry:
            entry["reason"] = _OPEN
    always = zip(
        _bounds(pairs.valid_absolute, _unready(analysis, plain)),
        _bounds(pairs.valid_relative, _unready(analysis, ratio)),
        strict=True,
    )
    rows = zip(
        pairs.a.tolist(), pairs.b.tolist(), fixed_absolute, fixed_relative, always,
        _bayes(analysis, ratio), strict=True,
    )  # fmt: skip
    return [
        {
            "a": names[a],
            "b": names[b],
            "absolute": absolute,
            "relative": relative,
            "always_valid": {"absolute": valid[0], "relative": valid[1]},
            "bayes": bayes,
        }
        for a, b, absolute, relative, valid, bayes in rows
    ]


def _reasons(analysis: Analysis) -> tuple[list[str], list[str]]:
    """Why a pair's difference or ratio cannot be tested, where it cannot."""
    pairs = analysis.pairs
    plain = np.where(np.isfinite(pairs.absolute.variance), _NO_SPREAD, _ONE)
    ratio = np.where(analysis.arms.mean[pairs.a] == 0, _NO_BASE, plain)
    return plain.tolist(), ratio.tolist()


def _unready(analysis: Analysis, reasons: list[str]) -> list[str]:
    """The same of looks at any time, which need more recipients."""
    found = analysis.pairs.absolute
    small = (found.variance > 0) & ~sequential.ready(found)
    return np.where(small, _FEW, reasons).tolist()


def _tested(effect: Effect, interval: Interval, reasons: list[str]) -> list[dict[str, Any]]:
    rows = zip(
        numbers(effect.estimate), numbers(effect.error), _bounds(interval, reasons), strict=True
    )
    return [{"estimate": estimate, "stderr": error, **bounds} for estimate, error, bounds in rows]


def _bounds(interval: Interval, reasons: list[str]) -> list[dict[str, Any]]:
    columns = map(numbers, (interval.low, interval.high, interval.p_value))
    return [_bound(*row) for row in zip(*columns, reasons, strict=True)]


def _bound(low: float | None, high: float | None, p: float | None, reason: str) -> dict[str, Any]:
    if low is not None and high is not None and low > high:
        return {"ci": None, "p_value": p, "reason": _EMPTY}
    entry: dict[str, Any] = {
        "ci": None if low is None or high is None else [low, high],
        "p_value": p,
    }
    return entry if entry["ci"] and p is not None else entry | {"reason": reason}


def _bayes(analysis: Analysis, reasons: list[str]) -> list[dict[str, Any]]:
    pairs = analysis.pairs
    columns = (pairs.chance, pairs.lift, *pairs.credible)
    rows = zip(*map(numbers, columns), reasons, strict=True)
    keys = ("chance_to_win", "lift_mean")
    return [
        dict(zip(keys, (chance, lift), strict=True))
        | {"ci": None if low is None or high is None else [low, high]}
        | ({"reason": reason} if None in (chance, lift, low) else {})
        for chance, lift, low, high, reason in rows
    ]
