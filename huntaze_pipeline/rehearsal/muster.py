"""Everybody at some moments of the past: what was known of them, and which segments hold them.

The relations are `past`'s, the predicates `selection`'s: those of live, asked of former facts. What
a campaign or a segment makes of it is `mailing`'s and `tides`'; whom live itself meant is
`attendance`'s.
"""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Any

import polars as pl

from huntaze_pipeline.rehearsal.past import LAST, Past
from huntaze_pipeline.rulebook import selection
from huntaze_pipeline.rulebook.behaviour import Feature, union
from huntaze_pipeline.rulebook.conditions import parse
from huntaze_pipeline.rulebook.fields import FACTS, PROFILE
from huntaze_pipeline.rulebook.schema import Segment

_NEEDED = frozenset({"name", "zone", "locale", "subscribed_at"})
"""What every message needs of a fan."""
_KNOWN = frozenset({*FACTS, *PROFILE, "attributes"})


def gather(
    past: Past, moments: Sequence[datetime], segments: Mapping[str, Segment],
    names: Collection[str], fields: Collection[str] = (),
) -> list[str]:  # fmt: skip
    """Make the relations `event` and `fan` of every known fan at each moment, and `inside`.

    Args:
        past: opened beyond the last moment; what came after one is not known at it.
        moments: in order.
        segments: every segment of the rulebook.
        names: those whose members are asked for.
        fields: of the fan, besides those that the segments ask for.

    Returns:
        The names in the order of `inside.hits`, by position: the number of each segment that holds
        the fan, null for others.
    """
    order = sorted(names)
    _everybody(past, moments)
    wanted = {*_NEEDED, *fields, *_asked(order, segments)} & _KNOWN
    past.remember(wanted)
    past.relate("askers", wanted, (), _features(order, segments, moments[-1]))
    predicates = [selection.asked(name, segments, "event.moment") for name in order]
    cases = ", ".join(f"case when {p} then {i} end" for i, p in enumerate(predicates))
    hits = f"[{cases}]" if cases else "cast([] as int[])"
    past.con.execute(
        f"create or replace temp table inside as select position, {hits} as hits"
        " from fan join event using (position) where fan.known"
    )
    return order


def _everybody(past: Past, moments: Sequence[datetime]) -> None:
    """Place everybody at each moment; of imported fans the history is known as it happened."""
    grid = pl.DataFrame({"moment": list(moments)}, schema={"moment": pl.Datetime("us", "UTC")})
    past.con.register("grid_frame", grid.to_arrow())
    place(
        past,
        f"""
        select f.creator_id, f.id as fan_id, g.moment,
               coalesce(i.at <= g.moment, false) as imported
        from {past.table("fans")} f cross join grid_frame g
        left join (select creator_id, fan_id, min(seen_at) as at from past_events where imported
                   group by all) i on i.creator_id = f.creator_id and i.fan_id = f.id
        where f.created_at <= g.moment or i.at <= g.moment
        """,
    )
    past.con.unregister("grid_frame")


def place(past: Past, chosen: str) -> None:
    """Make the relation `askers` of some fans at moments, and number them.

    Args:
        past: opened.
        chosen: the query of creator_id, fan_id, moment and imported.
    """
    past.con.execute(
        f"""
        create or replace temp table gathered as
        select row_number() over (order by creator_id, fan_id, moment) as position,
               creator_id, fan_id, moment, moment as seen_at, {LAST}::bigint as tie,
               imported, moment as occurred_at,
               null::varchar as event_id, null::varchar as name, null::varchar as platform,
               null::varchar as account_id, null::varchar as campaign_id,
               null::varchar as message_id, null::varchar as currency,
               null::varchar as properties, null::bigint as value_micros
        from ({chosen})
        """
    )
    past.number("gathered")
    past.con.execute(
        "create or replace temp table askers as select g.*, who.num from gathered g"
        " join who using (creator_id, fan_id)"
    )


def _asked(names: Sequence[str], segments: Mapping[str, Segment]) -> set[str]:
    """Return the fan's fields that segments ask for, themselves or through others."""
    found, seen, open_ = {"tags"}, set(), list(names)
    while open_:
        name = open_.pop()
        if name in seen or name not in segments:
            continue
        seen.add(name)
        condition = parse(segments[name].where)
        found |= {field.removeprefix("fan.").split(".")[0] for field in condition.fields}
        open_ += condition.segments
    return found


def _features(
    names: Sequence[str], segments: Mapping[str, Segment], at: datetime
) -> tuple[Feature, ...]:
    return union(*(selection.select(name, segments, at).features for name in names))


def rows(past: Past) -> list[dict[str, Any]]:
    """Return everybody who was gathered, with their fields, in order of creator, fan and moment."""
    found = past.con.execute(
        "select a.fan_id, a.moment, a.imported, i.hits, fan.* exclude (position, known)"
        " from askers a join fan using (position) join inside i using (position) order by position"
    ).pl()
    return list(found.iter_rows(named=True))
