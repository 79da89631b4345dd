"""What conditions are asked of: event, fan, creator and campaign, as of each position.

Belongs here: making it from frames, with no more columns than are asked for. Reading the frames is
`people` and `conduct`, the questions are `matching`.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import duckdb
import polars as pl

from huntaze_pipeline.rulebook import along, behaviour, facts
from huntaze_pipeline.rulebook.behaviour import Feature
from huntaze_pipeline.rulebook.fields import CAMPAIGN, CREATOR, EVENT, OPEN, Type
from huntaze_pipeline.rulebook.language import quote
from huntaze_pipeline.rulebook.people import People
from huntaze_pipeline.rulebook.prepared import Bench

_FRAMES = {
    Type.TEXT: pl.String, Type.TIME: pl.Datetime("us", "UTC"), Type.LIST: pl.List(pl.String),
}  # fmt: skip
_CREATORS: dict[str, Any] = {name: _FRAMES[kind] for name, kind in CREATOR.items()}
_CAMPAIGNS: dict[str, Any] = {
    "creator_id": pl.String, **{name: _FRAMES[kind] for name, kind in CAMPAIGN.items()},
}  # fmt: skip
_BEFORE = "CAST(-9223372036854775808 AS BIGINT)"
"""The position of everything that is older than the batch."""
_FRAMED = {"id": "event_id", "value": "value_micros"}
"""Fields of an event that are called otherwise in a frame."""
_KEY = along.KEY
_STATE = (*_KEY, "name", "value_micros", "occurred_at", "message_id", "campaign_id")
"""What facts read of an event."""
_PROFILE = ("name", "zone", "locale", "birthday", "tags", "attributes", "segments", "created_at")
_OWN = "profile_subscribed_at"
_FAN = "fan_"
"""How the columns of the fan begin, beside those of the event."""
_SUBSCRIBED = f"coalesce(s.subscribed_at, s.{_OWN})"
_JOINS = {
    "creator": " LEFT JOIN creator ON creator.id = event.creator_id",
    "campaign": " LEFT JOIN campaign ON campaign.creator_id = event.creator_id"
    " AND campaign.id = event.campaign_id",
}


@dataclass(frozen=True)
class Wanted:
    """What a batch is asked; it decides which columns there are."""

    reads: frozenset[str]
    """Fields, as `fan.name`."""
    features: tuple[Feature, ...] = ()
    """What the fan's events are asked for; each becomes a field of `fan`."""
    running: bool = True
    """The batch is not in states and histories yet."""
    moved: frozenset[str] = frozenset(facts.NAMES)
    """Facts that its events may change."""
    many: bool = False
    """It is so large that DuckDB's window pays (`facts.running`); else `along` does it."""

    @property
    def facts(self) -> list[str]:
        """The facts that are asked for."""
        return [name for name in facts.NAMES if f"fan.{name}" in self.reads]

    @property
    def moving(self) -> frozenset[str]:
        """Those that have to be followed along the batch."""
        return self.moved.intersection(self.facts) if self.running else frozenset()

    @property
    def event(self) -> list[str]:
        """The fields of `event`."""
        joined = ["creator_id", "campaign_id"] if self.around else []
        asked = [n for n in (*EVENT, OPEN["event"]) if f"event.{n}" in self.reads]
        return [*dict.fromkeys(["moment", "name", *joined, *asked])]

    @property
    def around(self) -> bool:
        """Whether creators or campaigns are asked about."""
        return any(name.startswith(("creator.", "campaign.")) for name in self.reads)

    @property
    def batch(self) -> list[str]:
        """The columns of the events' frame."""
        summed = [c for fact in facts.FACTS if fact.name in self.moving for c in facts.reads(fact)]
        counted = ["event_id", *behaviour.FIELDS] if self.features and self.running else []
        fields = [_FRAMED.get(name, name) for name in self.event]
        return [*dict.fromkeys(["position", *_KEY, *fields, *summed, *counted])]

    @property
    def profile(self) -> list[str]:
        """The fields of `fan` that are no facts and not its key."""
        return [name for name in _PROFILE if f"fan.{name}" in self.reads]

    @property
    def fans(self) -> list[str]:
        """The columns of the fans' frame."""
        own = [_OWN] if "subscribed_at" in self.facts else []
        return [*_KEY, *self.profile, *self.facts, *own]


def fill(
    bench: Bench, events: pl.DataFrame, fans: pl.DataFrame, around: People, wanted: Wanted
) -> None:
    """Make the relation `seen` (`event` and `fan` per position), and what is around it.

    Args:
        bench: where; it is for the same `wanted` only.
        events: a batch, with `moment`.
        fans: profiles with state columns.
        around: histories, creators, campaigns.
        wanted: what will be asked.
    """
    if wanted.around:
        _around(bench, around)
    if wanted.features:
        bench.feed("history_frame", around.history)
    if not wanted.many:
        bench.feed("seen_frame", _along(events, fans, wanted))
        return
    bench.fill("batch_frame", events.select(wanted.batch))
    bench.fill("fans_frame", fans.select(wanted.fans))
    bench.make("seen", _seen(wanted))


def source(wanted: Wanted) -> str:
    """Return what there is to read `seen` from, once `fill` has been called."""
    return "seen" if wanted.many else f"({_framed(wanted)}) AS seen"


def _around(bench: Bench, around: People) -> None:
    creators = [{name: row.get(name) for name in _CREATORS} for row in around.creators.values()]
    campaigns = [{name: row.get(name) for name in _CAMPAIGNS} for row in around.campaigns.values()]
    bench.feed("creator", pl.DataFrame(creators, schema=_CREATORS))
    bench.feed("campaign", pl.DataFrame(campaigns, schema=_CAMPAIGNS))


def _along(events: pl.DataFrame, fans: pl.DataFrame, wanted: Wanted) -> pl.DataFrame:
    """Return a small batch with the fields of each event's fan; their names begin with `fan_`."""
    batch = _ordered(events[wanted.batch])
    own = fans.select(*_KEY, pl.col(wanted.fans[2:]).name.prefix(_FAN))
    both = batch.join(own, on=_KEY, how="left", maintain_order="left")
    states = pl.DataFrame([both[f"{_FAN}{name}"].alias(name) for name in wanted.facts])
    told = along.fields(batch, states, wanted.facts, wanted.moving)
    fields = [field.alias(f"{_FAN}{field.name}") for field in told]
    return pl.DataFrame({column.name: column for column in (*both, *fields)})


def _ordered(events: pl.DataFrame) -> pl.DataFrame:
    """Return events in the order in which they count.

    Here and below columns are taken, not selected: each plan of Polars costs half a millisecond.
    """
    return events if events["position"].is_sorted() else events.sort("position")


def fans(
    bench: Bench,
    events: pl.DataFrame,
    known: pl.DataFrame,
    positions: Collection[int],
    wanted: Wanted,
) -> dict[int, dict[str, Any]]:
    """Return every field of the fans at some positions of a batch, features apart.

    Only what happened to these fans is looked at, whatever else the batch holds.
    """
    if not positions:
        return {}
    hit = events.filter(pl.col("position").is_in(list(positions)))
    those = known.join(hit[[*_KEY]], on=_KEY, how="semi")
    batch = events.join(those, on=_KEY, how="semi") if wanted.running else hit
    batch = batch[["position", *_STATE]]
    if wanted.many:
        bench.fill("hit_batch", batch)
        bench.fill("hit_fans", those)
        rows = bench.ask("hit fans", lambda: _whole(wanted)).pl()
    else:
        rows = _told(_ordered(batch), those, wanted)
    wished = set(positions)
    return {r["position"]: r for r in rows.iter_rows(named=True) if r["position"] in wished}


def _told(batch: pl.DataFrame, known: pl.DataFrame, wanted: Wanted) -> pl.DataFrame:
    """Return all fields of the known fans of some events, without asking DuckDB."""
    both = batch[["position", *_KEY]].join(known, on=_KEY, how="inner", maintain_order="left")
    moved = wanted.moved if wanted.running else ()
    told = along.fields(batch, both, facts.NAMES, moved).get_columns()
    subscribed = told[facts.NAMES.index("subscribed_at")]
    told[facts.NAMES.index("subscribed_at")] = subscribed.fill_null(both[_OWN])
    key = [both["position"], both["creator_id"], both["fan_id"].alias("id")]
    return pl.DataFrame([*key, *(both[name] for name in _PROFILE), *told])


def at(con: duckdb.DuckDBPyConnection, positions: Collection[int]) -> dict[int, dict[str, Any]]:
    """Return the fields of the table `fan` at some positions; features are not among them."""
    query = (
        "SELECT COLUMNS(c -> c <> 'known' AND c NOT LIKE 'did\\_%' ESCAPE '\\') FROM fan"
        " WHERE known AND position IN (SELECT unnest(CAST($1 AS BIGINT[])))"
    )
    rows = con.execute(query, [list(positions)]).pl()
    return {row["position"]: row for row in rows.iter_rows(named=True)}


def joins(sql: str) -> str:
    """Return the joins of what some questions speak of besides `event` and `fan`."""
    return "".join(join for scope, join in _JOINS.items() if f'{scope}."' in sql)


def _seen(wanted: Wanted) -> str:
    """Return the query of `seen`; names of the event's columns begin with `on_` meanwhile."""
    event = {name: f"seen.{_FRAMED.get(name, name)}" for name in wanted.event}
    if "value" in event:
        event["value"] = "CAST(seen.value_micros AS DOUBLE) / 1000000"
    also = "".join(f", {sql} AS on_{name}" for name, sql in event.items())
    also += "".join(f", base.{name}" for name in wanted.fans if name in (*_PROFILE, _OWN))
    base = facts.running("fans_frame", "batch_frame", wanted.facts, wanted.moving, also=also)
    fan = {name: f"s.{name}" for name in (*wanted.profile, *wanted.facts)}
    if "subscribed_at" in fan:
        fan["subscribed_at"] = _SUBSCRIBED
    on = {name: f"s.on_{name}" for name in event}
    return _structs(on, fan, f"({base})", wanted, "batch_frame")


def _framed(wanted: Wanted) -> str:
    """Return the same over `seen_frame`, in which everything has its place."""
    event = {name: f"s.{_FRAMED.get(name, name)}" for name in wanted.event}
    if "value" in event:
        event["value"] = "CAST(s.value_micros AS DOUBLE) / 1000000"
    fan = {name: f"s.{_FAN}{name}" for name in (*wanted.profile, *wanted.facts)}
    if "subscribed_at" in fan:
        fan["subscribed_at"] = f"coalesce(s.{_FAN}subscribed_at, s.{_FAN}{_OWN})"
    return _structs(event, fan, "seen_frame", wanted, "seen_frame")


def _structs(
    event: Mapping[str, str], fan: dict[str, str], rows: str, wanted: Wanted, batch: str
) -> str:
    """Return the query of `event` and `fan`, features included, over rows called `s`."""
    fan = {"creator_id": "s.creator_id", "id": "s.fan_id"} | fan
    fan |= {feature.key: f'did."{feature.key}"' for feature in wanted.features}
    did = _did(wanted.features, wanted.running, batch)
    joined = f" LEFT JOIN ({did}) AS did ON did.position = s.position" if did else ""
    return (
        f"SELECT s.position, {_struct(event)} AS event, {_struct(fan)} AS fan"
        f" FROM {rows} AS s{joined}"
    )


def _struct(fields: Mapping[str, str]) -> str:
    return "{" + ", ".join(f"{quote(name)}: {sql}" for name, sql in fields.items()) + "}"


def _did(features: Sequence[Feature], running: bool, batch: str) -> str:
    """Return the query of the features per position, or nothing when there are none."""
    if not features:
        return ""
    names = ", ".join((*_KEY, "event_id", *behaviour.FIELDS))
    events = f"SELECT {names}, {_BEFORE} AS position FROM history_frame"
    if running:
        events += f" UNION ALL SELECT {names}, position FROM {batch}"
    return behaviour.columns(features, f"({events})", batch, ordered=running)


def _whole(wanted: Wanted) -> str:
    """Return the query of all fields of the known fans of some events."""
    own = "".join(f", base.{name}" for name in (*_PROFILE, _OWN))
    also = f"{own}, base.fan_id IS NOT NULL AS known"
    moved = wanted.moved if wanted.running else ()
    base = facts.running("hit_fans", "hit_batch", moved=moved, also=also)
    sums = ", ".join(f"s.{name}" for name in facts.NAMES)
    return (
        f"SELECT s.position, s.creator_id, s.fan_id AS id, {', '.join(_PROFILE)},"
        f" {sums.replace('s.subscribed_at', f'{_SUBSCRIBED} AS subscribed_at')}"
        f" FROM ({base}) AS s WHERE known"
    )
