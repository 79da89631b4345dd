"""The cube of campaigns, brought up to date again and again, is the cube that is built anew."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from duckdb import DuckDBPyConnection

from huntaze_pipeline.events import inbox
from huntaze_pipeline.events.envelope import Event
from huntaze_pipeline.settings import Settings
from huntaze_pipeline.store.session import Store
from huntaze_pipeline.warehouse import declarations, lake, models, pull, raw, runner

START = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)
MODELS = ("staging.stg_firsts", "metrics.campaign_cube")


def event(number: int, name: str, at: timedelta, **more: Any) -> Event:
    told = {
        "creator_id": "maya", "event_id": f"e{number}", "name": name, "fan_id": "fan-1",
        "occurred_at": START + at, "source": "api", "campaign_id": "spring", "platform": "email",
        "message_id": "m1",
    }  # fmt: skip
    return Event(**(told | more))


SECOND = timedelta(seconds=1)
BATCHES = [
    [event(1, "sent", 0 * SECOND), event(2, "clicked", 60 * SECOND)],
    [
        event(3, "clicked", 65 * SECOND, properties={"honeypot": True}),
        event(4, "opened", -timedelta(days=2), message_id="m2"),
        event(5, "purchase", timedelta(hours=3), campaign_id=None, message_id=None,
              value_micros=5, currency="USD"),
    ],
    [event(6, "opened", timedelta(days=3), properties={"user_agent": "abc"})],
]  # fmt: skip


@pytest.mark.slow
@pytest.mark.usefixtures("creator")
def test_late_events_and_changed_rules_lead_where_a_full_build_leads(
    settings: Settings, store: Store, tmp_path: Path
) -> None:
    rules = tmp_path / "rules"
    rules.mkdir()
    (rules / "bots.yaml").write_text("honeypot: {path: /t, around: 10s}")
    ours = settings.model_copy(update={"rules_dir": rules})
    project = models.load(settings.models_dir)
    seen = []
    with lake.connect(ours) as con:
        for batch in BATCHES:
            with store.worker() as c:
                inbox.append(c, batch)
            pull.inbox(store, con)
            seen.append(human(con, ours, project))
        (rules / "bots.yaml").write_text("agents: [abc]")
        seen.append(human(con, ours, project))

    assert seen == [
        ("full", 1, 1, 1),
        ("incremental", 2, 1, 0),
        ("incremental", 2, 2, 0),
        ("full", 2, 2, 1),
    ]


def human(
    con: DuckDBPyConnection, settings: Settings, project: models.Project
) -> tuple[str, int, int, int]:
    """Build, compare the tables with what their SQL says now; give how, opened and human counts."""
    declared = declarations.load(settings.rules_dir)
    lake.write(con, lambda: raw.declare(con, declared, "lake.raw."))
    built = {one.name: one.how for one in runner.build(con, project, ["+metrics.campaign_cube"])}
    for name in MODELS:
        model = project.model(name)
        columns = ", ".join(model.header.columns)
        kept = con.execute(f"select {columns} from lake.{name} order by all").fetchall()
        full = con.execute(f"select {columns} from ({model.sql}) order by all").fetchall()
        assert kept == full, name
    sums = "sum(opened), sum(human_opened), sum(human_clicked)"
    row = con.execute(f"select {sums} from lake.{MODELS[1]}").fetchone()
    assert row is not None
    return built[MODELS[1]], int(row[0]), int(row[1]), int(row[2])
