"""The past as relations: what was known of events and fans at any moment, and nothing later.

Belongs here: the SQL that looks back, set-based, over the lake and PostgreSQL. What a rule would
have done with it is `backtest`'s.

Two clocks matter. What is *known* is in the order of arrival (`seen_at`, then `tie`): an event that
came late was not known before it came. Events of imported files are taken as known when they
happened, and what is known of their fans is the earliest that was ever recorded.
"""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import duckdb
import polars as pl

from huntaze_pipeline.rehearsal import profiles
from huntaze_pipeline.rulebook import behaviour, facts
from huntaze_pipeline.rulebook.behaviour import Feature
from huntaze_pipeline.rulebook.fields import FACTS, PROFILE
from huntaze_pipeline.rulebook.language import quote

LAST = 1 << 62
"""A `tie` behind every event of the same instant."""
_EVENT = (
    "creator_id, event_id, name, fan_id, platform, account_id, campaign_id, message_id,"
    " value_micros, currency, occurred_at, properties"
)
_TAIL = """
    select creator_id, event_id, name, fan_id, platform, account_id, campaign_id, message_id,
           value_micros, currency, occurred_at, properties::text as properties, source,
           received_at, id
    from public.inbox where (tx, id) > ('{tx}'::xid8, {id})
"""


@dataclass(frozen=True)
class Tables:
    """Where the operational tables are, as a prefix of their names."""

    prefix: str = "ops.public."
    """Of PostgreSQL as it is attached beside the lake."""
    live: bool = True
    """There is an inbox that the lake may not have read to its end."""


@dataclass
class Past:
    """One look at the past of some creators, on one connection.

    `event` and `fan` are the relations that `matching.ask` asks; they are made for askers: a table
    with `position, num, seen_at, tie, moment, imported` and the columns of an event.
    """

    con: duckdb.DuckDBPyConnection
    creators: Sequence[str]
    tables: Tables = field(default_factory=Tables)
    punctual: bool = False
    """Pretend that every event was known when it happened."""
    strict: bool = False
    """Take an event of a file as known when the file came, as live did."""
    _met: bool = field(default=False, init=False)
    """The profiles of the numbered fans have been read."""
    _bought: bool = field(default=False, init=False)
    """What the numbered fans bought is in `story`."""

    def open(self, until: datetime) -> None:
        """Make the view `past_events`: everything known before `until`."""
        self.con.execute("create or replace temp table tail as " + self._tail())
        known = "case when starts_with(source, 'import:') then occurred_at else received_at end"
        at = "received_at" if self.strict else "occurred_at" if self.punctual else known
        mine = f"creator_id in ({listed(self.creators)})"
        # The pushed-down bound skips files; what happens is known no earlier than a day before.
        self.con.execute(
            "create or replace temp view past_events as select * from ("
            f"select {_EVENT}, {at} as seen_at, rowid as tie,"
            " starts_with(source, 'import:') as imported, source = 'receipt' as receipt"
            f" from lake.raw.events where {mine}"
            f" union all select {_EVENT}, {at}, {LAST // 2} + id, false, source = 'receipt'"
            f" from tail where {mine}"
            f") where seen_at < {instant(until)}"
        )
        self._around()

    def _around(self) -> None:
        """Make `creator` and `campaign`, which conditions may ask about; they hardly change."""
        self.con.execute(
            "create or replace temp table creator as select id, name, zone, currency"
            f" from {self.table('creators')}"
        )
        listed_ = "from_json(cast(platforms as varchar), '[\"VARCHAR\"]') as platforms"
        self.con.execute(
            "create or replace temp table campaign as select creator_id, id, name, type,"
            f" template_id as template, {listed_}, start_at from {self.table('campaigns')}"
        )

    def _tail(self) -> str:
        columns = f"{_EVENT}, source, received_at, 0::bigint as id"
        if not self.tables.live:
            return f"select {columns} from lake.raw.events limit 0"
        row = self.con.execute(
            "select tx, id from lake.raw.cursors where name = 'inbox'"
        ).fetchone() or (0, 0)
        query = quote(_TAIL.format(tx=int(row[0]), id=int(row[1])))
        return (
            f"select t.* from postgres_query('ops', {query}) t anti join (select creator_id,"
            " event_id from lake.raw.events where starts_with(source, 'import:')) k"
            " using (creator_id, event_id)"
        )

    def table(self, name: str) -> str:
        """Return an operational table, of these creators."""
        key = "id" if name == "creators" else "creator_id"
        return (
            f"(select * from {self.tables.prefix}{name} where {key} in ({listed(self.creators)}))"
        )

    def people(self) -> list[dict[str, Any]]:
        """Return what messages and schedules ask of the creators."""
        query = f"select id, name, zone, currency from {self.table('creators')} order by id"
        return list(self.con.execute(query).pl().iter_rows(named=True))

    def number(self, askers: str) -> None:
        """Give the fans of some askers numbers: long keys make every later step slow."""
        self.con.execute(
            "create or replace temp table who as select creator_id, fan_id,"
            f" cast(row_number() over () as integer) as num from"
            f" (select distinct creator_id, fan_id from {askers})"
        )
        self._met = self._bought = False

    def meet(self, fans: Iterable[tuple[str, str]]) -> None:
        """Number some fans, by (creator_id, fan_id)."""
        schema = {"creator_id": pl.String, "fan_id": pl.String}
        frame = pl.DataFrame([*fans], schema=schema, orient="row")
        self.con.register("met_frame", frame.to_arrow())
        self.number("met_frame")
        self.con.unregister("met_frame")

    def keep(self, askers: str) -> None:
        """Forget the numbered fans of whom there is no asker any more."""
        self.con.execute(
            "create or replace temp table who as select who.* from who"
            f" semi join {askers} a on a.creator_id = who.creator_id and a.fan_id = who.fan_id"
        )
        self.con.execute(
            "create or replace temp table story as from story semi join who using (num)"
        )

    def remember(self, fields: Iterable[str], *, bought: bool = False) -> None:
        """Keep the events of the numbered fans that some facts are made of.

        Args:
            fields: of the fan; what is no fact is passed over.
            bought: keep their purchases as well, which `purchases` then need not look for.
        """
        wanted = [fact for fact in facts.FACTS if fact.name in set(fields)]
        names = {name for fact in wanted for name in fact.events}
        columns = {c for fact in wanted for c in facts.reads(fact)} - {"name"}
        self._bought = bought
        if bought:
            names, columns = names | {"purchase"}, columns | {*_BOUGHT}
        chosen = "".join(f", {column}" for column in sorted(columns))
        self.con.execute(
            f"create or replace temp table story as select num, name, seen_at, tie{chosen}"
            " from past_events join who using (creator_id, fan_id)"
            f" where name in ({listed(names)})"
        )

    def purchases(self) -> str:
        """Return the relation of purchases: those of the numbered fans when they are remembered."""
        columns = f"creator_id, fan_id, {', '.join(_BOUGHT)}"
        source = "story join who using (num)" if self._bought else "past_events"
        return f"(select {columns} from {source} where name = 'purchase')"

    def relate(
        self,
        askers: str,
        fields: Collection[str],
        segments: Collection[str],
        features: Sequence[Feature] = (),
        *,
        events: str | None = None,
    ) -> None:
        """Make `event` and `fan` for askers, with the fan's fields as known at each one's place.

        Args:
            askers: the table's name.
            fields: of the fan, without `fan.`; others are not there.
            segments: those whose members are asked for.
            features: what the fan's own events are asked for.
            events: where the askers' events are, by `position`; None: in `askers` as well.
        """
        self.con.execute(
            f"""
            create or replace temp view event as
                select position, moment, creator_id, fan_id, event_id as id, name, platform,
                       account_id, campaign_id, message_id, occurred_at, currency, properties,
                       cast(value_micros as double) / 1000000 as "value"
                from {events or askers}
            """
        )
        known = [name for name in fields if name in FACTS]
        past = facts.as_of("story", askers, known, "num") if known else "select null as position"
        profile = self.profile(askers, any(name in _PROFILED for name in fields))
        self.con.execute(
            f"""
            create or replace temp table fan as
                select a.position, p.known, a.creator_id, a.fan_id as id,
                       p.* exclude (position, known, profile_subscribed_at)
                       {"".join(f", {_fact(name)} as {name}" for name in known)}
                       {_segments(segments)}
                       {", d.* exclude (creator_id, fan_id, position)" if features else ""}
                from {askers} a
                left join ({past}) f on f.position = a.position
                left join ({profile}) p on p.position = a.position
                {self._members(askers, segments)}
                {self._did(askers, features)}
            """
        )

    def _did(self, askers: str, features: Sequence[Feature]) -> str:
        """Join what the fans had done; events and askers stand in one order of arrival."""
        if not features:
            return ""
        names = listed(feature.event for feature in features)
        kept = ", ".join(("creator_id", "event_id", "fan_id", *behaviour.FIELDS))
        self.con.execute(
            "create or replace temp table ranked as select *, row_number() over"
            " (order by seen_at, tie, asker is not null) as rank from"
            f" (select {kept}, seen_at, tie, null as asker, null as moment"
            " from past_events semi join who using (creator_id, fan_id)"
            f" where name in ({names}) union all by name select creator_id, fan_id, seen_at, tie,"
            f" position as asker, moment from {askers})"
        )
        events = f"(select {kept}, rank as position from ranked where asker is null)"
        asking = (
            "(select creator_id, fan_id, rank as position, moment from ranked"
            " where asker is not null)"
        )
        return (
            f"left join (select d.* replace (r.asker as position)"
            f" from ({behaviour.columns(features, events, asking)}) d"
            " join ranked r on r.rank = d.position) d on d.position = a.position"
        )

    def profile(self, askers: str, wanted: bool = True) -> str:
        """Return the query of the fans' own fields as they were; one not yet met is not known."""
        if not wanted:
            return f"select position, true as known, null as profile_subscribed_at from {askers}"
        if not self._met:
            profiles.read(self.con, self.table("fans"), self.table("former"))
            self._met = True
        return profiles.as_of(askers)

    def _members(self, askers: str, segments: Collection[str]) -> str:
        if not segments:
            return ""
        return f"""
            left join (
                select a.position, list_sort(list(distinct m.segment_id)) as segments
                from {askers} a join {self.table("members")} m
                    on m.creator_id = a.creator_id and m.fan_id = a.fan_id
                    and m.segment_id in ({listed(segments)}) and m.entered_at <= a.seen_at
                    and (m.left_at is null or m.left_at > a.seen_at)
                group by a.position
            ) s on s.position = a.position
        """


_BOUGHT = ("occurred_at", "value_micros", "currency")
_PROFILED = {*PROFILE, "attributes", "subscribed_at"}


def _fact(name: str) -> str:
    if name == "subscribed_at":
        return "coalesce(f.subscribed_at, p.profile_subscribed_at)"
    return f"f.{name}"


def _segments(segments: Collection[str]) -> str:
    return ", coalesce(s.segments, []) as segments" if segments else ", [] as segments"


def listed(names: Iterable[str]) -> str:
    """Return texts as an SQL list; an empty one matches nothing."""
    return ", ".join(map(quote, sorted(set(names)))) or "null"


def instant(at: datetime) -> str:
    """Return an instant as an SQL literal."""
    return f"timestamptz '{at.astimezone(UTC).isoformat(sep=' ')}'"
