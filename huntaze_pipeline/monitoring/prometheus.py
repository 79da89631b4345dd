"""Samples as Prometheus reads them. Names of creators and campaigns never appear here.

`/metrics` is open to whoever can reach it, and labels that grow with the business are what slows
Prometheus down: so samples of single campaigns are added up or left out.
"""

import re
from collections import defaultdict
from collections.abc import Iterable, Sequence

from huntaze_pipeline.monitoring.metrics import Sample

MEDIA = "text/plain; version=0.0.4; charset=utf-8"
_PRIVATE = frozenset({"Creator", "Campaign"})
_HELP = {
    "MessagesQueued": "Messages queued in the last minute",
    "MessagesSent": "Messages sent in the last minute",
    "MessagesFailed": "Messages failed in the last minute",
    "ErrorRate": "Share of ended messages that failed in the last minute",
    "QueueDepth": "Messages that are due and not yet on an account queue",
    "QueueLatency": "Longest way from due to queued in the last minute",
    "MessagesWaiting": "Messages that wait for a slot of their account's limit",
    "OldestDue": "Age of the oldest message that is due and not queued",
    "QueueNotes": "Notes in SQS, about",
    "CampaignsActive": "Active campaigns",
    "MessagesSentByCampaign": "Messages of all campaigns sent in the last minute",
    "RevenueGenerated": "Revenue credited to active campaigns so far, each in its own currency",
    "RulesBroken": "Live automations that cannot be read, so let nobody in",
    "CircuitState": "State of the platform's circuit: 0 closed, 1 open",
    "BreakerOpen": "1 while the platform's circuit is open",
    "CircuitsOpen": "Platforms whose circuit is open",
}
_SUFFIX = {"Seconds": "_seconds", "Percent": "_percent"}


def render(samples: Iterable[Sample]) -> str:
    """Return the samples as text in Prometheus's exposition format, version 0.0.4."""
    found: dict[str, dict[tuple[tuple[str, str], ...], float]] = defaultdict(dict)
    units: dict[str, str] = {}
    for sample in samples:
        if sample.name not in _HELP:
            continue
        labels = tuple(
            (k.lower(), v) for k, v in sorted(sample.dimensions.items()) if k not in _PRIVATE
        )
        units[sample.name] = sample.unit
        series = found[sample.name]
        series[labels] = series.get(labels, 0.0) + sample.value
    lines = [line for name in sorted(found) for line in _block(name, units[name], found[name])]
    return "\n".join(lines) + "\n"


def _block(name: str, unit: str, series: dict[tuple[tuple[str, str], ...], float]) -> Sequence[str]:
    title = "huntaze_" + re.sub(r"(?<!^)(?=[A-Z])", "_", name).lower() + _SUFFIX.get(unit, "")
    # A total beside its parts under one name would be counted twice by sum(): the parts win.
    shown = {k: v for k, v in series.items() if k or len(series) == 1}
    return [
        f"# HELP {title} {_HELP[name]}",
        f"# TYPE {title} gauge",
        *(f"{title}{_labels(labels)} {value:.15g}" for labels, value in sorted(shown.items())),
    ]


def _labels(labels: Sequence[tuple[str, str]]) -> str:
    if not labels:
        return ""
    told = ",".join(f'{key}="{_escaped(value)}"' for key, value in labels)
    return "{" + told + "}"


def _escaped(value: str) -> str:
    return value.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")
