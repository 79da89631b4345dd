"""Copies of the operational tables follow what changed, and nothing that is not settled yet."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from duckdb import DuckDBPyConnection
from sqlalchemy import text

from huntaze_pipeline.delivery import outbox
from huntaze_pipeline.errors import WarehouseError
from huntaze_pipeline.rulebook.decision import Decision
from huntaze_pipeline.settings import Settings
from huntaze_pipeline.store.session import Store
from huntaze_pipeline.warehouse import care, lake, mirror

NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)


@pytest.fixture
def con(settings: Settings) -> Iterator[DuckDBPyConnection]:
    with lake.connect(settings) as found:
        yield found


def refresh(con: DuckDBPyConnection, *, whole: bool = False) -> None:
    lake.write(con, lambda: mirror.refresh(con, NOON, {}, whole=whole))


def zones(con: DuckDBPyConnection) -> dict[str, str | None]:
    return dict(con.execute("select id, zone from lake.raw.fans order by id").fetchall())


def snapshot(con: DuckDBPyConnection) -> int:
    return lake.snapshot(con)


MOVE = text("update fans set zone = :zone where id = :id")


@pytest.mark.slow
def test_a_changed_row_replaces_its_copy(
    store: Store, creator: str, con: DuckDBPyConnection
) -> None:
    refresh(con)
    before = zones(con)
    with store.worker() as connection:
        connection.execute(MOVE, {"zone": "Asia/Tokyo", "id": "fan-1"})
    refresh(con)

    assert zones(con) == before | {"fan-1": "Asia/Tokyo"}


@pytest.mark.slow
def test_a_message_that_waited_for_a_winner_is_there_once(
    store: Store, creator: str, con: DuckDBPyConnection
) -> None:
    waits = Decision(
        creator_id=creator, source="campaign", source_id="spring", rule_hash="h", fan_id="fan-1",
        platform="email", account_id="maya-email", address="fan-1@example.com", content="Hello",
        state="held", not_before=NOON, decided_at=NOON,
    )  # fmt: skip
    with store.worker() as connection:
        outbox.record(connection, [waits])
    refresh(con)
    with store.worker() as connection:
        later = replace(waits, state="decided", decided_at=NOON + timedelta(days=1))
        assert outbox.release(connection, [later]) == 1
    refresh(con)

    copies = con.execute("select state, decided_at from lake.raw.messages").fetchall()
    assert copies == [("decided", NOON + timedelta(days=1))]


def test_nothing_new_writes_nothing(store: Store, creator: str, con: DuckDBPyConnection) -> None:
    refresh(con)
    before = snapshot(con)
    refresh(con)

    assert snapshot(con) == before


@pytest.mark.slow
def test_a_transaction_that_is_open_is_taken_when_it_has_ended(
    store: Store, creator: str, con: DuckDBPyConnection
) -> None:
    refresh(con)
    with store.worker() as slow:
        slow.execute(MOVE, {"zone": "Asia/Tokyo", "id": "fan-1"})
        with store.worker() as fast:
            fast.execute(MOVE, {"zone": "Asia/Seoul", "id": "fan-2"})
        refresh(con)
        assert "Asia/Tokyo" not in zones(con).values()
    refresh(con)

    assert zones(con)["fan-1"] == "Asia/Tokyo"
    assert zones(con)["fan-2"] == "Asia/Seoul"


@pytest.mark.slow
def test_a_whole_refresh_finds_even_rows_that_were_deleted_by_hand(
    store: Store, creator: str, con: DuckDBPyConnection
) -> None:
    refresh(con)
    with store.worker() as connection:
        connection.execute(text("delete from fans where id = 'fan-1'"))
    refresh(con, whole=True)

    assert "fan-1" not in zones(con)


@pytest.mark.slow
def test_the_lake_can_be_seen_as_it_was(
    store: Store, creator: str, settings: Settings, con: DuckDBPyConnection
) -> None:
    refresh(con)
    before, old = snapshot(con), zones(con)
    with store.worker() as connection:
        connection.execute(MOVE, {"zone": "Asia/Tokyo", "id": "fan-1"})
    refresh(con)

    with lake.connect(settings, as_of=before) as past:
        assert zones(past) == old
    with lake.connect(settings, as_of=datetime.now(UTC)) as past:
        assert zones(past) == zones(con)
    for when in (before + 1000, datetime(2001, 1, 1, tzinfo=UTC)):
        with (
            pytest.raises(WarehouseError, match=r"snapshots \d+ to \d+, from .* are kept"),
            lake.connect(settings, as_of=when),
        ):
            raise AssertionError("must not open")


@pytest.mark.slow
def test_care_lets_old_snapshots_go_and_changes_no_answer(
    store: Store, creator: str, settings: Settings, con: DuckDBPyConnection
) -> None:
    for zone in ("Asia/Tokyo", "Asia/Seoul", "Asia/Dhaka"):
        with store.worker() as connection:
            connection.execute(MOVE, {"zone": zone, "id": "fan-1"})
        refresh(con)
    before = zones(con)
    done = care.run(con, datetime.now(UTC) + timedelta(days=100))

    assert done.expired >= 3
    assert zones(con) == before
    assert {item.table for item in care.stored(con)} >= {"raw.fans", "raw.events"}
