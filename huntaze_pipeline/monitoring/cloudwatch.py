"""CloudWatch: samples go there, alarms and the dashboard are put there. Nothing is decided here."""

import json
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from huntaze_pipeline.errors import ServiceError
from huntaze_pipeline.monitoring.alarms import Alarm, Alarms
from huntaze_pipeline.monitoring.metrics import Sample
from huntaze_pipeline.settings import Settings

BATCH = 500
"""Metrics a call; CloudWatch takes 1,000 and 1 MB."""
DISTINCT = 150
"""Values of one distribution that CloudWatch takes."""
PREFIX = "huntaze-"
DASHBOARD = "Huntaze"
_GRAPHS = (
    ("Messages", ("MessagesQueued", "MessagesSent", "MessagesFailed"), "Sum"),
    ("Error rate (%)", ("ErrorRate",), "Average"),
    ("Queue depth", ("QueueDepth", "QueueNotes", "MessagesWaiting"), "Maximum"),
    ("Queue latency (s)", ("QueueLatency", "OldestDue"), "p95"),
    ("Campaigns active", ("CampaignsActive",), "Maximum"),
    ("Circuits open", ("CircuitsOpen",), "Maximum"),
    ("Rules broken", ("RulesBroken",), "Maximum"),
)
_BY_CAMPAIGN = ("MessagesSentByCampaign", "ConversionRate", "RevenueGenerated")


def connect(settings: Settings) -> Any:
    """Return a client of CloudWatch, here or at AWS."""
    import boto3
    from botocore.config import Config

    config = Config(connect_timeout=3, read_timeout=10, retries={"max_attempts": 3})
    return boto3.client(
        "cloudwatch",
        region_name=settings.aws_region,
        endpoint_url=settings.aws_endpoint_url,
        config=config,
    )


def push(client: Any, namespace: str, samples: Sequence[Sample], at: datetime) -> int:
    """Send samples in batches; return how many metrics went.

    Raises:
        ServiceError: CloudWatch refuses or does not answer.
    """
    data = [datum for sample in samples for datum in _data(sample, at)]
    for start in range(0, len(data), BATCH):
        batch = data[start : start + BATCH]
        _call(client, "put_metric_data", Namespace=namespace, MetricData=batch)
    return len(data)


def apply(client: Any, alarms: Alarms, *, region: str, topics: Sequence[str] = ()) -> list[str]:
    """Put every alarm and the dashboard in place; alarms of ours that are no longer wanted go.

    Args:
        client: from `connect`.
        alarms: what is wanted.
        region: of the dashboard's graphs.
        topics: ARNs of the SNS topics that an alarm tells.

    Returns:
        The names of the alarms.

    Raises:
        ServiceError: CloudWatch refuses or does not answer.
    """
    wanted = [_alarm(alarm, alarms.namespace, topics) for alarm in alarms.alarms]
    for alarm in wanted:
        _call(client, "put_metric_alarm", **alarm)
    names = [alarm["AlarmName"] for alarm in wanted]
    if stale := sorted(set(_ours(client)) - set(names)):
        _call(client, "delete_alarms", AlarmNames=stale)
    body = json.dumps(dashboard(alarms, region))
    _call(client, "put_dashboard", DashboardName=DASHBOARD, DashboardBody=body)
    return names


def dashboard(alarms: Alarms, region: str) -> dict[str, Any]:
    """Return the dashboard as CloudWatch's JSON: the alarms, then a graph for each subject."""
    place = alarms.namespace
    graphs = [(t, [[place, n, {"stat": stat}] for n in names]) for t, names, stat in _GRAPHS]
    for name in _BY_CAMPAIGN:
        query = f"SEARCH('{{{place},Creator,Campaign}} MetricName=\"{name}\"', 'Maximum', 300)"
        graphs.append((name, [[{"expression": query}]]))
    lines = "\n".join(f"- **{a.id}**: {a.description}" for a in alarms.alarms)
    head = {"type": "text", "x": 0, "y": 0, "width": 24, "height": 4}
    widgets: list[dict[str, Any]] = [head | {"properties": {"markdown": f"# Alarms\n{lines}"}}]
    for index, (title, metrics) in enumerate(graphs):
        where = {"x": index % 2 * 12, "y": 4 + index // 2 * 6, "width": 12, "height": 6}
        told = {"title": title, "region": region, "period": 60, "metrics": metrics}
        widgets.append({"type": "metric", **where, "properties": told | {"view": "timeSeries"}})
    return {"widgets": widgets}


def _data(sample: Sample, at: datetime) -> list[dict[str, Any]]:
    """Return a sample as CloudWatch takes it: values with counts, at most so many at a time."""
    pairs = sorted(sample.values.items())
    base: dict[str, Any] = {
        "MetricName": sample.name,
        "Timestamp": at,
        "Unit": sample.unit,
        "Dimensions": [{"Name": k, "Value": v[:1024]} for k, v in sample.dimensions.items()],
    }
    parts = [pairs[start : start + DISTINCT] for start in range(0, len(pairs), DISTINCT)]
    return [
        base | {"Values": [float(v) for v, _ in part], "Counts": [float(n) for _, n in part]}
        for part in parts
    ]


def _alarm(alarm: Alarm, namespace: str, topics: Sequence[str]) -> dict[str, Any]:
    extended = alarm.statistic.startswith("p")
    return {
        "AlarmName": PREFIX + alarm.id.replace("_", "-"),
        "AlarmDescription": alarm.description,
        "Namespace": namespace,
        "MetricName": alarm.metric,
        "ExtendedStatistic" if extended else "Statistic": alarm.statistic,
        "Period": int(alarm.period.total_seconds()),
        "EvaluationPeriods": alarm.periods,
        "Threshold": alarm.above,
        "ComparisonOperator": "GreaterThanThreshold",
        "TreatMissingData": "notBreaching",
        "AlarmActions": list(topics),
        "OKActions": list(topics),
    }


def _ours(client: Any) -> list[str]:
    found: list[str] = []
    token: dict[str, str] = {}
    while True:
        page = _call(client, "describe_alarms", AlarmNamePrefix=PREFIX, **token)
        found += [alarm["AlarmName"] for alarm in page.get("MetricAlarms", [])]
        if not page.get("NextToken"):
            return found
        token = {"NextToken": page["NextToken"]}


def _call(client: Any, operation: str, **arguments: Any) -> Any:
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        return getattr(client, operation)(**arguments)
    except (BotoCoreError, ClientError) as error:
        raise ServiceError(f"CloudWatch {operation}: {error}") from None
