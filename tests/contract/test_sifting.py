"""What comes in and breaks its suite: held back with the reason, once, whatever dies in between."""

import json
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from duckdb import DuckDBPyConnection
from sqlalchemy import text

from huntaze_pipeline.clock import FixedClock
from huntaze_pipeline.errors import ImportFileError, ModelError
from huntaze_pipeline.events import inbox, quarantine, sifting
from huntaze_pipeline.events.envelope import Event
from huntaze_pipeline.events.importer import Importer
from huntaze_pipeline.events.mapping import parse
from huntaze_pipeline.quality import history, suite
from huntaze_pipeline.settings import Settings
from huntaze_pipeline.store.session import Store
from huntaze_pipeline.warehouse import lake, pull, replaying
from huntaze_pipeline.warehouse.replaying import Replayed

NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)
OLD = datetime(1999, 12, 31, tzinfo=UTC)


@pytest.fixture
def con(settings: Settings) -> Iterator[DuckDBPyConnection]:
    with lake.connect(settings) as found:
        yield found


def live(store: Store, *ids: str, at: datetime = NOON, fan: str = "fan-1", who: str = "maya"):
    events = [
        Event(creator_id=who, event_id=i, name="purchase", fan_id=fan, occurred_at=at,
              source="api", value_micros=1_000_000, currency="EUR", properties={"é": "☃"})
        for i in ids
    ]  # fmt: skip
    with store.worker() as connection:
        inbox.append(connection, events)


def ids(con: DuckDBPyConnection) -> list[str]:
    return [r[0] for r in con.execute("select event_id from lake.raw.events order by 1").fetchall()]


def held(store: Store, who: str = "maya", state: str = "open") -> list[quarantine.Held]:
    with store.tenant(who) as connection:
        return quarantine.listed(connection, state=state)


def test_a_live_event_that_breaks_the_suite_is_held_with_the_reason_and_the_rest_goes_on(
    store: Store, creator: str, con: DuckDBPyConnection
) -> None:
    live(store, "good-1")
    live(store, "old", at=OLD)
    live(store, "blank", fan=" \t")
    live(store, "good-2")
    pulled = pull.inbox(store, con, batch=3)

    assert (pulled.rows, pulled.known, pulled.held) == (2, 0, 2)
    assert ids(con) == ["good-1", "good-2"]
    rows = {row.raw["event_id"]: row for row in held(store)}
    assert {name: (row.field, row.file) for name, row in rows.items()} == {
        "old": ("occurred_at", "inbox"), "blank": ("fan_id", "inbox"),
    }  # fmt: skip
    assert rows["old"].reason.startswith(
        "occurred_at '1999-12-31 00:00:00+00' breaks ExpectColumnValuesToBeBetween"
    )
    assert rows["old"].raw["properties"] == {"é": "☃"}
    assert rows["old"].raw["occurred_at"] == "1999-12-31T00:00:00.000000Z"
    assert pull.inbox(store, con).held == 0


@pytest.mark.slow
def test_a_batch_of_nothing_but_bad_rows_moves_the_position_and_loses_none(
    store: Store, creator: str, con: DuckDBPyConnection
) -> None:
    live(store, *(f"e{n}" for n in range(50)), at=OLD)
    pulled = pull.inbox(store, con, batch=20)

    assert (pulled.rows, pulled.held, ids(con)) == (0, 50, [])
    assert len(held(store)) == 50
    assert pull.inbox(store, con).held == 0


def test_dying_between_the_quarantine_and_the_lake_changes_nothing_in_the_end(
    store: Store, creator: str, con: DuckDBPyConnection, monkeypatch: pytest.MonkeyPatch
) -> None:
    live(store, "good", "other")
    live(store, "old", at=OLD)

    def die(_: object) -> int:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(pull, "append", die)
        with pytest.raises(KeyboardInterrupt):
            pull.inbox(store, con)
    assert (len(held(store)), ids(con)) == (1, [])
    pulled = pull.inbox(store, con)
    assert (pulled.rows, pulled.held, len(held(store))) == (2, 1, 1)
    assert ids(con) == ["good", "other"]


def test_a_row_in_the_quarantine_stays_there_although_the_suite_was_mended_before_the_repeat(
    store: Store, creator: str, con: DuckDBPyConnection, monkeypatch: pytest.MonkeyPatch
) -> None:
    live(store, "old", at=OLD)
    with monkeypatch.context() as patched:
        patched.setattr(pull, "append", lambda _: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            pull.inbox(store, con)
    lenient = lambda *_: suite.load(suite.find("events")).together(())  # noqa: E731
    monkeypatch.setattr(sifting.suite, "active", lenient)

    assert pull.inbox(store, con).held == 1
    assert (ids(con), len(held(store))) == ([], 1)


def test_two_pullers_at_once_hold_each_row_once(
    store: Store, creator: str, con: DuckDBPyConnection, settings: Settings
) -> None:
    live(store, *(f"good-{n}" for n in range(30)))
    live(store, *(f"old-{n}" for n in range(30)), at=OLD)
    found: list[int] = []

    def run() -> None:
        with lake.connect(settings) as mine:
            found.append(pull.inbox(store, mine, batch=17).held)

    threads = [threading.Thread(target=run) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (sum(found), len(held(store)), len(ids(con))) == (30, 30, 30)


def test_no_creator_sees_the_held_rows_or_the_checks_of_another(
    store: Store, creator: str, con: DuckDBPyConnection
) -> None:
    with store.worker() as connection:
        connection.execute(text("insert into creators (id, name) values ('zoe', 'Zoe')"))
    live(store, "old", at=OLD)
    live(store, "hers", at=OLD, who="zoe")
    pull.inbox(store, con)

    assert [row.raw["event_id"] for row in held(store)] == ["old"]
    assert [row.raw["event_id"] for row in held(store, "zoe")] == ["hers"]
    with store.tenant("maya") as connection:
        assert history.listed(connection) == []
    with store.worker() as connection:
        whole = history.listed(connection, suite="events")[-1]
    assert (whole["rows"], whole["unexpected"], whole["success"]) == (2, 2, False)


MAPPING = """
kind: events
zone: UTC
key: [id]
events:
  - {name: purchase, fan_id: who, occurred_at: at, value: paid, currency: {value: EUR}}
"""
BASKETS = MAPPING.replace("key: [id]", "group_by: [id]").replace(
    "events:\n", "lines: {item_id: item, value: paid}\nevents:\n"
)


@pytest.fixture
def importer(settings: Settings, store: Store, con: DuckDBPyConnection) -> Importer:
    return Importer(store, con, lake.write, FixedClock(NOON))


def take(importer: Importer, folder: Path, rows: str, mapping: str = MAPPING):
    (folder / "rows.csv").write_text(rows)
    return importer.ingest([str(folder / "rows.csv")], parse(mapping, "m.yaml"), "maya")[0]


def test_a_file_s_rows_that_break_the_suite_are_held_and_counted(
    importer: Importer, creator: str, tmp_path: Path
) -> None:
    done = take(importer, tmp_path, "id,who,at,paid\n1,ana,1999-05-01,1\n2,bea,2026-01-01,2\n")

    assert (done.rows, done.kept, done.rejected) == (2, 1, 1)
    assert ids(importer.con) == ["purchase:2"]
    (row,) = held(importer.store)
    assert (row.row, row.field, row.raw["who"]) == (1, "occurred_at", "ana")
    assert "nothing happened before 2000" in row.reason
    with importer.store.tenant("maya") as connection:
        found = {r["expectation"]: r["unexpected"] for r in history.listed(connection)}
    assert found == {history.WHOLE: 1, "ExpectColumnValuesToBeBetween occurred_at": 1}


def test_of_two_rows_with_one_key_the_good_one_is_kept(
    importer: Importer, creator: str, tmp_path: Path
) -> None:
    take(importer, tmp_path, "id,who,at,paid\n1,ana,1999-05-01,1\n1,ana,2026-01-01,1\n")

    assert ids(importer.con) == ["purchase:1"]
    assert [row.row for row in held(importer.store)] == [1]


def test_a_basket_that_breaks_the_suite_is_held_with_all_its_lines(
    importer: Importer, creator: str, tmp_path: Path
) -> None:
    rows = "id,who,at,paid,item\n1,ana,1999-05-01,1,a\n2,bea,2026-01-01,2,b\n1,ana,1999-05-01,3,c\n"
    done = take(importer, tmp_path, rows, BASKETS)

    assert (done.kept, done.rejected, ids(importer.con)) == (1, 2, ["purchase:2"])
    reasons = {row.row: row.reason for row in held(importer.store)}
    assert reasons[3] == "held back: row 1 of the same group is bad"
    lines = importer.con.execute("select event_id, item_id from lake.raw.lines").fetchall()
    assert lines == [("purchase:2", "b")]


def test_a_suite_with_a_fault_stops_the_import_before_anything_is_written(
    importer: Importer, creator: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "quality").mkdir()
    (tmp_path / "quality" / "events.yaml").write_text("description: d\ncolumns: {fan_id: VARCHAR}\n"
        "expectations:\n  - {type: ExpectColumnValuesToNotBeNul, column: fan}\n")  # fmt: skip
    monkeypatch.setenv("HUNTAZE_MODELS_DIR", str(tmp_path))
    with pytest.raises(ModelError, match=r"events.yaml:4: .*did you mean 'ExpectColumnValuesToNot"):
        take(importer, tmp_path, "id,who,at,paid\n1,ana,2026-05-01,1\n")
    assert ids(importer.con) == []


def test_a_held_live_event_is_replayed_with_a_corrected_field_and_only_once(
    store: Store, creator: str, con: DuckDBPyConnection
) -> None:
    live(store, "old", at=OLD)
    live(store, "older", at=OLD)
    pull.inbox(store, con)
    first = next(row.id for row in held(store) if row.raw["event_id"] == "old")
    change = {"occurred_at": "2026-03-01T10:00:00Z"}

    assert replaying.inbox(store, con, "maya", changes=change, ids=[first]) == Replayed(1, 0, 0)
    assert (ids(con), [row.raw["event_id"] for row in held(store)]) == (["old"], ["older"])
    assert [row.id for row in held(store, state="replayed")] == [first]
    assert replaying.inbox(store, con, "maya", changes=change, ids=[first]) == Replayed(0, 0, 0)
    moment = con.execute("select occurred_at, properties from lake.raw.events").fetchone()
    assert moment == (datetime(2026, 3, 1, 10, tzinfo=UTC), '{"é": "☃"}')
    assert pull.inbox(store, con).rows == 0


def test_rows_are_replayed_from_a_corrected_list_and_what_fails_again_stays_with_its_new_reason(
    store: Store, creator: str, con: DuckDBPyConnection, tmp_path: Path
) -> None:
    live(store, "old", at=OLD)
    live(store, "blank", fan=" ")
    pull.inbox(store, con)
    rows = [{"id": r.id, "raw": r.raw} for r in held(store)]
    for row in rows:
        row["raw"] |= (
            {"occurred_at": "2026-03-01T10:00:00Z"} if row["raw"]["event_id"] == "old"
            else {"currency": "EURO", "fan_id": "fan-2"}
        )  # fmt: skip
    (tmp_path / "rows.json").write_text(json.dumps(rows))
    corrected = replaying.corrections(tmp_path / "rows.json")

    assert replaying.inbox(store, con, "maya", corrected=corrected) == Replayed(1, 0, 1)
    (left,) = held(store)
    assert (left.raw["event_id"], left.field) == ("blank", "currency")
    assert "currency 'EURO' breaks ExpectColumnValuesToBeInSet" in left.reason


def test_a_crash_between_the_lake_and_the_quarantine_is_completed_by_a_second_replay(
    store: Store, creator: str, con: DuckDBPyConnection, monkeypatch: pytest.MonkeyPatch
) -> None:
    live(store, "old", at=OLD)
    pull.inbox(store, con)
    change = {"occurred_at": "2026-03-01T10:00:00Z"}
    with monkeypatch.context() as patched:
        patched.setattr(quarantine, "close", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            replaying.inbox(store, con, "maya", changes=change)
    assert (ids(con), len(held(store))) == (["old"], 1)
    assert replaying.inbox(store, con, "maya", changes=change) == Replayed(0, 1, 0)
    assert (ids(con), held(store)) == (["old"], [])


def test_nobody_replays_the_rows_of_another_creator_or_moves_one_to_another(
    store: Store, creator: str, con: DuckDBPyConnection
) -> None:
    with store.worker() as connection:
        connection.execute(text("insert into creators (id, name) values ('zoe', 'Zoe')"))
    live(store, "hers", at=OLD, who="zoe")
    pull.inbox(store, con)
    hers = held(store, "zoe")[0].id
    change = {"occurred_at": "2026-03-01T10:00:00Z"}

    assert replaying.inbox(store, con, "maya", ids=[hers], changes=change) == Replayed(0, 0, 0)
    assert replaying.inbox(
        store, con, "zoe", changes=change, corrected={hers: {"creator_id": "maya"}}
    ) == Replayed(1, 0, 0)
    assert con.execute("select creator_id from lake.raw.events").fetchall() == [("zoe",)]
    with pytest.raises(ImportFileError, match="cannot be corrected"):
        replaying.inbox(store, con, "zoe", changes={"arrival": 1})
