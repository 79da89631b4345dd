"""Reports on a real lake: every shipped one, one creator at a time, to a file or a bucket."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from duckdb import DuckDBPyConnection
from sqlalchemy import text
from typer.testing import CliRunner

from huntaze_pipeline import cli
from huntaze_pipeline.errors import NotFoundError, Problems, WarehouseError
from huntaze_pipeline.events import inbox
from huntaze_pipeline.events.envelope import Event
from huntaze_pipeline.reports import campaign, experiment, figures, files
from huntaze_pipeline.settings import Settings
from huntaze_pipeline.store.session import Store
from huntaze_pipeline.warehouse import lake, models, query, refreshing, reports

pytestmark = pytest.mark.slow  # a world of two creators is built first

NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)
SHIPPED = sorted(path.stem for path in (Settings().models_dir / "reports").glob("*.sql"))  # pyright: ignore[reportCallIssue]
FANS = 40
SECRET = "Zeta's secret drop"
_SEED = """
insert into creators (id, name, zone, currency) values
    ('maya', 'Maya', 'Europe/Paris', 'EUR'), ('zeta', 'Zeta', 'UTC', 'USD');
insert into campaigns (creator_id, id, name, status, platforms, start_at, source) values
    ('maya', 'spring', 'Spring drop', 'completed', '["email"]', '2026-02-20', 'api'),
    ('zeta', 'spring', 'Zeta''s secret drop', 'completed', '["email"]', '2026-02-20', 'api');
insert into costs (creator_id, id, campaign_id, kind, amount_micros, currency, incurred_at, source)
    values ('maya', 'k', 'spring', 'fixed', 90000000, 'EUR', '2026-02-20', 'api');
insert into variants (creator_id, campaign_id, id, position)
    values ('maya', 'spring', 'plain', 0), ('maya', 'spring', 'bold', 1),
    ('zeta', 'spring', 'secret', 0), ('zeta', 'spring', 'other', 1);
insert into experiments (creator_id, id, campaign_id, metric, window_s, planned_n, state,
    winner_variant_id, started_at, decided_at) values
    ('maya', 'test', 'spring', 'clicked', 14400, 400, 'winner', 'bold', '2026-02-20', '2026-02-22'),
    ('zeta', 'hidden', 'spring', 'clicked', 14400, null, 'running', null, '2026-02-20', null);
insert into segments (creator_id, id, name, criteria, rule_hash)
    values ('maya', 'vip', 'VIP', '{}', ''), ('zeta', 'vip', 'Zeta''s secret drop', '{}', '');
insert into looks (creator_id, experiment_id, step, counts, result, looked_at) values
    ('maya', 'test', 20, '[{"id": "plain", "assigned": 20, "n": 20, "sum": 4, "weight": 1},
        {"id": "bold", "assigned": 20, "n": 20, "sum": 12, "weight": 1}]',
     '{"method": "group_sequential", "bound": 2.0, "information": 1.0, "best": "bold",
       "state": "winner", "reason": "its lower bound is above every other arm", "srm_e": 0.9,
       "pairs": [{"a": "plain", "b": "bold", "estimate": 0.4, "error": 0.1, "z": 2.6, "e": null,
                  "low": 0.1, "high": 0.7}]}', '2026-02-22');
"""
_MESSAGE = text(
    "insert into messages (creator_id, id, source, source_id, fan_id, platform, account_id,"
    " address, content, state, not_before, idempotency_key, decided_at, sent_at, variant_id)"
    " values (:creator, :id, 'campaign', 'spring', :fan, 'email', 'a', 'a', 'Hi', :state,"
    " '2026-02-20', :id, '2026-02-20', '2026-02-20', :variant)"
)
_FAN = text("insert into fans (creator_id, id, name) values (:creator, :fan, :fan)")
_MEMBER = text(
    "insert into members (creator_id, segment_id, fan_id, entered_at)"
    " values (:creator, 'vip', :fan, '2026-02-25')"
)


def event(creator: str, name: str, fan: str, hours: int, message: str, micros: int | None) -> Event:
    return Event(
        creator_id=creator, event_id=f"{name}-{fan}-{hours}", name=name, fan_id=fan,
        platform="email", message_id=message, campaign_id="spring",
        occurred_at=datetime(2026, 2, 20, tzinfo=UTC) + timedelta(hours=hours),
        value_micros=micros, currency=None if micros is None else "EUR", source="api",
    )  # fmt: skip


def happened(creator: str) -> list[Event]:
    found = []
    for n in range(FANS):
        fan, message = f"{creator}-{n}", f"{creator}-m{n}"
        found.append(event(creator, "sent", fan, 0, message, None))
        if n % 2:
            found.append(event(creator, "opened", fan, 1, message, None))
        if n % 4 == 1 or n % 8 == 0:
            found.append(event(creator, "clicked", fan, 2, message, None))
            found.append(event(creator, "purchase", fan, 30 + n, message, 3_000_000 + n))
    return found


@pytest.fixture(scope="module")
def world(lasting: Settings) -> Settings:
    """Two creators, with the same ids for different things, and a lake that was built."""
    settings, store = lasting, Store(lasting, pooled=False)
    with store.owner() as connection:
        connection.execute(text(_SEED))
    with store.worker() as connection:
        for creator in ("maya", "zeta"):
            for n in range(FANS):
                who = {"creator": creator, "fan": f"{creator}-{n}"}
                connection.execute(_FAN, who)
                connection.execute(_MEMBER, who)
                arm = ("plain", "bold") if creator == "maya" else ("secret", "other")
                told = {"id": f"{creator}-m{n}", "state": "sent", "variant": arm[n % 2]}
                connection.execute(_MESSAGE, who | told)
            inbox.append(connection, happened(creator))
    refreshing.run(settings, store, models.load(settings.models_dir), NOON, None)
    return settings


@pytest.fixture
def con(world: Settings) -> Iterator[DuckDBPyConnection]:
    with lake.connect(world, read_only=True) as found:
        query.close(found)
        yield found


def run(con: DuckDBPyConnection, settings: Settings, name: str, creator: str) -> figures.Answer:
    found = reports.one(settings.models_dir, models.load(settings.models_dir), name)
    return figures.run(con, found, figures.tenant(con, creator), figures.values(found, {}))


def test_every_shipped_report_has_rows_charts_and_only_its_creators(
    con: DuckDBPyConnection, world: Settings
) -> None:
    """No report of one creator holds a name of the other's, although their ids are the same."""
    for name in SHIPPED:
        answer = run(con, world, name, "maya")
        told = files.answer(answer, "json").decode()
        assert answer.table.rows, name
        assert "zeta" not in told.lower(), name
        assert "secret" not in told, name
        assert "<svg" in files.answer(answer, "html").decode(), name


def test_the_numbers_are_those_of_the_creators_own_rows(
    con: DuckDBPyConnection, world: Settings
) -> None:
    (row,) = run(con, world, "campaign_overview", "maya").table.rows
    assert (row["name"], row["sent"], row["opened"], row["clicked"]) == (
        "Spring drop", FANS, FANS // 2 + FANS // 8, FANS // 4 + FANS // 8,
    )  # fmt: skip
    (other,) = run(con, world, "campaign_overview", "zeta").table.rows
    assert other["name"] == SECRET


def test_a_creator_who_is_not_there_has_no_report(con: DuckDBPyConnection) -> None:
    with pytest.raises(NotFoundError, match="no creator"):
        figures.tenant(con, "maya' or '1'='1")
    with pytest.raises(NotFoundError, match="name one with --creator"):
        figures.tenant(con, None)


@pytest.mark.parametrize("name", ["timeline", "cohorts", "customer_value"])
def test_money_without_a_rate_is_in_no_sum_and_told(
    con: DuckDBPyConnection, world: Settings, name: str
) -> None:
    home, foreign = (run(con, world, name, creator).table for creator in ("maya", "zeta"))
    money = [column.name for column in home.columns if column.format == "money"]

    assert any(row[column] for row in home.rows for column in money)
    assert not any(row[column] for row in foreign.rows for column in money)
    assert {row["left_out"] for row in home.rows} == {None}
    assert any("without a rate" in (row["left_out"] or "") for row in foreign.rows)


def test_values_are_bound_and_never_part_of_the_query(
    con: DuckDBPyConnection, world: Settings
) -> None:
    found = reports.one(world.models_dir, models.load(world.models_dir), "campaign_overview")
    whose = figures.tenant(con, "maya")
    for evil in ("x' or 1=1 --", "spring'); drop table lake.marts.dim_campaigns; --", "$creator"):
        answer = figures.run(con, found, whose, figures.values(found, {"campaign": evil}))
        assert answer.table.rows == []
    with pytest.raises(Problems) as caught:
        figures.values(found, {"from": "soon", "creator": "zeta"})
    assert len(caught.value.problems) == 2


def test_the_connection_of_a_report_cannot_write_or_leave_the_lake(
    con: DuckDBPyConnection,
) -> None:
    for statement in (
        "delete from lake.marts.dim_campaigns", "from ops.public.creators",
        "from read_csv('/etc/passwd')", "set enable_external_access = true",
    ):  # fmt: skip
        with pytest.raises(Exception, match=r"read-only|does not exist|disabled|locked|permission"):
            con.execute(statement)


def test_a_report_of_a_table_that_was_never_built_says_what_to_do(
    settings: Settings, store: Store
) -> None:
    with store.owner() as connection:
        connection.execute(text("insert into creators (id, name) values ('maya', 'Maya')"))
    project = models.load(settings.models_dir)
    refreshing.run(settings, store, project, NOON, ["staging.stg_events"])
    with (
        lake.connect(settings, read_only=True) as con,
        pytest.raises(WarehouseError, match="huntaze models build"),
    ):
        run(con, settings, "platforms", "maya")


def test_a_campaigns_page_has_everything_about_it_and_nothing_of_its_namesake(
    con: DuckDBPyConnection, world: Settings
) -> None:
    whose = figures.tenant(con, "maya")
    html = campaign.write(con, world, whose, "spring", "html").decode()
    told = json.loads(campaign.write(con, world, whose, "spring", "json"))

    for words in ("Spring drop", "From sent to converted", "By platform", "A/B tests", "ROI −"):
        assert words in html
    assert "secret" not in html
    assert set(told["reports"]) == set(campaign.PARTS)
    assert campaign.write(con, world, whose, "spring", "csv").startswith(b"day,sent")
    assert campaign.write(con, world, whose, "spring", "pdf").startswith(b"%PDF")
    with pytest.raises(NotFoundError, match=r"did you mean 'spring'\?"):
        campaign.write(con, world, whose, "sprin", "html")


def test_an_experiments_page_has_verdict_intervals_boundary_and_split(
    con: DuckDBPyConnection, world: Settings
) -> None:
    whose = figures.tenant(con, "maya")
    html = experiment.write(con, world, whose, "test", "html").decode()

    for words in (
        "bold won: it beats every other arm.", "no difference", "Evidence against the boundary",
        "as planned", "winner&#39;s curse", "+40.00",
    ):  # fmt: skip
        assert words in html
    assert json.loads(experiment.write(con, world, whose, "test", "json"))["looks"][0]["step"] == 20
    with pytest.raises(NotFoundError):
        experiment.write(con, world, whose, "hidden", "html")
    young = experiment.write(con, world, figures.tenant(con, "zeta"), "hidden", "html").decode()
    assert "No look was taken yet." in young


def test_the_command_writes_files_and_lists_what_there_is(
    world: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert world.database_url is not None
    monkeypatch.setenv("DATABASE_URL", world.database_url.get_secret_value())
    monkeypatch.setenv("HUNTAZE_HOME", str(world.home))
    target = tmp_path / "roi.pdf"
    maya = ["--creator", "maya"]
    made = CliRunner().invoke(cli.app, ["report", "campaign_roi", *maya, "-o", str(target)])
    rows = CliRunner().invoke(cli.app, ["report", "timeline", *maya, "-f", "csv"])
    listed = CliRunner().invoke(cli.app, ["report", "list"])

    assert (made.exit_code, made.output.strip()) == (0, str(target))
    assert target.read_bytes().startswith(b"%PDF")
    assert rows.output.splitlines()[0].startswith("day,sent,opened")
    assert all(name in listed.output for name in SHIPPED)


def test_a_report_goes_to_a_bucket(
    world: Settings, con: DuckDBPyConnection, monkeypatch: pytest.MonkeyPatch
) -> None:
    import boto3

    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    client = boto3.client("s3", endpoint_url=world.aws_endpoint_url)
    client.create_bucket(Bucket="reports")
    content = files.answer(run(con, world, "campaign_roi", "maya"), "html")
    where = "s3://reports/march/roi.html"

    assert files.deliver(content, where, "html", world.aws_endpoint_url) == where
    found = client.get_object(Bucket="reports", Key="march/roi.html")
    assert found["Body"].read() == content
    assert found["ContentType"].startswith("text/html")
    with pytest.raises(WarehouseError, match="s3://none/x"):
        files.deliver(b"", "s3://none/x", "csv", world.aws_endpoint_url)
