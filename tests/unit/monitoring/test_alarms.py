from pathlib import Path

import pytest

from huntaze_pipeline.errors import RuleError
from huntaze_pipeline.monitoring import alarms
from huntaze_pipeline.monitoring.metrics import Sample, one
from huntaze_pipeline.settings import load

GOOD = """
namespace: Test
alarms:
  slow:
    description: Too slow.
    metric: QueueLatency
    statistic: p95
    above: 5
    period: 1m
    periods: 3
"""


def read(folder: Path, text: str) -> alarms.Alarms:
    (folder / "alarms.yaml").write_text(text)
    return alarms.load(folder)


def test_the_shipped_alarms_are_the_four_that_were_asked_for() -> None:
    found = {a.metric: a.above for a in alarms.load(load().rules_dir).alarms}

    assert found == {"ErrorRate": 5, "QueueDepth": 100, "QueueLatency": 5, "CircuitsOpen": 0}


def test_an_alarm_is_read_with_its_units(tmp_path: Path) -> None:
    alarm = read(tmp_path, GOOD).alarms[0]

    assert (alarm.id, alarm.above, alarm.period.total_seconds()) == ("slow", 5.0, 60)


def test_every_fault_of_the_file_is_told_at_once(tmp_path: Path) -> None:
    text = GOOD.replace("QueueLatency", "QueueLatancy").replace("1m", "60").replace("p95", "best")
    text = text.replace("above: 5", "above: much").replace("periods: 3", "colour: red")

    with pytest.raises(RuleError) as caught:
        read(tmp_path, text)

    told = str(caught.value)
    assert "did you mean QueueLatency?" in told
    for part in ("period: ", "statistic", "above", "periods: is missing", "colour: is unknown"):
        assert part in told


@pytest.mark.parametrize("period", ["10s", "20s", "30s", "1m", "5m", "1h"])
def test_a_period_that_cloudwatch_takes_is_taken(tmp_path: Path, period: str) -> None:
    assert read(tmp_path, GOOD.replace("1m", period)).alarms


@pytest.mark.parametrize("period", ["0s", "5s", "40s", "50s", "90s"])
def test_a_period_that_cloudwatch_would_refuse_is_refused(tmp_path: Path, period: str) -> None:
    with pytest.raises(RuleError, match="whole minutes"):
        read(tmp_path, GOOD.replace("1m", period))


@pytest.mark.parametrize("text", ["", "[]", "alarms: []", "a: [", "namespace: AWS/SQS\nalarms: {}"])
def test_a_file_of_another_shape_is_refused(tmp_path: Path, text: str) -> None:
    with pytest.raises(RuleError):
        read(tmp_path, text)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(RuleError, match=r"alarms\.yaml"):
        alarms.load(tmp_path)


@pytest.mark.parametrize(("rate", "fires"), [(5.0, False), (5.1, True)])
def test_an_alarm_fires_above_its_bound_and_not_at_it(rate: float, fires: bool) -> None:
    found = alarms.firing(alarms.load(load().rules_dir), [one("ErrorRate", "Percent", rate)])

    assert [alarm.id for alarm in found] == (["error_rate"] if fires else [])


def test_numbers_of_single_campaigns_ring_no_alarm_of_the_whole() -> None:
    sample = Sample("QueueDepth", "Count", {1000.0: 1}, {"Platform": "email"})

    assert alarms.firing(alarms.load(load().rules_dir), [sample]) == []
