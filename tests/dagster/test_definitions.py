"""The code location as Dagster sees it."""

import subprocess
import sys
from functools import cache

import dagster as dg
import pytest

from huntaze_pipeline.definitions import build_defs


@cache
def specs() -> tuple[dg.AssetSpec, ...]:
    return tuple(build_defs().resolve_all_asset_specs())


@pytest.mark.slow
def test_the_location_loads_in_a_fresh_interpreter_without_slow_imports() -> None:
    slow = ("great_expectations", "pandas", "scipy", "boto3", "altair", "vl_convert")
    optimizer = ("sqlglot.lineage", "sqlglot.optimizer.qualify")
    code = "import sys; from huntaze_pipeline.definitions import defs; print(*sys.modules)"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = set(run.stdout.split())

    assert loaded & {*slow, *optimizer, "huntaze_pipeline.reports"} == set()
    assert loaded >= {"dagster", "huntaze_pipeline.orchestration.pictures"}


def test_every_asset_is_described_owned_and_in_a_group() -> None:
    poor = [
        spec.key.to_user_string()
        for spec in specs()
        if not (spec.description and spec.owners and spec.group_name != "default" and spec.kinds)
    ]

    assert poor == []


def test_every_asset_key_is_a_layer_and_a_thing() -> None:
    assert [s.key.path for s in specs() if len(s.key.path) != 2] == []


def test_the_asset_graph_has_no_dangling_dependency() -> None:
    keys = {spec.key for spec in specs()}
    dangling = {d.asset_key for s in specs() for d in s.deps if d.asset_key not in keys}

    assert dangling == set()


def test_the_sensors_and_schedules_of_the_card_exist_and_start_running() -> None:
    definitions = build_defs()
    sensors = {s.name: s for s in definitions.sensors or []}
    schedules = {s.name for s in definitions.schedules or []}

    assert {"new_events", "due_messages", "due_campaigns", "automations", "alerts"} <= set(sensors)
    assert {"hourly_numbers", "nightly_reports", "retention"} <= schedules
    running = {n for n, s in sensors.items() if s.default_status.value == "RUNNING"}
    assert running == set(sensors)


def test_no_file_that_dagster_reads_postpones_annotations() -> None:
    from pathlib import Path

    root = Path(__file__).parents[2]
    files = [*root.glob("assets/*.py"), *root.glob("sensors/*.py")]
    files += [*root.glob("huntaze_pipeline/orchestration/*.py")]

    assert files
    assert [f.name for f in files if "from __future__ import annotations" in f.read_text()] == []
