"""Attribution as a whole: every model on the same conversions, as plain values."""

from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

import numpy as np
import polars as pl

from huntaze_pipeline.measurement import attribution, credits, markov, paths, shapley
from huntaze_pipeline.measurement.attribution import MICROS, Joined, Rules
from huntaze_pipeline.measurement.paths import Paths

Worth = Literal["conversions", "rate"]
_Table = dict[str, dict[str, Any]]
"""Conversions and micros by channel."""


def from_slices(
    parts: Iterable[tuple[pl.DataFrame, pl.DataFrame]], rules: Rules, worth: Worth = "conversions"
) -> dict[str, Any]:
    """All models, from touches and conversions that come in parts, each fan whole in one part."""
    sums = _Sums()
    found: list[Paths] = []
    for touches, conversions in parts:
        sums.meet(touches, conversions)
        sums.add(attribution.join(touches, conversions, rules), rules)
        found.append(paths.collect(touches, conversions, rules))
    return _report(sums, paths.merged(found), rules, worth)


@dataclass
class _Sums:
    """What adds up over parts: totals, and credit by model and channel."""

    conversions: float = 0
    unattributed_conversions: float = 0
    total: int = 0
    unattributed: int = 0
    models: dict[str, _Table] = field(default_factory=dict)
    influenced: _Table = field(default_factory=dict)
    strangers: tuple[str, str] | None = None
    """A fan of the touches and one of the conversions, as long as no fan is in both."""

    def add(self, joined: Joined, rules: Rules) -> None:
        """Take one more part in."""
        for name in ("conversions", "unattributed_conversions", "total", "unattributed"):
            setattr(self, name, getattr(self, name) + getattr(joined, name))
        for model, table in attribution.credit(joined, rules).items():
            _add(self.models.setdefault(model, {}), table)
        _add(self.influenced, attribution.influenced(joined))

    def meet(self, touches: pl.DataFrame, conversions: pl.DataFrame) -> None:
        """Look for a fan in both, once: ids that are written differently never meet."""
        if self.conversions and self.strangers is None:
            return
        seen, bought = touches["fan_id"], conversions["fan_id"]
        if bought.is_in(seen.implode()).any():
            self.strangers = None
        elif len(seen) and len(bought):
            self.strangers = str(seen[0]), str(bought[0])


def _add(sums: _Table, table: _Table) -> None:
    for channel, row in table.items():
        own = sums.setdefault(channel, {"conversions": 0.0, "value_micros": 0})
        for name, value in row.items():
            own[name] += value


def from_paths(walked: Paths, rules: Rules, worth: Worth = "conversions") -> dict[str, Any]:
    """All models that need no times, from aggregated paths."""
    chosen = paths.collapsed(walked) if rules.collapse else walked
    journeys = paths.journeys(chosen)
    total, conversions = sum(chosen.value.tolist()), _count(chosen.conversions)
    joined = Joined(
        journeys, conversions, total, total - sum(journeys.value.tolist()),
        _count(chosen.conversions[[not path for path in chosen.steps]]),
    )  # fmt: skip
    sums = _Sums()
    sums.add(joined, rules)
    result = _report(sums, chosen, rules, worth)
    result["notes"].append("time_decay needs times: not computed from paths")
    return result


def _count(parts: np.ndarray) -> float:
    """A sum, whole where it is."""
    total = float(parts.sum())
    return int(total) if total.is_integer() else total


def _report(joined: _Sums, walked: Paths, rules: Rules, worth: Worth) -> dict[str, Any]:
    models = dict(joined.models)
    nulls = float(walked.nulls.sum())
    walked = paths.touched(walked)
    chain = markov.solve(walked)
    reached = joined.conversions - joined.unattributed_conversions
    attributed = joined.total - joined.unattributed
    models["markov"] = markov.credit(chain, reached, attributed)
    values = _shapley(walked, worth)
    models["shapley"] = _shared(walked.channels, values.value, reached, attributed)
    return {
        "totals": {
            "conversions": joined.conversions,
            "attributed_conversions": reached,
            "unattributed_conversions": joined.unattributed_conversions,
            **_money("value", joined.total),
            **_money("attributed", attributed),
            **_money("unattributed", joined.unattributed),
            "nulls": nulls,
        },
        "models": {name: _priced(table) for name, table in models.items()},
        "removal_effects": dict(zip(chain.channels, chain.removal.tolist(), strict=True)),
        "chain_probability": chain.probability,
        "shapley": {
            "worth": worth,
            "method": values.method,
            "stderr": dict(zip(walked.channels, values.error.tolist(), strict=True)),
        },
        "influenced": _priced(joined.influenced),
        "rules": asdict(rules)
        | {name: getattr(rules, name).total_seconds() for name in ("lookback", "half_life")},
        "notes": _notes(nulls, chain.channels, joined.strangers if not reached else None),
    }


def _shapley(walked: Paths, worth: Worth) -> shapley.Values:
    if worth == "conversions" or not walked.channels:
        return shapley.conversions(walked)
    return shapley.values(shapley.rate(walked), len(walked.channels))


def _shared(
    channels: list[str], value: np.ndarray, conversions: float, micros: int
) -> dict[str, dict[str, float | int]]:
    """Credit in proportion to Shapley values."""
    if not channels:
        return {}
    total = float(value.sum())
    share = value / total if total else np.full(len(value), 1 / len(value))
    money = credits.split(np.array([micros], dtype=np.int64), share, np.zeros(1, dtype=np.intp))
    return {
        name: {"conversions": float(part * conversions), "value_micros": int(amount)}
        for name, part, amount in zip(channels, share, money, strict=True)
    }


def _money(name: str, micros: int) -> dict[str, float | int]:
    return {name: micros / MICROS, f"{name}_micros": micros}


def _priced(table: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
    return {name: row | {"value": row["value_micros"] / MICROS} for name, row in table.items()}


def _notes(nulls: float, channels: list[str], strangers: tuple[str, str] | None) -> list[str]:
    notes = []
    if strangers:
        notes.append(
            "no fan is both among the touches and the conversions: touches have fans such as"
            f" {strangers[0]!r}, conversions such as {strangers[1]!r}"
        )
    elif not channels:
        notes.append("no touch lies within the look-back of any conversion")
    elif not nulls:
        notes.append(
            "no path ended without a conversion: the chain's probability is 1 and removal effects"
            " only say how often a channel is on the way"
        )
    return notes
