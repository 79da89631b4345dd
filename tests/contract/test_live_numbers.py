"""Live numbers from PostgreSQL and settled ones from the lake are two texts of one definition."""

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import duckdb
import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as chosen
from hypothesis import strategies as st
from sqlalchemy import Connection, text

from huntaze_pipeline.events import inbox
from huntaze_pipeline.events.envelope import MONEY, Event
from huntaze_pipeline.measurement import analytics
from huntaze_pipeline.settings import load
from huntaze_pipeline.store.session import Store
from huntaze_pipeline.warehouse import filters, lake, models, raw
from huntaze_pipeline.warehouse.goals import Declared
from huntaze_pipeline.warehouse.raw import Bot, Window

PROJECT = models.load(load().models_dir)
START = datetime(2026, 3, 28, 22, 40, tzinfo=UTC)
"""Shortly before a day in Paris that has 23 hours."""
CAMPAIGNS = ["c1", "c2"]
ZONES = ("Europe/Paris", "Asia/Kathmandu", "Australia/Lord_Howe")
WINDOWS = (
    Window("purchase", "*", "clicked", 3600), Window("purchase", "email", "opened", 600),
    Window("large", "*", "clicked", 7200), Window("large", "*", "opened", 1800),
)  # fmt: skip
FILTER = "value > 300 and currency = 'EUR' or properties.gift = 'yes'"
GOALS = {"c1": "purchase", "c2": "large"}
BOTS = [
    Bot("faster_than", "email:clicked", 2_000_000),
    Bot("agent", "spider"),
    Bot("agent", "a.c/"),
    Bot("honeypot", "/trap", 10_000_000),
]
PROPERTIES: list[dict[str, Any]] = [
    {}, {}, {"user_agent": "Big-SPIDER/2"}, {"userAgent": "A.C/1"}, {"user_agent": "abc/1"},
    {"link": "https://x.example/trap/m1?t=1"}, {"url": "https://x.example/shop?to=/trap/"},
    {"honeypot": True}, {"honeypot": False},
]  # fmt: skip
moment = st.one_of(st.integers(0, 20), st.integers(0, 20_000)).map(lambda s: timedelta(seconds=s))
message = st.fixed_dictionaries(
    {
        "campaign": st.sampled_from([*CAMPAIGNS, None]),
        "fan": st.integers(1, 3),
        "platform": st.sampled_from(["email", "onlyfans"]),
        "variant": st.sampled_from(["a", "b", None]),
        "after": moment,
    }
)
touch = st.fixed_dictionaries(
    {
        "name": st.sampled_from(["sent", "delivered", "opened", "clicked", "clicked", "replied"]),
        "message": st.integers(0, 3),
        "names_campaign": st.booleans(),
        "after": moment,
        "properties": st.sampled_from(PROPERTIES),
    }
)
stray = st.fixed_dictionaries(
    {
        "name": st.sampled_from(["sent", "opened", "clicked"]),
        "campaign": st.sampled_from(CAMPAIGNS),
        "fan": st.integers(1, 3),
        "platform": st.sampled_from(["email", "tiktok", None]),
        "after": moment,
        "properties": st.sampled_from(PROPERTIES),
    }
)
purchase = st.fixed_dictionaries(
    {
        "fan": st.integers(1, 3),
        "after": moment,
        "micros": st.integers(0, 10**9),
        "currency": st.sampled_from(["EUR", "USD"]),
        "gift": st.sampled_from(["yes", "no"]),
        "campaign": st.sampled_from([*CAMPAIGNS, None]),
    }
)
stay = st.fixed_dictionaries(
    {"segment": st.sampled_from(["vip", "new"]), "fan": st.integers(1, 3), "after": moment,
     "lasts": moment}
)  # fmt: skip
world = st.fixed_dictionaries(
    {
        "zone": st.sampled_from(ZONES),
        "messages": st.lists(message, min_size=1, max_size=4),
        "touches": st.lists(touch, max_size=14),
        "strays": st.lists(stray, max_size=4),
        "purchases": st.lists(purchase, max_size=4),
        "model": st.sampled_from(["first", "last", "linear", "time_decay", "position"]),
        "named": st.booleans(),
        "stays": st.lists(stay, max_size=4, unique_by=lambda s: (s["segment"], s["fan"])),
    }
)


@pytest.fixture
def connection(store: Store) -> Iterator[Connection]:
    with store.worker() as found:
        yield found


def told(drawn: dict[str, Any], creator: str) -> list[Event]:
    """Give the events of a drawn world."""
    messages = drawn["messages"]
    about = [
        (number % len(messages), one) for one in drawn["touches"] for number in [one["message"]]
    ]
    events = [
        {
            "name": one["name"], "fan_id": f"f{messages[n]['fan']}", "message_id": f"m{n}",
            "campaign_id": messages[n]["campaign"] if one["names_campaign"] else None,
            "occurred_at": START + messages[n]["after"] + one["after"],
            "properties": one["properties"],
        }
        for n, one in about
    ]  # fmt: skip
    events += [
        {
            "name": one["name"], "fan_id": f"f{one['fan']}", "campaign_id": one["campaign"],
            "platform": one["platform"], "occurred_at": START + one["after"],
            "properties": one["properties"],
        }
        for one in drawn["strays"]
    ]  # fmt: skip
    events += [
        {
            "name": "purchase", "fan_id": f"f{one['fan']}", "value_micros": one["micros"],
            "currency": one["currency"], "occurred_at": START + one["after"],
            "properties": {"gift": one["gift"]}, "campaign_id": one["campaign"],
        }
        for one in drawn["purchases"]
    ]  # fmt: skip
    return [
        Event(creator_id=creator, event_id=f"e{n}", source="api", **event)
        for n, event in enumerate(events)
    ]


def live(connection: Connection, drawn: dict[str, Any]) -> None:
    """Put a drawn world into PostgreSQL, in place of the one before."""
    for table in ("inbox", "messages", "members", "campaigns", "creators"):
        connection.execute(text(f"delete from {table}"))
    connection.execute(
        text("insert into creators (id, name, zone, currency) values ('maya', 'M', :zone, 'EUR')"),
        {"zone": drawn["zone"]},
    )
    for name, goal in GOALS.items():
        connection.execute(
            text(
                "insert into campaigns (creator_id, id, name, platforms, settings)"
                " values ('maya', :id, :id, '[]', jsonb_build_object('goal', cast(:goal as text)))"
            ),
            {"id": name, "goal": goal},
        )
    for number, one in enumerate(drawn["messages"]):
        connection.execute(
            text(
                "insert into messages (creator_id, id, source, source_id, fan_id, platform,"
                " account_id, address, variant_id, content, state, not_before, idempotency_key,"
                " decided_at, sent_at) values ('maya', :id, :source, :source_id, :fan, :platform,"
                " 'a', 'x', :variant, '', 'sent', :at, :id, :decided, :at)"
            ),
            {
                "id": f"m{number}", "source": "campaign" if one["campaign"] else "api",
                "source_id": one["campaign"] or f"key{number}", "fan": f"f{one['fan']}{number}",
                "platform": one["platform"], "variant": one["variant"],
                "at": START + one["after"] + timedelta(seconds=3),
                "decided": START + one["after"],
            },
        )  # fmt: skip
    for one in drawn["stays"]:
        entered = START + one["after"]
        connection.execute(
            text(
                "insert into members (creator_id, segment_id, fan_id, entered_at, left_at)"
                " values ('maya', :segment, :fan, :entered, :left)"
            ),
            {
                "segment": one["segment"], "fan": f"f{one['fan']}", "entered": entered,
                "left": entered + one["lasts"],
            },
        )  # fmt: skip
    inbox.append(connection, told(drawn, "maya"))


@pytest.fixture(scope="module")
def con() -> Iterator[duckdb.DuckDBPyConnection]:
    """A lake in memory whose models are views: they follow what is put into its raw tables."""
    with lake.engine() as found:
        found.execute("attach ':memory:' as lake")
        for schema in lake.SCHEMAS:
            found.execute(f"create schema lake.{schema}")
        for table, columns in raw.TABLES.items():
            declared = ", ".join(f"{name} {kind}" for name, kind in columns.items())
            found.execute(f"create table lake.raw.{table} ({declared})")
        fill(found, "bots", [bot._asdict() for bot in BOTS])
        fill(found, "windows", [window._asdict() for window in WINDOWS])
        past = [
            {"creator_id": "maya", "id": c, "settings": json.dumps({"goal": g})}
            for c, g in GOALS.items()
        ]
        fill(found, "campaigns", past)
        needed = ("+metrics.campaign_hourly", "+metrics.campaign_segment")
        for model in PROJECT.select(needed):
            found.execute(f"create view lake.{model.name} as {model.sql}")
        yield found


def settle(con: duckdb.DuckDBPyConnection, connection: Connection) -> None:
    """Bring into the lake what a pull would bring."""
    for table in ("creators", "messages", "members"):
        fill(con, table, connection.execute(text(f"select * from {table}")).mappings().all())
    rows = connection.execute(
        text(
            "select i.*, i.properties::text as properties, 1 as arrival,"
            " m.decided_at as message_at, m.sent_at as message_sent_at, m.source as message_source,"
            " m.source_id as message_source_id, m.variant_id from inbox i left join messages m"
            " on m.creator_id = i.creator_id and m.id = i.message_id"
        )
    )
    fill(con, "events", rows.mappings().all())


def fill(con: duckdb.DuckDBPyConnection, table: str, rows: Sequence[Any]) -> None:
    names = raw.TABLES[table]
    con.execute(f"delete from lake.raw.{table}")
    for row in rows:
        known = {n: row[n] for n in names if n in row}
        marks = ", ".join("?" for _ in known)
        con.execute(
            f"insert into lake.raw.{table} ({', '.join(known)}) values ({marks})",
            list(known.values()),
        )


def declared(drawn: dict[str, Any]) -> Declared:
    """Give the goals of a drawn world: all purchases, and the large ones, worth nine euros each."""
    bought = [("purchase", name, None, None, False, False, "last", 604800) for name in MONEY]
    large = ("large", "purchase", 9_000_000, "EUR", drawn["named"], True, drawn["model"], 604800)
    tests = tuple(("large", *test) for test in filters.read(FILTER))
    return Declared((*bought, large), tests, WINDOWS)


def adopt(con: duckdb.DuckDBPyConnection, goals: Declared) -> None:
    """Bring goals into the lake."""
    for table, rows in (("goals", goals.goals), ("goal_filters", goals.filters)):
        names = raw.TABLES[table]
        fill(con, table, [dict(zip(names, row, strict=True)) for row in rows])


KINDS = ("sent", "delivered", "opened", "clicked", "human_opened", "human_clicked", "converted")


@pytest.mark.slow
@chosen(
    max_examples=25,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(world)
def test_live_numbers_are_the_settled_ones_when_nothing_is_in_flight(
    connection: Connection, con: duckdb.DuckDBPyConnection, drawn: dict[str, Any]
) -> None:
    agree(connection, con, drawn)


@pytest.mark.parametrize("model", ["first", "last", "linear", "time_decay", "position"])
def test_every_model_credits_the_campaign_that_the_settled_numbers_credit(
    connection: Connection, con: duckdb.DuckDBPyConnection, model: str
) -> None:
    calm: dict[str, Any] = {"platform": "email", "variant": "a", "after": timedelta(0)}
    wait = [timedelta(minutes=m) for m in (5, 10, 15, 20)]
    click: dict[str, Any] = {"name": "clicked", "campaign": "c2", "fan": 1, "properties": {}}
    other: dict[str, Any] = click | {"campaign": "c1"}
    drawn = {
        "zone": ZONES[0], "model": model, "named": False, "touches": [], "stays": [],
        "messages": [calm | {"campaign": None, "fan": 1}],
        "strays": [click | {"platform": "email", "after": wait[0]},
                   other | {"platform": "email", "after": wait[1]}],
        "purchases": [{"fan": 1, "after": wait[2], "micros": 400_000_000, "currency": "EUR",
                       "gift": "no", "campaign": None}],
    }  # fmt: skip
    agree(connection, con, drawn)
    found = analytics.facts(connection, "maya", CAMPAIGNS, declared(drawn), BOTS)
    reached = sum(f.n for f in found if f.campaign_id == "c2" and f.kind == "converted")
    assert reached == (1 if model == "first" else 0)


def agree(connection: Connection, con: duckdb.DuckDBPyConnection, drawn: dict[str, Any]) -> None:
    """Hold the live numbers of a drawn world against the settled ones."""
    live(connection, drawn)
    goals = declared(drawn)
    found = analytics.facts(connection, "maya", CAMPAIGNS, goals, BOTS)
    now: Counter[Any] = Counter()
    money: Counter[Any] = Counter()
    for fact in found:
        cell = (fact.campaign_id, fact.platform, fact.variant_id,
                fact.hour.at, fact.hour.day, fact.hour.hour)  # fmt: skip
        now[(*cell, fact.kind)] += fact.n
        money[cell] += fact.micros if fact.currency == "EUR" else 0
    settle(con, connection)
    adopt(con, goals)
    rows = con.execute(
        "select campaign_id, platform, variant_id, hour, day, hour_of_day, revenue_micros,"
        f" {', '.join(KINDS)} from lake.metrics.campaign_hourly"
    ).fetchall()
    parts = con.execute(
        "select campaign_id, segment_id, sent, human_opened, human_clicked, converted,"
        " converters, revenue_micros from lake.metrics.campaign_segment order by all"
    ).fetchall()
    later = Counter(
        {(*row[:6], k): n for row in rows for k, n in zip(KINDS, row[7:], strict=True) if n}
    )
    assert now == later
    assert +money == +Counter({row[:6]: row[6] for row in rows})
    assert parts == segments(connection, goals)


def segments(connection: Connection, goals: Declared) -> list[tuple[Any, ...]]:
    """Give the live numbers by segment in the shape of the settled ones."""
    found = []
    for campaign in CAMPAIGNS:
        shares = analytics.shares(connection, "maya", campaign, goals, BOTS)
        for segment, c in analytics.analyse([], "EUR", shares).by_segment.items():
            told = (c.sent, c.human_opened, c.human_clicked, c.converted, c.converters)
            found.append((campaign, segment, *told, c.revenue_micros))
    return sorted(found)
