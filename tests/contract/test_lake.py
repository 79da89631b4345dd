import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import duckdb
import lakes
import pytest
from duckdb import DuckDBPyConnection
from pydantic import SecretStr

from huntaze_pipeline.errors import ModelError, WarehouseError
from huntaze_pipeline.events import inbox
from huntaze_pipeline.events.envelope import Event
from huntaze_pipeline.settings import Settings
from huntaze_pipeline.store.session import Store
from huntaze_pipeline.warehouse import lake, mirror, models, pull, query, raw, runner

NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)


@pytest.fixture
def con(settings: Settings) -> Iterator[DuckDBPyConnection]:
    with lake.connect(settings) as found:
        yield found


def live(store: Store, *ids: str, value: int = 1_000_000) -> None:
    events = [
        Event(
            creator_id="maya", event_id=i, name="purchase", fan_id="fan-1", occurred_at=NOON,
            source="api", value_micros=value, currency="EUR",
        )
        for i in ids
    ]  # fmt: skip
    with store.worker() as connection:
        inbox.append(connection, events)


def ids(con: DuckDBPyConnection) -> list[str]:
    rows = con.execute("select event_id from lake.raw.events order by arrival, event_id").fetchall()
    return [row[0] for row in rows]


def project(folder: Path, sql: str, columns: str = "n: BIGINT | a number") -> models.Project:
    (folder / "staging").mkdir(exist_ok=True)
    (folder / "staging" / "numbers.sql").write_text(
        f"/* ---\ndescription: d\ngrain: [n]\nowner: team:data\nmaterialization: table\n"
        f"columns:\n  {columns}\n--- */\n{sql}\n"
    )
    return models.load(folder)


@pytest.mark.slow
def test_two_first_users_make_one_lake(settings: Settings) -> None:
    code = (
        "from huntaze_pipeline.settings import load; from huntaze_pipeline.warehouse import lake\n"
        'with lake.connect(load()) as con: con.execute("insert into lake.raw.cursors values'
        " ('x', 1, 1)\")"
    )
    assert settings.database_url is not None
    environment = {
        "DATABASE_URL": settings.database_url.get_secret_value(),
        "HUNTAZE_HOME": str(settings.home),
    }
    running = [
        subprocess.Popen([sys.executable, "-c", code], env=environment, stderr=subprocess.PIPE)
        for _ in range(3)
    ]
    assert [(p.communicate()[1], p.returncode) for p in running] == [(b"", 0)] * 3
    with lake.connect(settings, read_only=True) as con:
        assert con.execute("select count(*) from lake.raw.cursors").fetchone() == (3,)


def test_the_first_user_may_be_a_reader(settings: Settings) -> None:
    with lakes.made(), lake.connect(settings, read_only=True) as con:
        assert con.execute("select count(*) from lake.raw.events").fetchone() == (0,)
        with pytest.raises(duckdb.Error, match="read-only"):
            con.execute("delete from lake.raw.events")


def test_a_wrong_password_is_one_sentence_without_the_password(settings: Settings) -> None:
    address = "postgresql://nobody:hunter2@127.0.0.1:1/none"
    wrong = settings.model_copy(update={"database_url": SecretStr(address)})
    with pytest.raises(WarehouseError, match=r"127\.0\.0\.1:1/none") as caught, lake.connect(wrong):
        raise AssertionError
    assert "hunter2" not in str(caught.value)


def test_two_writers_of_one_row_both_count(settings: Settings, con: DuckDBPyConnection) -> None:
    con.execute("insert into lake.raw.cursors values ('n', 0, 0)")

    def bump() -> None:
        with lake.connect(settings) as mine:
            for _ in range(5):
                lake.write(
                    mine,
                    lambda: mine.execute(
                        "update lake.raw.cursors set tx = tx + 1 where name = 'n'"
                    ),
                )

    threads = [threading.Thread(target=bump) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert con.execute("select tx from lake.raw.cursors where name = 'n'").fetchone() == (10,)


def test_work_that_fails_leaves_nothing_in_the_lake(con: DuckDBPyConnection) -> None:
    def half() -> None:
        con.execute("insert into lake.raw.cursors values ('n', 0, 0)")
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        lake.write(con, half)
    assert con.execute("select count(*) from lake.raw.cursors").fetchone() == (0,)


def test_every_live_event_comes_into_the_lake_once(
    store: Store, creator: str, con: DuckDBPyConnection
) -> None:
    live(store, "a", "b", "c")
    assert pull.inbox(store, con, batch=2).rows == 3
    assert pull.inbox(store, con).rows == 0
    live(store, "c", "d")
    assert pull.inbox(store, con).rows == 1
    assert ids(con) == ["a", "b", "c", "d"]


def test_a_live_click_knows_when_somebody_elses_message_was_sent(
    store: Store, creator: str, con: DuckDBPyConnection
) -> None:
    def say(name: str, event_id: str, message: str, second: int) -> None:
        at = NOON.replace(second=second)
        told = Event(
            creator_id="maya", event_id=event_id, name=name, fan_id="fan-1", occurred_at=at,
            source="api", message_id=message,
        )  # fmt: skip
        with store.worker() as connection:
            inbox.append(connection, [told])

    say("clicked", "before", "m2", 9)
    pull.inbox(store, con)
    say("sent", "s1", "m1", 0)
    say("sent", "s2", "m2", 0)
    say("clicked", "with", "m1", 1)
    pull.inbox(store, con)
    say("clicked", "after", "m1", 2)
    pull.inbox(store, con)
    found = con.execute(
        "select event_id, second(message_sent_at) from lake.raw.events where name = 'clicked'"
    ).fetchall()
    assert sorted(found) == [("after", 0), ("before", None), ("with", 0)]


def test_an_event_that_a_file_brought_first_is_not_pulled_again(
    store: Store, creator: str, con: DuckDBPyConnection
) -> None:
    con.execute(
        "insert into lake.raw.events (creator_id, event_id, source, arrival) values"
        " ('maya', 'a', 'import:1', 0), ('zoe', 'b', 'import:1', 0)"
    )
    live(store, "a", "b")
    pulled = pull.inbox(store, con)
    assert (pulled.rows, pulled.known) == (1, 1)


@pytest.mark.slow
def test_two_pullers_at_once_bring_everything_once(
    settings: Settings, store: Store, creator: str, con: DuckDBPyConnection
) -> None:
    live(store, *(f"e{n:03}" for n in range(200)))
    found: list[int] = []

    def one() -> None:
        with lake.connect(settings) as mine:
            found.append(pull.inbox(store, mine, batch=30).rows)

    threads = [threading.Thread(target=one) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(found) == 200
    assert ids(con) == [f"e{n:03}" for n in range(200)]


def test_a_crash_before_the_commit_brings_the_batch_again(
    store: Store, creator: str, con: DuckDBPyConnection, monkeypatch: pytest.MonkeyPatch
) -> None:
    live(store, "a", "b")
    with monkeypatch.context() as patch:
        patch.setattr(lake, "write", _half_way)
        with pytest.raises(ZeroDivisionError):
            pull.inbox(store, con)
    assert ids(con) == []
    assert pull.inbox(store, con).rows == 2


def _half_way(con: DuckDBPyConnection, work: Callable[[], object]) -> None:
    """Do the work and die before the commit."""
    con.execute("begin transaction")
    work()
    con.execute("rollback")
    raise ZeroDivisionError


def test_a_copy_shows_the_operational_tables_and_the_clock(
    store: Store, creator: str, con: DuckDBPyConnection
) -> None:
    declared = {"windows": [raw.Window("purchase", "*", "clicked", 9)]}
    for _ in range(2):
        lake.write(con, lambda: mirror.refresh(con, NOON, declared))
    assert con.execute("select count(*), max(zone) from lake.raw.fans").fetchone() == (
        3,
        "Europe/Paris",
    )
    assert con.execute("from lake.raw.clock").fetchall() == [(NOON,)]
    assert con.execute("select seconds from lake.raw.windows").fetchall() == [(9,)]


def test_a_broken_model_leaves_the_last_good_table(con: DuckDBPyConnection, tmp_path: Path) -> None:
    runner.build(con, project(tmp_path, "select 1::bigint as n"))
    broken = {
        "select 'x' as n": "column n is VARCHAR, the header says BIGINT",
        "select 2::bigint as n, 3 as extra": "column extra is not in the header",
        "select 2 as m": "column n is missing",
        "select unnest([2, 2])::bigint as n": r"grain \(n\) is not unique: n=2, 2 times",
        "select 2::bigint as n\nfrom nothing": r"numbers\.sql:10: Catalog Error",
    }
    for sql, reason in broken.items():
        with pytest.raises(ModelError, match=reason):
            runner.build(con, project(tmp_path, sql))
    assert con.execute("from lake.staging.numbers").fetchall() == [(1,)]


def test_a_harder_contract_is_held_against_the_table_that_is_there(
    con: DuckDBPyConnection, tmp_path: Path
) -> None:
    runner.build(con, project(tmp_path, "select 1::bigint as n"))
    path = tmp_path / "staging" / "numbers.sql"
    path.write_text(
        path.read_text().replace("--- */", "audits: {none: select * from this}\n--- */")
    )
    with pytest.raises(ModelError, match="audit none: bad row"):
        runner.build(con, models.load(tmp_path))
    assert con.execute("from lake.staging.numbers").fetchall() == [(1,)]


def test_a_model_may_change_its_columns_or_become_a_view(
    con: DuckDBPyConnection, tmp_path: Path
) -> None:
    runner.build(con, project(tmp_path, "select 1::bigint as n"))
    runner.build(con, project(tmp_path, "select 'a' as n", "n: VARCHAR | a text"))
    assert con.execute("from lake.staging.numbers").fetchall() == [("a",)]
    path = tmp_path / "staging" / "numbers.sql"
    for kind in ("view", "table"):
        path.write_text(path.read_text().replace("materialization: table", "materialization: view"))
        if kind == "table":
            path.write_text(path.read_text().replace(": view", ": table"))
        runner.build(con, models.load(tmp_path))
        assert con.execute("from lake.staging.numbers").fetchall() == [("a",)]


def test_a_question_must_be_one_select(settings: Settings, con: DuckDBPyConnection) -> None:
    with lake.connect(settings, read_only=True) as reader:
        answer = query.ask(reader, "select name, tx from raw.cursors")
        assert query.rendered(answer, "csv") == "name,tx"
        for bad in ("drop table raw.events", "select 1; select 2", "selec 1", "attach 'x' as y"):
            with pytest.raises(WarehouseError):
                query.ask(reader, bad)


@pytest.mark.parametrize(
    "question",
    [
        "from ops.public.creators",
        "from ops.messages",
        "with messages as (select 1) from ops.public.messages",
        "select (select max(key_hash) from ops.public.creators)",
        "from __ducklake_metadata_lake.public.creators",
        "explain analyze from __ducklake_metadata_lake.public.creators",
        "describe __ducklake_metadata_lake.public.creators",
        "from postgres_query('__ducklake_metadata_lake', 'select * from creators')",
        "from postgres_scan('', 'public', 'creators')",
        "from query('from __ducklake_metadata_lake.public.creators')",
        "from query_table('creators')",
        "from duckdb_secrets()",
        "from '/etc/passwd'",
        "from read_text('/etc/passwd')",
        "from glob('/*')",
        "from information_schema.tables",
        "show databases",
        "show tables from __ducklake_metadata_lake.public",
        "pragma database_list",
    ],
)
def test_a_question_reaches_neither_the_operational_database_nor_files(
    lasting: Settings, question: str
) -> None:
    with lake.connect(lasting, read_only=True) as reader, pytest.raises(WarehouseError):
        query.ask(reader, question)


def test_a_connection_that_was_asked_a_question_has_given_everything_else_up(
    settings: Settings, con: DuckDBPyConnection
) -> None:
    with lake.connect(settings, read_only=True) as reader:
        query.ask(reader, "select 1")
        for direct in (
            "from ops.public.creators",
            "from read_text('/etc/passwd')",
            "attach '' as y (type postgres, secret lake_catalog)",
            "set enable_external_access = true",
        ):
            with pytest.raises(duckdb.Error):
                reader.execute(direct)


@pytest.mark.slow
def test_a_question_larger_than_the_memory_spills_to_disk(settings: Settings) -> None:
    with lake.connect(settings, read_only=True) as reader:
        reader.execute("set memory_limit = '60MiB'")
        question = "select count(*) from (select distinct sha256(range::text) from range(1000000))"
        assert query.ask(reader, question).rows == [(1_000_000,)]


def test_questions_of_every_kind_read_the_lake_and_show_only_its_tables(
    settings: Settings, con: DuckDBPyConnection, tmp_path: Path
) -> None:
    runner.build(con, project(tmp_path, "select range::bigint as n from range(9000)"))
    with lake.connect(settings, read_only=True) as reader:
        for question in (
            "with t as (select n from staging.numbers) select count(n) from t, range(1)",
            "select count(n) from lake.staging.numbers",
            "select count(*) from (from STAGING.Numbers) where n not in (select unnest([-1]))",
        ):
            assert query.ask(reader, question).rows == [(9000,)]
        assert query.ask(reader, "describe staging.numbers").rows[0][:2] == ("n", "BIGINT")
        assert query.ask(reader, "summarize staging.numbers").rows[0][0] == "n"
        assert query.ask(reader, "explain from staging.numbers").rows
        shown = query.ask(reader, "Show Tables;").rows
        assert ("staging", "numbers", 1) in shown
        assert {row[0] for row in shown} <= set(lake.SCHEMAS)
        with pytest.raises(WarehouseError, match=r"did you mean staging\.numbers"):
            query.ask(reader, "from staging.nubmers")


def test_nobody_can_load_an_extension_of_their_own(settings: Settings, tmp_path: Path) -> None:
    (tmp_path / "own.duckdb_extension").write_bytes(b"x" * 4096)
    with lake.connect(settings) as con:
        for told in (
            "set allow_unsigned_extensions = true",
            f"load '{tmp_path}/own.duckdb_extension'",
        ):
            with pytest.raises(duckdb.Error):
                con.execute(told)
