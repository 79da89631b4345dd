import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import duckdb
import pytest
from sqlalchemy import text

from huntaze_pipeline.clock import FixedClock
from huntaze_pipeline.errors import ImportFileError, NotFoundError
from huntaze_pipeline.events import landing, quarantine
from huntaze_pipeline.events.importer import Imported, Importer
from huntaze_pipeline.events.mapping import parse
from huntaze_pipeline.settings import Settings
from huntaze_pipeline.store.session import Store
from huntaze_pipeline.warehouse import lake

ORDERS = """
kind: events
zone: Europe/Paris
key: [order]
events:
  - name: purchase
    fan_id: who
    occurred_at: at
    value: paid
    currency: {value: EUR}
    properties: {shop: shop}
"""
UNKEYED = ORDERS.replace("key: [order]\n", "")
HEAD = "order,who,at,paid,shop\n"
Take = Callable[..., Imported]


@pytest.fixture
def importer(settings: Settings, store: Store, clock: FixedClock) -> Iterator[Importer]:
    with lake.connect(settings) as con:
        yield Importer(store, con, lake.write, clock, settings.aws_endpoint_url)


@pytest.fixture
def take(importer: Importer, creator: str, tmp_path: Path) -> Take:
    def one(
        rows: str, mapping: str = ORDERS, name: str = "orders.csv", **more: timedelta
    ) -> Imported:
        (tmp_path / name).write_text(rows)
        where = parse(mapping, "mapping.yaml")
        return importer.ingest([str(tmp_path / name)], where, creator, **more)[0]

    return one


def events(importer: Importer, columns: str = "event_id") -> list[tuple]:
    return importer.con.execute(
        f"select {columns} from lake.raw.events order by event_id"
    ).fetchall()


def reasons(importer: Importer) -> dict[int, str]:
    with importer.store.tenant("maya") as connection:
        return {row.row: row.reason for row in quarantine.listed(connection)}


def test_good_rows_become_events_with_exact_money_and_utc_times(
    take: Take, importer: Importer
) -> None:
    done = take(HEAD + "1,ana,2026-03-01 10:00,19.99,a\n2,bea,2026-02-01T10:00:00+05:00,0.1,b\n")
    assert (done.rows, done.kept, done.known, done.rejected) == (2, 2, 0, 0)
    first, second = (datetime(2026, month, 1, hour, tzinfo=UTC) for month, hour in ((3, 9), (2, 5)))
    columns = "event_id, fan_id, value_micros, currency, occurred_at, properties"
    assert events(importer, columns) == [
        ("purchase:1", "ana", 19_990_000, "EUR", first, '{"shop":"a"}'),
        ("purchase:2", "bea", 100_000, "EUR", second, '{"shop":"b"}'),
    ]


def test_every_bad_row_is_held_with_its_reason_and_the_rest_is_kept(
    take: Take, importer: Importer
) -> None:
    done = take(
        HEAD + "1,ana,yesterday,5,a\n"
        "2,,2026-03-01 10:00,5,a\n"
        "3,ana,2026-03-01 10:00,-5,a\n"
        "4,ana,2026-03-01 10:00,nan,a\n"
        "5,ana,2026-03-04 10:00,5,a\n"
        "6,ana,,free,a\n"
        ",ana,2026-03-01 10:00,5,a\n"
        "8,ana,2026-03-01 10:00,5,a\n"
    )
    assert (done.kept, done.rejected) == (1, 7)
    assert reasons(importer) == {
        1: "occurred_at 'yesterday' is no time",
        2: "fan_id is missing",
        3: "value '-5' is negative",
        4: "value 'nan' is no amount of money",
        5: "occurred_at '2026-03-04 10:00' is more than a day in the future",
        6: "occurred_at is missing; value 'free' is no amount of money",
        7: "key is missing; it names the event",
    }


def test_a_line_that_is_no_row_is_held_and_the_next_ones_are_kept(
    take: Take, importer: Importer
) -> None:
    done = take(HEAD + "1,ana,2026-03-01 10:00,5,a\n2,bea\n3,ana,2026-03-01 10:00,5,a\n")
    assert (done.rows, done.kept, done.rejected) == (3, 2, 1)
    assert "Expected Number of Columns" in reasons(importer)[2]


def test_the_same_file_twice_changes_nothing(take: Take, importer: Importer) -> None:
    rows = HEAD + "1,ana,2026-03-01 10:00,5,a\n2,ana,bad,5,a\n"
    first, second = take(rows), take(rows)
    assert (second.state, second.id, second.made) == ("known", first.id, 0)
    assert (len(events(importer)), len(reasons(importer))) == (1, 1)


def test_overlapping_files_add_only_what_is_new(take: Take, importer: Importer) -> None:
    take(HEAD + "1,ana,2026-03-01 10:00,5,a\n2,ana,2026-03-01 10:00,5,a\n")
    done = take(HEAD + "2,ana,2026-03-01 10:00,5,a\n3,ana,2026-03-01 10:00,5,a\n")
    assert (done.kept, done.known, len(events(importer))) == (1, 1, 3)


def test_true_duplicates_in_a_file_without_keys_are_all_kept_once(
    take: Take, importer: Importer
) -> None:
    row = "1,ana,2026-03-01 10:00,5,a\n"
    assert take(HEAD + row * 3, UNKEYED).kept == 3
    assert take(HEAD + row * 4, UNKEYED).kept == 1
    assert len(events(importer)) == 4


def test_the_same_key_twice_in_one_file_is_one_event(take: Take, importer: Importer) -> None:
    done = take(HEAD + "1,ana,2026-03-01 10:00,5,a\n1,ana,2026-03-01 10:00,5,a\n")
    assert (done.kept, done.known, done.made) == (1, 1, 1)


def test_json_lines_and_parquet_give_the_same_events_as_csv(
    take: Take, importer: Importer, creator: str, tmp_path: Path
) -> None:
    take(HEAD + "1,ana,2026-03-01 10:00,5,a\n")
    line = '{"order": 1, "who": "ana", "at": "2026-03-01 10:00", "paid": 5.0, "shop": "a"}\n'
    assert take(line + "{broken\n[1]\n", name="orders.jsonl").known == 1
    assert reasons(importer) == {2: "is no JSON object", 3: "is no JSON object"}
    path = tmp_path / "orders.parquet"
    duckdb.execute(
        "copy (select 1 as \"order\", 'ana' as who, timestamp '2026-03-01 10:00' as at,"
        f" 5.0::double as paid, 'a' as shop) to '{path}'"
    )
    (done,) = importer.ingest([str(path)], parse(ORDERS, "m"), creator)
    assert (done.known, len(events(importer))) == (1, 1)


def test_a_glob_takes_every_file_and_names_each(
    take: Take, importer: Importer, creator: str, tmp_path: Path
) -> None:
    for n in (1, 2):
        (tmp_path / f"part-{n}.csv").write_text(HEAD + f"{n},ana,2026-03-01 10:00,5,a\n")
    done = importer.ingest([str(tmp_path / "part-*.csv")], parse(ORDERS, "m"), creator)
    assert [Path(item.file).name for item in done] == ["part-1.csv", "part-2.csv"]


BASKETS = """
kind: events
zone: UTC
group_by: [basket]
events:
  - {name: purchase, fan_id: who, occurred_at: at, value: paid, currency: {value: USD}}
lines: {item_id: item, value: paid}
"""


def test_a_basket_is_worth_the_sum_of_its_lines(take: Take, importer: Importer) -> None:
    head = "basket,who,at,item,paid\n"
    done = take(
        head + "a,ana,2026-03-01,x,0.10\na,ana,2026-03-01,y,0.20\nb,bea,2026-03-01,x,3\n", BASKETS
    )
    assert (done.rows, done.kept, done.made) == (3, 3, 2)
    assert events(importer, "event_id, value_micros") == [
        ("purchase:a", 300_000),
        ("purchase:b", 3_000_000),
    ]
    lines = importer.con.execute("select event_id, line, item_id from lake.raw.lines order by all")
    a, b = "purchase:a", "purchase:b"
    assert lines.fetchall() == [(a, 1, "x"), (a, 2, "y"), (b, 1, "x")]


def test_a_basket_with_one_bad_line_is_held_whole_and_replayed_whole(
    take: Take, importer: Importer, creator: str, tmp_path: Path
) -> None:
    head = "basket,who,at,item,paid,fixed\n"
    bad = take(
        head + "a,ana,2026-03-01,x,0.10,0.10\na,ana,2026-03-01,y,oops,0.20\n"
        "b,bea,2026-03-01,x,3,3\n",
        BASKETS,
    )
    assert (bad.kept, bad.rejected) == (1, 2)
    assert reasons(importer)[1] == "held back: row 2 of the same group is bad"
    with importer.store.tenant(creator) as connection:
        path, ids = quarantine.export(quarantine.listed(connection, import_id=bad.id), tmp_path)
    fixed = parse(BASKETS.replace("paid", "fixed"), "m")
    (done,) = importer.ingest([str(path)], fixed, creator)
    assert (done.kept, done.rejected, len(ids)) == (2, 0, 2)
    assert events(importer, "event_id, value_micros")[0] == ("purchase:a", 300_000)


def test_a_replayed_row_is_the_same_event_as_in_the_corrected_file(
    take: Take, importer: Importer, creator: str, tmp_path: Path
) -> None:
    rows = HEAD + "1,ana,01/03/2026 10:00,5,a\n2,ana,2026-03-01 10:00,5,a\n"
    first = take(rows, UNKEYED)
    fixed = UNKEYED.replace(
        "occurred_at: at", "occurred_at: {column: at, format: '%d/%m/%Y %H:%M'}"
    )
    with importer.store.tenant(creator) as connection:
        path, _ = quarantine.export(quarantine.listed(connection, import_id=first.id), tmp_path)
    assert importer.ingest([str(path)], parse(fixed, "m"), creator)[0].kept == 1
    assert take(rows, fixed).known == 1


@pytest.mark.parametrize("form", ["csv", "jsonl"])
def test_a_row_that_fails_again_keeps_its_file_and_row_and_may_be_tried_a_third_time(
    take: Take, importer: Importer, creator: str, tmp_path: Path, form: str
) -> None:
    mapping = ORDERS + "check: [fan]\n"
    rows = [("1", "fan-1"), ("2", "new")] if form == "csv" else [("2", "new")]
    line = '{{"order": "{}", "who": "{}", "at": "2026-03-01 10:00", "paid": 5, "shop": "a"}}\n'
    lines = (line if form == "jsonl" else "{},{},2026-03-01 10:00,5,a\n").format
    given = (HEAD if form == "csv" else "") + "".join(lines(*row) for row in rows)
    held = take(given, mapping, name=f"orders.{form}").id
    for known in (False, True):
        if known:
            add = "insert into fans (creator_id, id) values ('maya', 'new')"
            with importer.store.tenant(creator) as connection:
                connection.execute(text(add))
        with importer.store.tenant(creator) as connection:
            found = quarantine.listed(connection, import_id=held)
            path, ids = quarantine.export(found, tmp_path)
        assert [(Path(r.file).name, r.row) for r in found] == [(f"orders.{form}", len(rows))]
        (done,) = importer.ingest([str(path)], parse(mapping, "m"), creator)
        with importer.store.tenant(creator) as connection:
            quarantine.close(connection, ids, "replayed")
        held = done.id
    assert (done.state, done.kept, reasons(importer)) == ("done", 1, {})


def test_what_a_row_refers_to_must_exist_when_the_mapping_says_so(
    take: Take, importer: Importer
) -> None:
    take(
        HEAD + "1,fan-1,2026-03-01 10:00,5,a\n2,nobody,2026-03-01 10:00,5,a\n",
        ORDERS + "check: [fan]\n",
    )
    assert reasons(importer) == {2: "fan_id 'nobody' is no fan of this creator"}


def test_a_crash_between_lake_and_receipt_is_completed_by_a_second_run(
    take: Take, importer: Importer, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = HEAD + "1,ana,2026-03-01 10:00,5,a\n2,ana,bad,5,a\n"
    with monkeypatch.context() as patch:
        patch.setattr(quarantine, "store", lambda *_, **__: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            take(rows)
    assert len(events(importer)) == 1
    done = take(rows)
    assert (done.state, done.known, done.rejected) == ("done", 1, 1)
    assert (len(events(importer)), len(reasons(importer))) == (1, 1)


def test_a_crash_inside_the_lake_transaction_leaves_nothing(
    take: Take, importer: Importer, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(landing, "Landed", lambda *_, **__: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            take(HEAD + "1,ana,2026-03-01 10:00,5,a\n")
    assert events(importer) == []
    assert take(HEAD + "1,ana,2026-03-01 10:00,5,a\n").kept == 1


def test_two_processes_with_the_same_file_take_it_once(
    settings: Settings, importer: Importer, creator: str, tmp_path: Path
) -> None:
    path = tmp_path / "orders.csv"
    rows = (f"{n},ana,2026-03-01 10:00,5,a\n" for n in range(500))
    path.write_text(HEAD + "".join(rows))
    states: list[str] = []

    def one() -> None:
        with lake.connect(settings) as con:
            mine = Importer(importer.store, con, lake.write, importer.clock)
            states.append(mine.ingest([str(path)], parse(ORDERS, "m"), creator)[0].state)

    threads = [threading.Thread(target=one) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(states) == ["done", "known"]
    assert len(events(importer)) == 500


def test_times_are_shifted_on_the_wall_clock(take: Take, importer: Importer) -> None:
    take(HEAD + "1,ana,2025-03-29 10:00,5,a\n", shift=timedelta(days=1))
    assert events(importer, "occurred_at") == [(datetime(2025, 3, 30, 8, tzinfo=UTC),)]


@pytest.mark.parametrize("at", ["2026-03-01 10:00", "2026-03-01T09:00:00Z"])
def test_times_are_shifted_into_the_past_too(take: Take, importer: Importer, at: str) -> None:
    take(HEAD + f"1,ana,{at},5,a\n", shift=timedelta(weeks=-52))
    assert events(importer, "occurred_at") == [(datetime(2025, 3, 2, 9, tzinfo=UTC),)]


def test_a_shift_of_part_of_a_day_is_refused(take: Take) -> None:
    with pytest.raises(ImportFileError, match="whole days"):
        take(HEAD, shift=timedelta(hours=1))


def test_a_missing_column_is_one_error_that_names_it(take: Take) -> None:
    with pytest.raises(
        ImportFileError, match=r"orders\.csv: has no column paid; it has order, who"
    ):
        take("order,who,at,shop\n1,ana,2026-03-01,a\n")


def test_a_truncated_parquet_file_is_one_error(
    importer: Importer, creator: str, tmp_path: Path
) -> None:
    path = tmp_path / "orders.parquet"
    duckdb.execute(f"copy (select range as \"order\" from range(100000)) to '{path}'")
    whole = path.read_bytes()
    for cut in (whole[:-100], whole[: len(whole) // 2], b"", whole[:8] + b"\0" * 500 + whole[508:]):
        path.write_bytes(cut)
        mapping = parse(ORDERS.replace("at: at", "at: order").replace("who", "order"), "m")
        with pytest.raises(ImportFileError, match=r"orders\.parquet"):
            importer.ingest([str(path)], mapping, creator)


def test_files_that_are_not_there_are_all_named(importer: Importer, creator: str) -> None:
    names = ["nothing.csv", "package:no_such_package/x.csv", "s3://x", "/tmp"]
    with pytest.raises(ImportFileError) as caught:
        importer.ingest(names, parse(ORDERS, "m"), creator)
    assert [problem.where for problem in caught.value.problems] == names


def test_an_unknown_creator_is_named(importer: Importer, tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match="'zoe'"):
        importer.ingest([str(tmp_path / "x.csv")], parse(ORDERS, "m"), "zoe")


@pytest.mark.slow
def test_an_object_in_s3_is_a_file_too(
    importer: Importer, creator: str, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    import boto3

    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    client = boto3.client("s3", endpoint_url=settings.aws_endpoint_url)
    client.create_bucket(Bucket="orders")
    client.put_object(Bucket="orders", Key="a.csv", Body=(HEAD + "1,a,2026-03-01,5,a\n").encode())
    assert importer.ingest(["s3://orders/a.csv"], parse(ORDERS, "m"), creator)[0].kept == 1
    with pytest.raises(ImportFileError, match=r"s3://orders/b\.csv"):
        importer.ingest(["s3://orders/b.csv"], parse(ORDERS, "m"), creator)


FANS = """
kind: fans
zone: UTC
let: {platform: {pick: {email: 1, tiktok: 1}, seed: s, by: id}}
fans:
  id: id
  name: name
  zone: zone
  birthday: born
  subscribed_at: since
  attributes: {level: level}
  account: {id: {text: "x-{platform}"}, platform: platform, handle: {text: "x-{platform}"}}
  identity: {platform: platform, account_id: {text: "x-{platform}"}, address: {text: " {id}@X "}}
  consents: {marketing: true}
"""


def test_fans_come_with_identity_account_and_consent(take: Take, importer: Importer) -> None:
    head = "id,name,zone,born,since,level\n"
    done = take(head + "f1,Ana,Europe/Rome,1990-02-28,2025-01-01,gold\nf2,,Mars,31 May,x,\n", FANS)
    assert (done.made, done.rejected) == (1, 1)
    assert "zone 'Mars' is no IANA zone" in reasons(importer)[2]
    with importer.store.tenant("maya") as connection:
        row = connection.execute(
            text(
                "select f.attributes ->> 'level', f.attributes -> 'derived', i.normalised,"
                " c.granted, a.id = i.account_id from fans f join identities i on i.fan_id = f.id"
                " join consents c on c.fan_id = f.id join accounts a on a.id = i.account_id"
                " where f.id = 'f1'"
            )
        ).one()
    assert row[0] == "gold"
    assert "identity.platform" in row[1]
    assert tuple(row[2:]) == ("f1@x", True, True)


def test_an_address_of_an_account_that_is_not_there_is_held_with_the_nearest_id(
    take: Take, importer: Importer
) -> None:
    mapping = (
        "kind: fans\nfans:\n  id: id\n"
        "  identity: {platform: {value: onlyfans}, account_id: account, address: id}\n"
    )
    done = take("id,account\nf1,maya-onlyfans\nf2,maya-onlyfan\n", mapping)
    assert (done.made, done.rejected) == (1, 1)
    told = "identity.account_id 'maya-onlyfan' is no account of this creator; the nearest is"
    assert reasons(importer) == {2: f"{told} maya-onlyfans"}


def test_a_handle_that_has_an_account_keeps_it_for_its_fans(take: Take, importer: Importer) -> None:
    mapping = FANS.replace('handle: {text: "x-{platform}"}', "handle: {value: maya}")
    assert take("id,name,zone,born,since,level\nf1,Ana,,,,\n", mapping).made == 1
    with importer.store.tenant("maya") as connection:
        account = connection.scalar(text("select account_id from identities where fan_id = 'f1'"))
    assert account in ("maya-email", "maya-tiktok")


def test_a_fan_keeps_what_was_known_and_gains_what_was_not(take: Take, importer: Importer) -> None:
    head = "id,name,zone,born,since,level\n"
    take(head + "fan-1,Other,Europe/Rome,1990-02-28,2025-01-01,gold\n", FANS)
    with importer.store.tenant("maya") as connection:
        row = connection.execute(
            text("select name, zone, birthday::text from fans where id = 'fan-1'")
        ).one()
    assert tuple(row) == ("Fan-1", "Europe/Paris", "1990-02-28")


def test_a_fan_that_was_only_filled_in_is_kept_and_not_new(take: Take, importer: Importer) -> None:
    head = "id,name,zone,born,since,level\n"
    known = "fan-1,Other,Europe/Rome,1990-02-28,2025-01-01,gold\n"
    first = take(head + known + "f9,Neo,Europe/Rome,,,\n", FANS)
    assert (first.kept, first.known, first.made) == (2, 0, 1)
    again = take(head + known, FANS)
    assert (again.kept, again.known, again.made) == (0, 1, 0)
    mail = FANS.replace("platform: platform, account_id", "platform: {value: email}, account_id")
    gained = take(head + "f9,Neo,Europe/Rome,,,\n", mail.replace("{id}@X", "{id}@neo"))
    assert (gained.kept, gained.known, gained.made) == (1, 0, 0)


SENDS = (
    "kind: events\nzone: UTC\nkey: [id]\nevents:\n  - name: {column: kind}\n    fan_id: who\n"
    "    occurred_at: at\n    message_id: message\n    platform: {value: email}\n"
)


@pytest.mark.parametrize("files", [["12"], ["1", "2"]])
def test_a_click_knows_a_sending_that_came_before_it_or_with_it(
    take: Take, importer: Importer, files: list[str]
) -> None:
    rows = {
        "1": "1,sent,fan-1,2026-03-01 09:00:00,m3\n2,sent,fan-1,2026-03-01 09:00:05,m3\n",
        "2": "3,clicked,fan-1,2026-03-01 09:00:01,m3\n4,opened,fan-1,2026-03-01 09:00:01,m4\n",
    }
    for file in files:
        take("id,kind,who,at,message\n" + "".join(rows[part] for part in file), SENDS)
    found = importer.con.execute(
        "select event_id, strftime(message_sent_at, '%H:%M:%S') from lake.raw.events"
        " where name in ('clicked', 'opened') order by event_id"
    )
    assert found.fetchall() == [("clicked:3", "09:00:00"), ("opened:4", None)]


def test_only_money_needs_a_currency_in_a_file_of_many_kinds(
    take: Take, importer: Importer
) -> None:
    mapping = (
        "kind: events\nzone: UTC\nkey: [id]\nevents:\n  - name: {column: kind}\n    fan_id: who\n"
        "    occurred_at: at\n    value: value\n    currency: cur\n"
    )
    day = "fan-1,2026-03-01"
    done = take(
        f"id,kind,who,at,value,cur\n1,sent,{day},,\n2,clicked,{day},,\n3,purchase,{day},5,EUR\n"
        f"4,purchase,{day},5,\n5,purchase,{day},,\n6,custom:vote,{day},3,\n",
        mapping,
    )
    assert (done.kept, done.rejected) == (3, 3)
    told = reasons(importer)
    assert set(told) == {4, 5, 6}
    assert told[4] == told[6] == "currency is missing; there is a value"


def test_an_event_of_a_message_that_the_lake_has_no_copy_of_yet_belongs_to_its_campaign(
    take: Take, importer: Importer, store: Store, creator: str
) -> None:
    message = (
        "insert into messages (creator_id, id, source, source_id, fan_id, platform, account_id,"
        " address, content, state, not_before, idempotency_key, decided_at, sent_at, variant_id)"
        " values (:creator, 'm-1', 'campaign', 'spring', 'f1', 'email', 'a', 'a', 'Hi', 'sent',"
        " '2026-01-05', 'm-1', '2026-01-05', '2026-01-05', 'bold')"
    )
    with store.worker() as connection:
        connection.execute(text(message), {"creator": creator})
    opens = """
kind: events
key: [id]
events: [{name: {value: opened}, fan_id: fan, occurred_at: at, message_id: message}]
"""
    rows = "1,f1,2026-01-06T10:00:00Z,m-1\n2,f1,2026-01-06T11:00:00Z,m-2\n"
    take(f"id,fan,at,message\n{rows}", opens)

    ours, foreign = events(importer, "message_source, message_source_id, variant_id")
    assert ours == ("campaign", "spring", "bold")
    assert foreign == (None, None, None)
