"""A segment as a file: its members with the columns that were asked for."""

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

import polars as pl
from sqlalchemy import Connection, text

from huntaze_pipeline.errors import MessageError, Problem

COLUMNS = (
    "fan_id", "name", "zone", "locale", "birthday", "subscribed_at", "tags", "attributes",
    "entered_at", "onlyfans", "instagram", "tiktok", "email",
)  # fmt: skip
"""What can be exported; a platform's name gives the address there."""
_TYPES = dict.fromkeys(COLUMNS, pl.String) | {
    "birthday": pl.Date,
    "subscribed_at": pl.Datetime("us", "UTC"),
    "entered_at": pl.Datetime("us", "UTC"),
}
_MEMBERS = text(
    """
    select m.fan_id, f.name, f.zone, f.locale, f.birthday, f.subscribed_at, f.tags::text as tags,
           f.attributes::text as attributes, max(m.entered_at) as entered_at,
           max(i.address) filter (where i.platform = 'onlyfans') as onlyfans,
           max(i.address) filter (where i.platform = 'instagram') as instagram,
           max(i.address) filter (where i.platform = 'tiktok') as tiktok,
           max(i.address) filter (where i.platform = 'email') as email
    from members m
    join fans f on f.creator_id = m.creator_id and f.id = m.fan_id
    left join identities i on i.creator_id = f.creator_id and i.fan_id = f.id
    where m.creator_id = :creator and m.segment_id = :segment
      and case when cast(:at as timestamptz) is null then m.left_at is null
               else m.entered_at <= :at and (m.left_at is null or m.left_at > :at) end
    group by m.fan_id, f.creator_id, f.id
    order by m.fan_id
    """
)


def export(
    connection: Connection,
    creator_id: str,
    segment_id: str,
    path: Path,
    columns: Sequence[str] = ("fan_id", "name", "locale", "entered_at"),
    at: datetime | None = None,
) -> int:
    """Write a segment's members to a .csv or .parquet file, whole or not at all; return how many.

    Raises:
        MessageError: a column or the kind of file is unknown.
    """
    unknown = [name for name in columns if name not in COLUMNS]
    known = ", ".join(COLUMNS)
    problems = [Problem(f"columns.{name}", f"is unknown; one of {known}") for name in unknown]
    if path.suffix not in (".csv", ".parquet"):
        problems.append(Problem(str(path), "must end in .csv or .parquet"))
    if problems:
        raise MessageError(problems)
    values = {"creator": creator_id, "segment": segment_id, "at": at}
    rows = [dict(row) for row in connection.execute(_MEMBERS, values).mappings()]
    frame = pl.DataFrame(rows, schema=_TYPES).select(columns)
    half = path.with_name(f".{path.name}.part")
    if path.suffix == ".csv":
        frame.with_columns(pl.col(pl.String).map_elements(_safe, pl.String)).write_csv(half)
    else:
        frame.write_parquet(half)
    half.replace(path)
    return frame.height


def _safe(value: str) -> str:
    """Keep a spreadsheet from running a text as a formula."""
    return f"'{value}" if value[:1] in ("=", "+", "-", "@", "\t", "\r") else value
