"""A past in memory: the lake's events and the operational tables of two creators, no servers."""

from datetime import UTC, datetime, timedelta

import duckdb

from huntaze_pipeline.rehearsal.past import Past, Tables

START = datetime(2026, 2, 2, 9, tzinfo=UTC)
ZONES = {"maya": "Asia/Tokyo", "zoe": "Europe/Paris"}
"""Of the fans; the creators live in UTC."""
_TABLES = """
    attach ':memory:' as lake;
    create schema lake.raw;
    create table lake.raw.events (creator_id varchar, event_id varchar, name varchar,
        fan_id varchar, platform varchar, account_id varchar, campaign_id varchar,
        message_id varchar, value_micros bigint, currency varchar, occurred_at timestamptz,
        received_at timestamptz, properties varchar, source varchar);
    create schema ops;
    create table ops.creators as select id, id as name, 'UTC' as zone, 'USD' as currency
        from (values ('maya'), ('zoe')) c(id);
    create table ops.accounts as select id as creator_id, 'of' as id, 'onlyfans' as platform,
        'active' as status, null::int as limit_count, null::int as limit_window_s,
        timestamptz '2026-01-01' as created_at from ops.creators;
    create table ops.fans (creator_id varchar, id varchar, name varchar, zone varchar,
        locale varchar, birthday date, subscribed_at timestamptz, attributes varchar, tags varchar,
        created_at timestamptz);
    create table ops.identities (creator_id varchar, fan_id varchar, platform varchar,
        account_id varchar, address varchar, normalised varchar, last_inbound_at timestamptz);
    create table ops.consents (creator_id varchar, fan_id varchar, topic varchar, granted boolean,
        changed_at timestamptz);
    create table ops.suppressions (creator_id varchar, platform varchar, normalised varchar,
        reason varchar, created_at timestamptz);
    create table ops.barred (platform varchar, normalised varchar, reason varchar,
        created_at timestamptz);
    create table ops.campaigns (creator_id varchar, id varchar, name varchar, type varchar,
        template_id varchar, platforms varchar, start_at timestamptz);
    create table ops.former (creator_id varchar, kind varchar, id varchar, body varchar,
        until timestamptz);
    create table ops.members (creator_id varchar, segment_id varchar, fan_id varchar,
        entered_at timestamptz, left_at timestamptz);
    create table ops.messages (creator_id varchar, id varchar, fan_id varchar, source varchar,
        source_id varchar, rule_hash varchar, topic varchar, state varchar, reason varchar,
        platform varchar, account_id varchar, content varchar, subject varchar,
        not_before timestamptz, decided_at timestamptz, sent_at timestamptz, ended_at timestamptz);
"""


def past(fans: int = 3) -> Past:
    """Return a past in which nothing happened yet, with `fans` of each creator, all willing."""
    con = duckdb.connect()
    con.execute("set timezone = 'UTC'")
    con.execute(_TABLES)
    for creator, zone in ZONES.items():
        for n in range(fans):
            key = [creator, f"{creator}-{n}"]
            con.execute(
                "insert into ops.fans values (?, ?, 'Fan', ?, 'en', null, null, '{}', '[]',"
                " '2026-01-01')",
                [*key, zone],
            )
            con.execute(
                "insert into ops.identities values (?, ?, 'onlyfans', 'of', ?, ?, null)",
                [*key, key[1], key[1]],
            )
            con.execute(
                "insert into ops.consents values (?, ?, 'marketing', true, '2026-01-01')", key
            )
    return Past(con, [*ZONES], Tables("ops.", live=False))


def happen(past: Past, name: str, fan: str, hours: float, dollars: int | None = None) -> None:
    """Let something happen so many hours after the start."""
    at = START + timedelta(hours=hours)
    micros = None if dollars is None else dollars * 1_000_000
    number = past.con.execute("select count(*) from lake.raw.events").fetchone()
    past.con.execute(
        "insert into lake.raw.events values (?, ?, ?, ?, 'onlyfans', 'of', null, null, ?, ?, ?, ?,"
        " '{}', 'api')",
        [fan.partition("-")[0], f"e{number[0]}", name, fan, micros, micros and "USD", at, at],
    )
