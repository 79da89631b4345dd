"""Dagster's own tables, over few connections."""

from collections.abc import Iterator

import dagster as dg
import pytest
from sqlalchemy import event
from sqlalchemy.pool import Pool

from huntaze_pipeline.local import instance
from huntaze_pipeline.orchestration.storage import PooledStorage
from huntaze_pipeline.settings import Settings


@pytest.fixture
def home(settings: Settings, store: object, monkeypatch: pytest.MonkeyPatch) -> str:
    for name, value in instance.prepare(settings).items():
        monkeypatch.setenv(name, value)
    return str(settings.root / "dagster")


@pytest.fixture
def connected() -> Iterator[list[object]]:
    found: list[object] = []

    def note(connection: object, _: object) -> None:
        found.append(connection)

    event.listen(Pool, "connect", note)
    yield found
    event.remove(Pool, "connect", note)


def test_an_instance_asks_all_its_questions_over_one_connection_a_part(
    home: str, connected: list[object]
) -> None:
    with dg.DagsterInstance.from_config(home) as found:
        assert isinstance(found.get_ref().storage, PooledStorage)
        for _ in range(5):
            assert found.get_runs() == []
            assert found.all_instigator_state() == []
            assert found.get_asset_keys() == []
        made = len(connected)
        assert found.get_runs_count() == 0
        assert len(connected) == made
    again = len(connected)
    with dg.DagsterInstance.from_config(home) as found:
        assert len(connected) == again, "nothing is asked before there is a question"
        assert found.get_runs() == []
        assert len(connected) == again + 1


def test_what_is_written_is_read_back_by_another_instance(home: str) -> None:
    with dg.DagsterInstance.from_config(home) as found:
        run = found.create_run_for_job(dg.GraphDefinition("nothing").to_job())
    with dg.DagsterInstance.from_config(home) as found:
        assert [r.run_id for r in found.get_runs()] == [run.run_id]
