"""Alarms as they are written in rules/alarms.yaml: read, checked, and judged against samples.

Putting them into CloudWatch is `cloudwatch`'s work.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import yaml

from huntaze_pipeline.clock import duration
from huntaze_pipeline.errors import Problem, RuleError
from huntaze_pipeline.monitoring.metrics import Sample

METRICS = (
    "MessagesQueued", "MessagesSent", "MessagesFailed", "ErrorRate", "QueueDepth", "QueueLatency",
    "MessagesWaiting", "OldestDue", "CampaignsActive", "ConversionRate", "RevenueGenerated",
    "CircuitsOpen", "RulesBroken",
)  # fmt: skip
STATISTICS = ("Average", "Maximum", "Minimum", "Sum", "SampleCount", "p50", "p90", "p95", "p99")
_SHORT = (10, 20, 30)
"""Seconds of a period that CloudWatch takes besides whole minutes."""
_KEYS = ("description", "metric", "statistic", "above", "period", "periods")


@dataclass(frozen=True, slots=True)
class Alarm:
    """One alarm: a statistic of a metric, above a bound for so many periods in a row."""

    id: str
    description: str
    metric: str
    statistic: str
    above: float
    period: timedelta
    periods: int


@dataclass(frozen=True, slots=True)
class Alarms:
    """All alarms, and the CloudWatch namespace of their metrics."""

    namespace: str
    alarms: tuple[Alarm, ...]


def load(rules_dir: Path) -> Alarms:
    """Read rules/alarms.yaml.

    Raises:
        RuleError: the file is missing or holds faults; all of them are named.
    """
    path = rules_dir / "alarms.yaml"
    try:
        told = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise RuleError([Problem(str(path), f"cannot be read: {error.strerror}")]) from None
    except yaml.YAMLError as error:
        raise RuleError([Problem(str(path), f"is no YAML: {error}")]) from None
    found: list[Problem] = []
    alarms = _alarms(told, found)
    if found:
        raise RuleError([Problem(f"{path.name}: {p.where}", p.what) for p in found])
    return alarms


def firing(alarms: Alarms, samples: Sequence[Sample]) -> list[Alarm]:
    """Return the alarms whose bound these samples pass; one look, so `periods` plays no part."""
    totals = {s.name: s.value for s in samples if not s.dimensions}
    return [alarm for alarm in alarms.alarms if totals.get(alarm.metric, 0.0) > alarm.above]


def _alarms(told: Any, found: list[Problem]) -> Alarms:
    if not isinstance(told, dict) or not isinstance(told.get("alarms"), dict):
        found.append(Problem("alarms", "is missing; write `alarms:` with a block for each alarm"))
        return Alarms("", ())
    namespace = told.get("namespace", "Huntaze")
    if not isinstance(namespace, str) or not namespace or namespace.startswith("AWS/"):
        found.append(Problem("namespace", f"{namespace!r} cannot be used; write Huntaze"))
    alarms = [_alarm(str(name), body, found) for name, body in told["alarms"].items()]
    return Alarms(str(namespace), tuple(alarm for alarm in alarms if alarm is not None))


def _alarm(name: str, body: Any, found: list[Problem]) -> Alarm | None:
    if not isinstance(body, dict):
        found.append(Problem(f"alarms.{name}", f"must have the keys {', '.join(_KEYS)}"))
        return None
    before = len(found)
    where = f"alarms.{name}"
    found += [Problem(f"{where}.{key}", "is unknown") for key in body if key not in _KEYS]
    found += [Problem(f"{where}.{key}", "is missing") for key in _KEYS if key not in body]
    _one_of(body.get("metric"), METRICS, f"{where}.metric", found)
    _one_of(body.get("statistic"), STATISTICS, f"{where}.statistic", found)
    period = _period(body.get("period"), f"{where}.period", found)
    for key, kind in (("above", (int, float)), ("periods", int)):
        value = body.get(key)
        if key in body and (not isinstance(value, kind) or isinstance(value, bool)):
            found.append(Problem(f"{where}.{key}", f"{value!r} is no number"))
    if len(found) > before:
        return None
    return Alarm(
        id=name,
        description=str(body["description"]),
        metric=body["metric"],
        statistic=body["statistic"],
        above=float(body["above"]),
        period=period,
        periods=body["periods"],
    )


def _one_of(value: Any, allowed: Sequence[str], where: str, found: list[Problem]) -> None:
    if value is None or value in allowed:
        return
    near = get_close_matches(str(value), allowed, n=1)
    hint = f"did you mean {near[0]}?" if near else f"one of {', '.join(allowed)}"
    found.append(Problem(where, f"{value!r} is unknown; {hint}"))


def _period(value: Any, where: str, found: list[Problem]) -> timedelta:
    if value is None:
        return timedelta(0)
    try:
        period = duration(str(value))
    except ValueError as error:
        found.append(Problem(where, str(error)))
        return timedelta(0)
    seconds = period.total_seconds()
    if seconds not in _SHORT and (seconds == 0 or seconds % 60):
        found.append(Problem(where, f"{value} must be 10s, 20s, 30s or whole minutes"))
    return period
