"""Where staged rows land: events and lines in the lake, fans, campaigns and costs in PostgreSQL.

Every landing is set-based and repeatable: what is there already is counted as known and left alone
(a fan's empty fields are filled in, its attributes merged).
"""

import json
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory

from duckdb import DuckDBPyConnection
from sqlalchemy import Connection, text

from huntaze_pipeline.events import arrival, shape
from huntaze_pipeline.events.mapping import Mapping
from huntaze_pipeline.events.parts import FanSpec
from huntaze_pipeline.sql import quoted
from huntaze_pipeline.store import address

_CHUNK = 1 << 20
_KEPT = """
drop table if exists pg_temp.landing_kept;
create temp table landing_kept (id text, fresh boolean) on commit drop
"""
_TOUCHED = """
select count(distinct id), count(*) filter (where fresh) from landing_kept
"""
# A row that was inserted, not filled in, was never locked: its xmax is 0.
_FANS = """
with done as (
insert into fans (creator_id, id, name, zone, locale, birthday, subscribed_at, attributes, tags)
select :creator, id, name, zone, locale, birthday, subscribed_at, attributes, tags
from landing_fans
on conflict (creator_id, id) do update set
    name = coalesce(fans.name, excluded.name), zone = coalesce(fans.zone, excluded.zone),
    locale = coalesce(fans.locale, excluded.locale),
    birthday = coalesce(fans.birthday, excluded.birthday),
    subscribed_at = least(fans.subscribed_at, excluded.subscribed_at),
    attributes = excluded.attributes || fans.attributes
        || jsonb_build_object('derived', (
            select coalesce(jsonb_agg(distinct d), '[]') from jsonb_array_elements(
                coalesce(fans.attributes -> 'derived', '[]')
                || (excluded.attributes -> 'derived')) d)),
    tags = (select coalesce(jsonb_agg(distinct t), '[]')
            from jsonb_array_elements(fans.tags || excluded.tags) t),
    updated_at = now()
where (coalesce(fans.name, excluded.name), coalesce(fans.zone, excluded.zone),
       coalesce(fans.locale, excluded.locale), coalesce(fans.birthday, excluded.birthday),
       least(fans.subscribed_at, excluded.subscribed_at))
      is distinct from (fans.name, fans.zone, fans.locale, fans.birthday, fans.subscribed_at)
   or not fans.attributes @> (excluded.attributes - 'derived') or not fans.tags @> excluded.tags
returning id, xmax = 0 as fresh)
insert into landing_kept select id, fresh from done
"""
_ACCOUNTS = """
insert into accounts (creator_id, id, platform, handle)
select distinct on (account) :creator, account, account_platform, handle from landing_fans
order by account, handle
on conflict do nothing
"""
_IDENTITIES = f"""
with done as (
insert into identities (creator_id, fan_id, platform, account_id, address, normalised)
select :creator, l.id, l.platform, coalesce(own.id, held.id, l.account_id), l.address,
       {address.sql("l.address")}
from landing_fans l
left join accounts own on own.creator_id = :creator and own.id = l.account_id
left join accounts held on held.creator_id = :creator and l.account = l.account_id
    and held.platform = l.account_platform and held.handle = l.handle
on conflict do nothing
returning fan_id)
insert into landing_kept select fan_id, false from done
"""
_CONSENTS = """
with done as (
insert into consents (creator_id, fan_id, topic, granted, source)
select :creator, id, :topic, :granted, 'import' from landing_fans
on conflict do nothing
returning fan_id)
insert into landing_kept select fan_id, false from done
"""
_CAMPAIGNS = """
insert into campaigns (creator_id, id, name, type, status, platforms, start_at, end_at, settings,
                       source)
select :creator, id, name, type, :status, cast(:platforms as jsonb), start_at, end_at, settings,
       :source
from landing_campaigns
on conflict (creator_id, id) do nothing
"""
_COSTS = """
insert into costs (creator_id, id, campaign_id, kind, amount_micros, currency, incurred_at, source,
                   note)
select :creator, id, campaign_id, :kind, amount, currency, incurred_at, :source, :note
from landing_costs
on conflict (creator_id, id) do nothing
"""


@dataclass(frozen=True, slots=True)
class Landed:
    """What became of the good rows, in source rows."""

    kept: int
    known: int
    made: int = 0
    """New events, fans, campaigns or costs; a fan that was filled in is kept and not new."""


def events(con: DuckDBPyConnection, creator_id: str, import_id: str, received: str) -> Landed:
    """Append the staged events that are new, and their lines; inside one lake transaction."""
    _append(con, creator_id, import_id, received)
    if _has_lines(con):
        con.execute(
            "insert into lake.raw.lines (creator_id, event_id, line, item_id, quantity,"
            f" value_micros, discount_micros, properties) select {quoted(creator_id)}, event_id,"
            " line, item_id, quantity, value_micros, discount_micros, properties"
            " from _lines semi join _new using (event_id)"
        )
    row = con.execute(
        "select (select coalesce(sum(_n), 0) from _new), (select count(*) from _new),"
        " (select coalesce(sum(_n), 0) from _all)"
    ).fetchone() or (0, 0, 0)
    return Landed(int(row[0]), int(row[2]) - int(row[0]), int(row[1]))


def _append(con: DuckDBPyConnection, creator_id: str, import_id: str, received: str) -> None:
    """Gather in `_new` the events that nobody has brought before, and append them."""
    batch = arrival.following(con)
    con.execute(
        "create or replace temp table _new as select e.* from _events e anti join"
        f" (select event_id from lake.raw.events where creator_id = {quoted(creator_id)}) k"
        " using (event_id)"
    )
    arrival.about(con, "_new", creator_id)
    con.execute(
        "insert into lake.raw.events (creator_id, event_id, name, fan_id, platform, account_id,"
        " campaign_id, message_id, value_micros, currency, occurred_at, received_at, properties,"
        f" source, arrival, {arrival.ABOUT}) select {quoted(creator_id)}, event_id, name, fan_id,"
        " platform, account_id, campaign_id, message_id, value_micros, currency, occurred_at,"
        f" timestamptz {quoted(received)}, properties, {quoted('import:' + import_id)}, {batch},"
        f" {arrival.ABOUT} from _new left join (from about where creator_id ="
        f" {quoted(creator_id)}) m using (message_id) order by occurred_at, _row"
    )


def _has_lines(con: DuckDBPyConnection) -> bool:
    return len(con.execute("describe _lines").fetchall()) > 1


def fans(connection: Connection, con: DuckDBPyConnection, creator_id: str, m: Mapping) -> Landed:
    """Add fans, and fill in what was not known of those that are there."""
    part = m.fans
    if part is None:
        return Landed(0, 0)
    copied = _copy_fans(connection, con, part, m)
    connection.execute(text(_KEPT))
    connection.execute(text(_FANS), {"creator": creator_id})
    if part.account is not None:
        connection.execute(text(_ACCOUNTS), {"creator": creator_id})
    if part.identity is not None:
        connection.execute(text(_IDENTITIES), {"creator": creator_id})
    for topic, granted in part.consents.items():
        connection.execute(
            text(_CONSENTS), {"creator": creator_id, "topic": topic, "granted": granted}
        )
    touched, made = connection.execute(text(_TOUCHED)).one()
    return replace(_counted(con, copied, touched), made=made)


def _copy_fans(connection: Connection, con: DuckDBPyConnection, part: FanSpec, m: Mapping) -> int:
    """Bring the fans of the file to PostgreSQL; return how many."""
    names = [quoted(name) + f", a{n}" for n, name in enumerate(part.attributes)]
    derived = quoted(json.dumps(shape.made_up(m)))
    pairs = ", ".join([*names, f"'derived', cast({derived} as json)"])
    tags = quoted(json.dumps(part.tags))
    return _copy(
        connection, con, "landing_fans",
        "id text, name text, zone text, locale text, birthday date, subscribed_at timestamptz,"
        " attributes jsonb, tags jsonb, account text, account_platform text, handle text,"
        " platform text, account_id text, address text",
        "select r_id, r_name, r_zone, r_locale, r_birthday, r_subscribed_at,"
        f" json_object({pairs}), {tags}, {_nested(m)} from _records",
    )  # fmt: skip


def campaigns(
    connection: Connection, con: DuckDBPyConnection, creator_id: str, m: Mapping, import_id: str
) -> Landed:
    """Add campaigns of the past; they are never in a state that sends."""
    part = m.campaigns
    if part is None:
        return Landed(0, 0)
    settings = (
        f"json_merge_patch(cast(r_settings as json), json_object('goal', {quoted(part.goal)}))"
    )
    copied = _copy(
        connection, con, "landing_campaigns",
        "id text, name text, type text, start_at timestamptz, end_at timestamptz, settings jsonb",
        f"select r_id, r_name, coalesce(r_type, 'broadcast'), r_start_at, r_end_at, {settings}"
        " from _records",
    )  # fmt: skip
    made = connection.execute(
        text(_CAMPAIGNS),
        {
            "creator": creator_id,
            "status": part.status,
            "platforms": json.dumps(part.platforms),
            "source": f"import:{import_id}",
        },
    ).rowcount
    return _counted(con, copied, made)


def costs(
    connection: Connection, con: DuckDBPyConnection, creator_id: str, m: Mapping, import_id: str
) -> Landed:
    """Add costs."""
    part = m.costs
    if part is None:
        return Landed(0, 0)
    copied = _copy(
        connection, con, "landing_costs",
        "id text, campaign_id text, amount bigint, currency text, incurred_at timestamptz",
        "select r_id, r_campaign_id, r_amount, r_currency, r_incurred_at from _records",
    )  # fmt: skip
    values = {"creator": creator_id, "kind": part.kind, "note": part.note}
    made = connection.execute(text(_COSTS), values | {"source": f"import:{import_id}"}).rowcount
    return _counted(con, copied, made)


def _nested(m: Mapping) -> str:
    """The account's and the identity's columns, or NULLs where the mapping has none."""
    part = m.fans
    account = ("r_account_id", "r_account_platform", "r_account_handle")
    identity = ("r_identity_platform", "r_identity_account_id", "r_identity_address")
    has = (part is not None and part.account, part is not None and part.identity)
    return ", ".join(
        name if present else "null"
        for names, present in zip((account, identity), has, strict=True)
        for name in names
    )


def _copy(
    connection: Connection, con: DuckDBPyConnection, name: str, columns: str, query: str
) -> int:
    """Stream a DuckDB query into a temporary table of this PostgreSQL transaction."""
    connection.execute(text(f"drop table if exists pg_temp.{name}"))
    connection.execute(text(f"create temp table {name} ({columns}) on commit drop"))
    driver = connection.connection.driver_connection
    if driver is None:
        return 0
    with TemporaryDirectory(prefix="huntaze-import-") as folder:
        path = Path(folder) / "rows.csv"
        con.execute(f"copy ({query}) to {quoted(str(path))} (format csv, header false)")
        with path.open("rb") as stream, driver.cursor() as cursor:
            with cursor.copy(f"copy {name} from stdin (format csv)") as copy:
                while chunk := stream.read(_CHUNK):
                    copy.write(chunk)
            return int(cursor.rowcount)


def _counted(con: DuckDBPyConnection, copied: int, made: int) -> Landed:
    """Turn made and known records into the source rows behind them."""
    row = con.execute("select coalesce(sum(_n), 0) from _records").fetchone() or (0,)
    rows = int(row[0])
    kept = rows if made == copied else min(rows, made)
    return Landed(kept, rows - kept, made)
