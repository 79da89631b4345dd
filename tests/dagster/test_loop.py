"""Every asset and every sensor, run by Dagster over real servers and a small world."""

from datetime import UTC, datetime, timedelta

import dagster as dg
import pytest
from sqlalchemy import text

from huntaze_pipeline.clock import system_clock
from huntaze_pipeline.definitions import build_defs
from huntaze_pipeline.events import inbox
from huntaze_pipeline.events.envelope import Event
from huntaze_pipeline.orchestration.resources import Rooms
from huntaze_pipeline.rulebook import loader, registry
from huntaze_pipeline.settings import Settings
from huntaze_pipeline.store.session import Store

pytestmark = [
    # Great Expectations' own habits, at its first import in a process, whichever test that is.
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::FutureWarning"),
]


@pytest.fixture
def rooms(settings: Settings) -> Rooms:
    return Rooms(environment=_environment(settings))


def _environment(settings: Settings) -> dict[str, str]:
    assert settings.database_url
    assert settings.redis_url
    return {
        "DATABASE_URL": settings.database_url.get_secret_value(),
        "REDIS_URL": settings.redis_url.get_secret_value(),
        "SQS_RATE_LIMITER_QUEUE": settings.sqs_queue or "",
        "AWS_ENDPOINT_URL": settings.aws_endpoint_url or "",
        "HUNTAZE_HOME": str(settings.home),
    }


@pytest.fixture
def world(store: Store, creator: str, settings: Settings) -> Store:
    now = system_clock()
    with store.worker() as connection:
        registry.apply(connection, creator, loader.load(settings.rules_dir), now)
        inbox.append(
            connection,
            [
                _event(creator, "fan-1", "purchase", now - timedelta(hours=2), 80_000_000),
                _event(creator, "fan-2", "purchase", now - timedelta(hours=1), 5_000_000),
                _event(creator, "fan-3", "subscribed", now - timedelta(minutes=5)),
            ],
        )
    return store


def _event(creator: str, fan: str, name: str, at: datetime, micros: int | None = None) -> Event:
    return Event(
        creator_id=creator,
        event_id=f"{name}-{fan}-{at.isoformat()}",
        name=name,
        fan_id=fan,
        platform="onlyfans",
        occurred_at=at,
        value_micros=micros,
        currency="USD" if micros else None,
        source="api",
        properties={},
    )


def materialize(rooms: Rooms) -> dg.ExecuteInProcessResult:
    job = build_defs(rooms=rooms).resolve_job_def("everything")
    with dg.DagsterInstance.ephemeral() as instance:
        return job.execute_in_process(instance=instance, raise_on_error=True)


@pytest.mark.slow
def test_the_whole_graph_materializes_and_its_checks_pass(rooms: Rooms, world: Store) -> None:
    result = materialize(rooms)
    checks = result.get_asset_check_evaluations()

    assert result.success
    assert [c.check_name for c in checks if not c.passed] == []
    with rooms.lake() as lake:
        assert lake.sql("select count(*) from lake.raw.events").fetchone() == (3,)
        assert lake.sql("select sum(total_micros) from lake.metrics.revenue").fetchone() == (
            85_000_000,
        )


@pytest.mark.slow
def test_tables_come_with_their_columns_origins_and_a_picture_where_there_is_one(
    rooms: Rooms, world: Store
) -> None:
    with world.worker() as connection:
        connection.execute(
            text("""insert into messages (creator_id, id, source, source_id, fan_id, platform,
                    account_id, address, content, state, not_before, idempotency_key, decided_at,
                    sent_at)
                values ('maya', 'm', 'api', 'k', 'fan-1', 'email', 'maya-email', 'a', 'Hi', 'sent',
                    now(), 'k', now(), now())""")
        )
    told = {
        str(m.asset_key.to_user_string()): m.metadata
        for event in materialize(rooms).get_asset_materialization_events()
        for m in [event.step_materialization_data.materialization]
    }
    pictures = {name: str(m["picture"].value) for name, m in told.items() if "picture" in m}

    assert {"audience/segments", "metrics/sends_per_minute"} <= set(pictures)
    assert [p for p in pictures.values() if not p.startswith("![")] == []
    assert {name for name, m in told.items() if "dagster/column_lineage" in m} == {
        name for name in told if name.startswith(("staging/", "marts/", "metrics/"))
    }


@pytest.mark.slow
def test_building_twice_changes_no_number(rooms: Rooms, world: Store) -> None:
    def revenue() -> list[tuple[object, ...]]:
        with rooms.lake() as lake:
            return lake.sql("from lake.metrics.revenue").fetchall()

    materialize(rooms)
    first = revenue()
    materialize(rooms)

    assert revenue() == first


@pytest.mark.slow
def test_every_sensor_ticks_and_an_event_becomes_a_queued_message(
    rooms: Rooms, world: Store
) -> None:
    noon = 12 - datetime.now(UTC).hour  # nobody's quiet hours, whenever the test runs
    with world.worker() as connection:
        zone = {"zone": f"Etc/GMT{-noon:+d}" if noon else "UTC"}
        connection.execute(text("update fans set zone = :zone"), zone)
    definitions = build_defs(rooms=rooms)
    with dg.DagsterInstance.ephemeral() as instance:
        for name in ("new_events", "automations", "due_campaigns", "due_messages", "alerts"):
            sensor = definitions.resolve_sensor_def(name)
            context = dg.build_sensor_context(
                instance=instance, definitions=definitions, resources={"rooms": rooms}
            )
            data = sensor.evaluate_tick(context)
            assert data.run_requests in ([], None)

    with world.worker() as connection:
        states = connection.execute(
            text("select source_id, state from messages order by source_id")
        ).all()
    assert states
    assert {row.state for row in states} <= {"queued", "decided", "skipped"}
    assert any(row.state == "queued" for row in states)


def test_a_tick_that_is_repeated_decides_nothing_anew(rooms: Rooms, world: Store) -> None:
    from huntaze_pipeline.orchestration import ticks

    now = datetime.now(UTC)
    read = ticks.react(world, None, rooms.policies, now)
    with world.worker() as connection:
        before = connection.execute(text("select count(*) from messages")).scalar()
        connection.execute(text("delete from checkpoints"))
    again = ticks.react(world, None, rooms.policies, now)
    with world.worker() as connection:
        after = connection.execute(text("select count(*) from messages")).scalar()

    assert read == again == 3
    assert before == after
    assert before


def test_models_with_a_fault_stop_the_location_with_the_file_and_line(tmp_path: object) -> None:
    from pathlib import Path

    from huntaze_pipeline.errors import ModelError

    folder = Path(str(tmp_path)) / "staging"
    folder.mkdir()
    (folder / "broken.sql").write_text("select 1")
    with pytest.raises(ModelError, match=r"broken\.sql"):
        build_defs(models_dir=folder.parent)


def test_a_broken_model_keeps_the_sensors_and_shows_its_fault(
    tmp_path: object, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    from pathlib import Path

    from huntaze_pipeline import definitions

    folder = Path(str(tmp_path)) / "staging"
    folder.mkdir()
    (folder / "broken.sql").write_text("select 1")
    monkeypatch.setenv("HUNTAZE_MODELS_DIR", str(folder.parent))
    found = definitions.loaded()
    described = [spec.description or "" for spec in found.resolve_all_asset_specs()]

    assert {"new_events", "due_messages"} <= {sensor.name for sensor in found.sensors or []}
    assert any("broken.sql" in text for text in described)
    assert "broken.sql" in caplog.text
    for name in ("models", "everything"):
        found.resolve_job_def(name)
