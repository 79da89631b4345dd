"""Taking in what is new: by day, by key, and when everything has to be built anew."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from duckdb import DuckDBPyConnection

from huntaze_pipeline.errors import ModelError
from huntaze_pipeline.warehouse import differences, lake, models, runner

DAILY = """/* ---
description: What was paid, by day.
grain: [day]
owner: team:data
materialization: incremental
incremental:
  partition: day
  reads: {raw.events: {time: occurred_at}}
columns:
  day: TIMESTAMPTZ | its beginning
  micros: BIGINT | paid
--- */
select date_trunc('day', occurred_at) as day, sum(value_micros)::bigint as micros
from source('raw.events') group by date_trunc('day', occurred_at)
"""
SPANS = """/* ---
description: Each payment, and what was paid in the day before it.
grain: [event_id]
owner: team:data
materialization: incremental
incremental:
  partition: occurred_at
  reads: {raw.events: {time: occurred_at, reach: 1d}}
columns:
  event_id: VARCHAR | the payment
  occurred_at: TIMESTAMPTZ | when
  before: BIGINT | paid in the 24 hours before it
--- */
select a.event_id, a.occurred_at, coalesce(sum(b.value_micros), 0)::bigint as before
from source('raw.events') a
left join source('raw.events') b
    on b.occurred_at < a.occurred_at and b.occurred_at >= a.occurred_at - interval '1 day'
group by a.event_id, a.occurred_at
"""
AHEAD = """/* ---
description: Each payment, and what was paid in the day after it.
grain: [event_id]
owner: team:data
materialization: incremental
incremental:
  partition: occurred_at
  reads: {raw.events: {time: occurred_at, ahead: 1d}}
columns:
  event_id: VARCHAR | the payment
  occurred_at: TIMESTAMPTZ | when
  after: BIGINT | paid in the 24 hours after it
--- */
select a.event_id, a.occurred_at, coalesce(sum(b.value_micros), 0)::bigint as after
from source('raw.events') a
left join source('raw.events') b
    on b.occurred_at > a.occurred_at and b.occurred_at <= a.occurred_at + interval '1 day'
group by a.event_id, a.occurred_at
"""
TOTALS = """/* ---
description: What each fan paid.
grain: [fan_id]
owner: team:data
materialization: incremental
incremental:
  key: [fan_id]
  reads: {raw.events: {}}
  merge: {micros: sum, times: sum}
columns:
  fan_id: VARCHAR | the fan
  micros: BIGINT | paid
  times: BIGINT | how often
--- */
select fan_id, sum(value_micros)::bigint as micros, count(*) as times
from source('raw.events') group by fan_id
"""
FIRSTS = """/* ---
description: Each fan's first payment.
grain: [fan_id]
owner: team:data
materialization: incremental
incremental:
  key: [fan_id]
  reads: {raw.events: {}}
  merge: {at: min, event_id: min by at}
columns:
  fan_id: VARCHAR | the fan
  at: TIMESTAMPTZ | when
  event_id: VARCHAR | which
--- */
select fan_id, min(occurred_at) as at, arg_min(event_id, (occurred_at, event_id)) as event_id
from source('raw.events') group by fan_id
"""


@pytest.fixture
def con(tmp_path: Path) -> Iterator[DuckDBPyConnection]:
    with lake.private(tmp_path / "lake") as connection:
        yield connection


def project(folder: Path, text: str, name: str = "numbers") -> models.Project:
    (folder / "marts").mkdir(exist_ok=True)
    (folder / "marts" / f"{name}.sql").write_text(text)
    return models.load(folder)


def pay(con: DuckDBPyConnection, *events: tuple[str, str, str, int]) -> None:
    rows = ", ".join(f"('{e}', '{f}', timestamptz '{t}', {v})" for e, f, t, v in events)
    con.execute(
        f"insert into lake.raw.events (event_id, fan_id, occurred_at, value_micros) values {rows}"
    )


def how(con: DuckDBPyConnection, found: models.Project) -> str:
    return runner.build(con, found)[0].how


def rows(con: DuckDBPyConnection) -> list[tuple[object, ...]]:
    return con.execute("select * from lake.marts.numbers order by all").fetchall()


HISTORY = [(f"e{n}", f"f{n % 3}", f"2026-01-{n + 1:02} 10:00:00Z", 10**n % 97) for n in range(20)]


@pytest.mark.parametrize(
    "text", [DAILY, SPANS, AHEAD, TOTALS, FIRSTS], ids=["day", "reach", "ahead", "sum", "min"]
)
def test_late_and_new_rows_are_taken_in_and_the_rest_is_left_alone(
    con: DuckDBPyConnection, tmp_path: Path, text: str
) -> None:
    found = project(tmp_path, text)
    pay(con, *HISTORY)
    assert how(con, found) == "full"
    assert how(con, found) == "unchanged"
    pay(con, ("late", "f1", "2026-01-03 09:00:00Z", 5), ("new", "f9", "2026-01-21 10:30:00Z", 7))
    assert how(con, found) == "incremental"
    grown = rows(con)
    runner.build(con, found, full=True)

    assert grown == rows(con)


def test_only_rows_that_differ_are_written(con: DuckDBPyConnection, tmp_path: Path) -> None:
    found = project(tmp_path, DAILY)
    pay(con, *HISTORY)
    runner.build(con, found)
    (before,) = con.execute("select id from lake.current_snapshot()").fetchone() or (0,)
    pay(con, ("late", "f1", "2026-01-03 09:00:00Z", 5))
    runner.build(con, found)
    written = con.execute(
        "select change_type, count(*) from ducklake_table_changes('lake', 'marts', 'numbers',"
        f" {before + 1}, {before + 2}) group by 1 order by 1"
    ).fetchall()

    assert written in ([("delete", 1), ("insert", 1)],
                       [("update_postimage", 1), ("update_preimage", 1)])  # fmt: skip


RICH = """/* ---
description: Fans who paid, with what they paid in units.
grain: [fan_id]
owner: team:data
materialization: incremental
incremental:
  key: [fan_id]
  reads: {marts.numbers: {}}
columns:
  fan_id: VARCHAR | the fan
  units: DOUBLE | paid
--- */
select fan_id, micros / 1e6 as units from ref('marts.numbers')
"""
KNOWN = RICH.replace("{marts.n", "{raw.fans: {key: {fan_id: id}}, marts.n").replace(
    "ref('marts.numbers')",
    "ref('marts.numbers') full join (select id as fan_id from source('raw.fans')) using (fan_id)",
)


def test_readers_of_a_table_written_anew_hear_of_rows_that_are_gone(
    con: DuckDBPyConnection, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(differences, "_FEW", 0)
    project(tmp_path, TOTALS)
    found = project(tmp_path, KNOWN, "rich")
    con.execute("insert into lake.raw.fans by name select 'k' || i as id from range(20) t(i)")
    pay(con, *HISTORY, ("x", "gone", "2026-01-02 10:00:00Z", 3))
    runner.build(con, found)
    pay(con, *[(f"new{n}", f"f{n}", "2026-01-21 10:30:00Z", 7) for n in range(3)])
    con.execute("delete from lake.raw.events where event_id = 'x'")
    replaced, taken = runner.build(con, found)
    names = {row[0] for row in con.execute("from lake.marts.rich").fetchall()}

    assert (replaced.left, taken.how, taken.came, taken.left) == (4, "incremental", 3, 4)
    assert names == {"f0", "f1", "f2"} | {f"k{n}" for n in range(20)}


def test_a_table_of_which_most_changes_is_written_anew_and_its_readers_follow(
    con: DuckDBPyConnection, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(differences, "_FEW", 0)
    project(tmp_path, TOTALS)
    found = project(tmp_path, RICH, "rich")
    pay(con, *HISTORY, ("x", "gone", "2026-01-02 10:00:00Z", 3))
    runner.build(con, found)
    pay(con, *[(f"new{n}", f"f{n}", "2026-01-21 10:30:00Z", 7) for n in range(3)])
    con.execute("delete from lake.raw.events where event_id = 'x'")
    built = runner.build(con, found)
    grown = rows(con), con.execute("from lake.marts.rich order by all").fetchall()
    runner.build(con, found, full=True)

    assert [(one.how, one.came, one.left) for one in built] == [("incremental", 3, 4)] * 2
    assert grown == (rows(con), con.execute("from lake.marts.rich order by all").fetchall())
    assert [row[0] for row in grown[1]] == ["f0", "f1", "f2"]


def test_rows_that_left_are_taken_out_of_sums(con: DuckDBPyConnection, tmp_path: Path) -> None:
    found = project(tmp_path, TOTALS)
    pay(con, *HISTORY, ("x", "gone", "2026-01-02 10:00:00Z", 3))
    runner.build(con, found)
    con.execute("delete from lake.raw.events where event_id in ('x', 'e4')")
    assert how(con, found) == "incremental"
    grown = rows(con)
    runner.build(con, found, full=True)

    assert grown == rows(con)
    assert "gone" not in {row[0] for row in grown}


def test_a_minimum_whose_row_left_is_built_anew(con: DuckDBPyConnection, tmp_path: Path) -> None:
    found = project(tmp_path, FIRSTS)
    pay(con, *HISTORY)
    runner.build(con, found)
    con.execute("delete from lake.raw.events where event_id = 'e1'")

    assert how(con, found) == "full"
    assert ("f1", "e4") in {(row[0], row[2]) for row in rows(con)}


BOTH = """/* ---
description: Events of each fan, and what it paid for the first time.
grain: [fan_id]
owner: team:data
materialization: incremental
incremental:
  key: [fan_id]
  reads: {raw.events: {}}
  merge: {events: sum, micros: sum, first_tip_at: min}
columns:
  fan_id: VARCHAR | who
  events: BIGINT | how many
  micros: BIGINT | paid
  first_tip_at: TIMESTAMPTZ | the first time it gave something
--- */
select
    fan_id, count(*) as events, sum(value_micros)::bigint as micros,
    min(occurred_at) filter (name = 'tip') as first_tip_at
from source('raw.events') group by fan_id
"""


@pytest.mark.parametrize(("left", "taken"), [("e4", "incremental"), ("tip", "full")])
def test_rows_that_were_in_sums_alone_are_taken_back_though_there_is_a_minimum(
    con: DuckDBPyConnection, tmp_path: Path, left: str, taken: str
) -> None:
    found = project(tmp_path, BOTH)
    pay(con, *HISTORY, ("tip", "f1", "2026-01-02 10:00:00Z", 3), ("x", "gone", "2026-01-02", 3))
    con.execute("update lake.raw.events set name = event_id")
    runner.build(con, found)
    con.execute(f"delete from lake.raw.events where event_id in ('{left}', 'x')")
    assert how(con, found) == taken
    grown = rows(con)
    runner.build(con, found, full=True)

    assert grown == rows(con)
    assert "gone" not in {row[0] for row in grown}


BAGS = """/* ---
description: What was paid, nothing to tell two of the same apart.
grain: []
owner: team:data
materialization: table
columns:
  fan_id: VARCHAR | who
  micros: BIGINT | paid
--- */
select fan_id, value_micros as micros from source('raw.events')
"""


def test_of_rows_that_nothing_tells_apart_as_many_are_kept_as_there_are(
    con: DuckDBPyConnection, tmp_path: Path
) -> None:
    found = project(tmp_path, BAGS)
    pay(con, *[(f"e{n}", "f", "2026-01-02 10:00:00Z", n % 2) for n in range(5)])
    runner.build(con, found)
    con.execute("delete from lake.raw.events where event_id in ('e0', 'e2')")
    pay(con, ("e5", "f", "2026-01-02 10:00:00Z", 1), ("e6", "f", "2026-01-02 10:00:00Z", 9))
    (built,) = runner.build(con, found)

    assert (built.came, built.left) == (2, 2)
    assert rows(con) == [("f", 0), ("f", 1), ("f", 1), ("f", 1), ("f", 9)]


def test_another_text_builds_anew(con: DuckDBPyConnection, tmp_path: Path) -> None:
    pay(con, *HISTORY)
    runner.build(con, project(tmp_path, TOTALS))
    found = project(tmp_path, TOTALS.replace("sum(value_micros)", "sum(2 * value_micros)"))

    assert how(con, found) == "full"


def test_a_change_in_a_table_that_does_not_drive_builds_anew(
    con: DuckDBPyConnection, tmp_path: Path
) -> None:
    text = DAILY.replace(
        "group by", "where event_id not in (select event_id from source('raw.lines')) group by"
    )
    found = project(tmp_path, text)
    pay(con, *HISTORY)
    runner.build(con, found)
    con.execute("insert into lake.raw.lines (event_id) values ('e1')")

    assert how(con, found) == "full"
    assert len(rows(con)) == 19


def test_a_view_between_is_looked_through(con: DuckDBPyConnection, tmp_path: Path) -> None:
    view = (
        "/* ---\ndescription: Payments.\ngrain: [event_id]\nowner: team:data\n"
        "materialization: view\ncolumns:\n  event_id: VARCHAR | it\n  fan_id: VARCHAR | who\n"
        "  value_micros: BIGINT | paid\n--- */\n"
        "select event_id, fan_id, value_micros from source('raw.events') where value_micros > 1"
    )
    (tmp_path / "staging").mkdir()
    (tmp_path / "staging" / "payments.sql").write_text(view)
    text = TOTALS.replace("source('raw.events')", "ref('staging.payments')")
    found = project(tmp_path, text.replace("raw.events: {}", "staging.payments: {}"))
    pay(con, *HISTORY)
    runner.build(con, found)
    pay(con, ("one", "f1", "2026-01-03 09:00:00Z", 1), ("two", "f1", "2026-01-03 09:00:00Z", 2))

    assert [b.how for b in runner.build(con, found)] == ["unchanged", "incremental"]
    grown = rows(con)
    (tmp_path / "staging" / "payments.sql").write_text(view.replace("> 1", "> 0"))
    found = models.load(tmp_path)
    assert [b.how for b in runner.build(con, found)] == ["full", "full"]
    assert grown != rows(con)


def refused(con: DuckDBPyConnection, broken: models.Project, reason: str) -> None:
    """A build fails for a reason, and the last good table stays."""
    good = rows(con)
    with pytest.raises(ModelError, match=reason):
        runner.build(con, broken)

    assert rows(con) == good


def test_a_division_by_zero_is_told_and_the_last_good_table_stays(
    con: DuckDBPyConnection, tmp_path: Path
) -> None:
    text = TOTALS.replace("times: sum", "rate: max").replace(
        "times: BIGINT | how often", "rate: DOUBLE | paid by time"
    )
    text = text.replace("count(*) as times", "sum(value_micros) / count(*)::double as rate")
    pay(con, *HISTORY)
    runner.build(con, project(tmp_path, text))
    broken = project(tmp_path, text.replace("count(*)::double", "(count(*) - count(*))::double"))

    refused(con, broken, r"numbers\.sql: column rate is no finite number in 3 rows")


@pytest.mark.parametrize("broken", ["micros // (micros - micros)", "micros % 0", "mod(micros, 0)"])
def test_a_whole_division_by_zero_is_told_as_well(
    con: DuckDBPyConnection, tmp_path: Path, broken: str
) -> None:
    pay(con, *HISTORY)
    runner.build(con, project(tmp_path, TOTALS))
    text = TOTALS.replace(
        "select fan_id, sum", "select fan_id, micros, times from (\nselect fan_id, sum"
    )
    text = text.replace("group by fan_id", "group by fan_id)")
    wrong = text.replace("fan_id, micros,", f"fan_id, ({broken})::bigint as micros,")

    refused(con, project(tmp_path, wrong), r"numbers\.sql:\d+: .*division by zero.*nullif\(x, 0\)")
    meant = text.replace("fan_id, micros,", "fan_id, (micros // nullif(0, 0)) as micros,")
    runner.build(con, project(tmp_path, meant))


@pytest.mark.parametrize("text", [TOTALS, TOTALS.replace("group by fan_id", "group by all")])
def test_a_row_whose_grain_is_not_known_is_told_and_the_last_good_table_stays(
    con: DuckDBPyConnection, tmp_path: Path, text: str
) -> None:
    pay(con, *HISTORY)
    runner.build(con, project(tmp_path, text))
    broken = project(
        tmp_path, text.replace("select fan_id,", "select nullif(fan_id, 'f1') as fan_id,")
    )

    refused(con, broken, r"grain: column fan_id is NULL in 1 rows")


def test_null_may_be_meant_in_a_grain(con: DuckDBPyConnection, tmp_path: Path) -> None:
    text = TOTALS.replace("select fan_id,", "select nullif(fan_id, 'f1') as fan_id,")
    pay(con, *HISTORY)
    runner.build(con, project(tmp_path, text.replace("owner:", "optional: [fan_id]\nowner:")))

    with pytest.raises(ModelError, match="optional names 'times', which is not in the grain"):
        project(tmp_path, text.replace("owner:", "optional: [times]\nowner:"))


def test_bad_rows_of_an_audit_are_kept(con: DuckDBPyConnection, tmp_path: Path) -> None:
    audit = "audits:\n  small: select * from this where micros > 50\n--- */"
    found = project(tmp_path, TOTALS.replace("--- */", audit))
    pay(con, ("a", "f1", "2026-01-01 10:00:00Z", 9))
    runner.build(con, found)
    pay(con, ("b", "f2", "2026-01-02 10:00:00Z", 51))

    with pytest.raises(ModelError, match="audit small: bad row"):
        runner.build(con, found)
    kept = con.execute("select audit, bad, row from lake.audits.failures").fetchall()
    assert kept == [("marts.numbers.small", 1, '{"fan_id": "f2", "micros": 51, "times": 1}')]
    assert [row[0] for row in rows(con)] == ["f1"]


def test_what_was_cleaned_up_builds_anew(con: DuckDBPyConnection, tmp_path: Path) -> None:
    found = project(tmp_path, TOTALS)
    pay(con, *HISTORY)
    runner.build(con, found)
    pay(con, ("a", "f1", "2026-01-01 10:00:00Z", 9))
    con.execute("call ducklake_expire_snapshots('lake', older_than => now())")

    assert how(con, found) == "full"
