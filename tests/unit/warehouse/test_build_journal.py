"""What one build remembers: own rows without a feed, and of whom it has seen them."""

from pathlib import Path

from duckdb import DuckDBPyConnection

from huntaze_pipeline.warehouse import changes, lake, models, runner
from huntaze_pipeline.warehouse.journal import Feed, Journal

_MODEL = """/* ---
description: Sums.
grain: [creator_id]
owner: team:data
materialization: incremental
incremental:
  key: [creator_id]
  reads: {%s: {}}
  merge: {n: sum}
columns:
  creator_id: VARCHAR | who
  n: BIGINT | how many
--- */
select creator_id, %s as n from %s group by creator_id
"""


def _project(folder: Path) -> models.Project:
    (folder / "staging").mkdir()
    raw, mid = "source('raw.events')", "ref('staging.first')"
    (folder / "staging" / "first.sql").write_text(_MODEL % ("raw.events", "count(*)", raw))
    (folder / "staging" / "second.sql").write_text(
        _MODEL % ("staging.first", "sum(n)::bigint", mid)
    )
    return models.load(folder)


def _event(number: int) -> str:
    return (
        "insert into lake.raw.events by name select 'maya' as creator_id,"
        f" '{number}' as event_id, now() as occurred_at"
    )


def test_models_built_together_take_each_others_rows_in_exactly_once(tmp_path: Path) -> None:
    project = _project(tmp_path)
    with lake.private(tmp_path / "lake") as con:
        con.execute(_event(0))
        runner.build(con, project)
        for number in (1, 2, 3):
            con.execute(_event(number))
            before = lake.snapshot(con)
            done = runner.build(con, project)
            assert [item.how for item in done] == ["incremental", "incremental"]
            assert [(item.came, item.left) for item in done] == [(1, 1), (1, 1)]
            assert lake.snapshot(con) == before + 1
            assert con.execute("select n from lake.staging.second").fetchall() == [(number + 1,)]
        assert [item.how for item in runner.build(con, project)] == ["unchanged", "unchanged"]


def test_a_model_that_was_not_built_with_the_others_sees_their_rows_later(tmp_path: Path) -> None:
    project = _project(tmp_path)
    with lake.private(tmp_path / "lake") as con:
        con.execute(_event(0))
        runner.build(con, project)
        con.execute(_event(1))
        runner.build(con, project, ["staging.first"])
        con.execute(_event(2))
        done = runner.build(con, project)

        assert [item.how for item in done] == ["incremental", "incremental"]
        assert con.execute("select n from lake.staging.second").fetchall() == [(3,)]


def test_notes_of_others_on_a_snapshot_are_passed_over(tmp_path: Path) -> None:
    with lake.private(tmp_path / "lake") as con:
        for note in ("no json", "[1]", '{"built": ["staging.first"]}'):
            con.execute("begin")
            con.execute(_event(1))
            con.execute(f"call lake.set_commit_message('me', 'x', extra_info => '{note}')")
            con.execute("commit")
        found = list(changes.survey(con).together.values())

    assert found == [frozenset(), frozenset(), {"staging.first"}]


def _counted(con: DuckDBPyConnection, place: str) -> int:
    row = con.execute(f"select count(*) from {place}").fetchone()
    return int(row[0]) if row else -1


def test_small_tables_are_copied_once_a_build_and_large_ones_are_not(tmp_path: Path) -> None:
    with lake.private(tmp_path / "lake") as con:
        con.execute("insert into lake.raw.costs (id) values ('a'), ('b')")
        con.execute("insert into lake.raw.fans (id) select i::varchar from range(10001) r(i)")
        con.execute("begin")
        known = Journal(con, together=True)

        assert known.at("raw.fans") == "lake.raw.fans"
        assert known.at("raw.costs") == "temp.costs"
        assert _counted(con, known.at("raw.costs")) == 2
        assert _counted(con, known.at("raw.goal_filters")) == 0  # one that never had a row


def test_a_table_that_the_build_itself_wrote_is_read_where_it_is(tmp_path: Path) -> None:
    with lake.private(tmp_path / "lake") as con:
        con.execute("begin")
        known = Journal(con, together=True)
        assert _counted(con, known.own("raw.costs")) == 0
        con.execute("insert into lake.raw.costs (id) values ('a')")
        known.wrote("raw.costs", Feed("(select 'a' as id)", None))

        assert known.at("raw.costs") == known.own("raw.costs") == "lake.raw.costs"


def test_two_tables_of_one_name_are_not_taken_for_each_other(tmp_path: Path) -> None:
    with lake.private(tmp_path / "lake") as con:
        con.execute("create table lake.marts.costs as select 1 as n from range(3)")
        con.execute("begin")
        known = Journal(con, together=True)

        assert [_counted(con, known.at(name)) for name in ("raw.costs", "marts.costs")] == [0, 3]


def test_tables_of_models_keep_no_rows_in_the_catalog(tmp_path: Path) -> None:
    with lake.private(tmp_path / "lake") as con:
        for table in ("raw.costs", "marts.costs"):
            if table.startswith("marts"):
                con.execute(f"create table lake.{table} (id varchar)")
            con.execute(f"insert into lake.{table} (id) values ('a')")
        inlined = con.execute(
            "select t.table_name, t.table_id in (select table_id from"
            f" {changes.CATALOG}.ducklake_data_file) from {changes.CATALOG}.ducklake_table t"
            " where t.table_name = 'costs' order by t.table_id"
        ).fetchall()

    assert inlined == [("costs", False), ("costs", True)]
