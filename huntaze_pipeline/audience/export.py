"""A segment as a file: its members with the columns that were asked for, here or on S3.

Profiles and addresses come from PostgreSQL, facts from the lake, as of the last `models build`.
"""

import os
from collections.abc import Callable, Sequence
from datetime import datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import polars as pl
from duckdb import DuckDBPyConnection
from sqlalchemy import Connection

from huntaze_pipeline.errors import MessageError, Problem, WarehouseError
from huntaze_pipeline.sql import quoted

PROFILE: dict[str, tuple[str, Any]] = {
    "fan_id": ("m.fan_id", pl.String),
    "name": ("f.name", pl.String),
    "zone": ("f.zone", pl.String),
    "locale": ("f.locale", pl.String),
    "birthday": ("f.birthday", pl.Date),
    "subscribed_at": ("f.subscribed_at", pl.Datetime("us", "UTC")),
    "tags": ("f.tags::text", pl.String),
    "attributes": ("f.attributes::text", pl.String),
    "entered_at": ("m.entered_at", pl.Datetime("us", "UTC")),
    **{
        platform: (
            "(select max(i.address) from identities i where i.creator_id = m.creator_id"
            f" and i.fan_id = m.fan_id and i.platform = '{platform}')",
            pl.String,
        )
        for platform in ("onlyfans", "instagram", "tiktok", "email")
    },
}
"""What PostgreSQL knows of a member; a platform's name gives the address there."""
FACTS = (
    "lifetime_spend", "purchases", "tips", "first_purchase_at", "last_purchase_at",
    "last_active_at", "unsubscribed_at", "messages_received", "messages_opened",
    "messages_clicked", "last_opened_at", "last_clicked_at",
)  # fmt: skip
"""What the lake knows."""
COLUMNS = (*PROFILE, *FACTS)
_MEMBERS = """
    copy (
        select {columns} from members m
        join fans f on f.creator_id = m.creator_id and f.id = m.fan_id
        where m.creator_id = %(creator)s and m.segment_id = %(segment)s
          and case when %(at)s::timestamptz is null then m.left_at is null
                   else m.entered_at <= %(at)s and (m.left_at is null or m.left_at > %(at)s) end
        order by m.fan_id, m.entered_at
    ) to stdout (format csv)
"""


def export(
    connection: Connection,
    creator_id: str,
    segment_id: str,
    target: str | Path,
    columns: Sequence[str] = ("fan_id", "name", "locale", "entered_at"),
    at: datetime | None = None,
    *,
    lake: DuckDBPyConnection | None = None,
    endpoint_url: str | None = None,
) -> int:
    """Write a segment's members to a .csv, .parquet or .jsonl file, whole or not at all.

    Args:
        connection: PostgreSQL.
        creator_id: whose segment.
        segment_id: which.
        target: a path, or `s3://bucket/key`.
        columns: any of `COLUMNS`.
        at: the moment of the membership; None is now. Columns are always as of now.
        lake: needed for facts.
        endpoint_url: of S3, when it is not Amazon's.

    Returns:
        How many fans were written.

    Raises:
        MessageError: a column or the kind of file is unknown; all of them are named.
        WarehouseError: it cannot be written there.
    """
    write = _checked(str(target), columns)
    frame = _members(connection, creator_id, segment_id, columns, at)
    wanted = [name for name in columns if name in FACTS]
    if wanted:
        frame = frame.join(_facts(lake, creator_id, wanted), on="fan_id", how="left")
    _deliver(frame.select(columns), write, str(target), endpoint_url)
    return frame.height


def _checked(target: str, columns: Sequence[str]) -> Callable[[pl.DataFrame, Path], object]:
    known = ", ".join(COLUMNS)
    problems = [
        Problem(f"columns.{name}", f"is unknown; one of {known}")
        for name in columns
        if name not in COLUMNS
    ]
    if len(set(columns)) < len(columns) or not columns:
        problems.append(Problem("columns", "names at least one column, and each once"))
    suffix = Path(target).suffix
    if suffix not in _WRITERS:
        problems.append(Problem(target, f"must end in {', '.join(_WRITERS)}"))
    if problems:
        raise MessageError(problems)
    return _WRITERS[suffix]


def _members(
    connection: Connection,
    creator_id: str,
    segment_id: str,
    columns: Sequence[str],
    at: datetime | None,
) -> pl.DataFrame:
    """Read members by COPY, a fan once: of two stays at the same moment the later one."""
    names = list(dict.fromkeys(("fan_id", *(name for name in columns if name in PROFILE))))
    kinds: dict[Any, Any] = {name: PROFILE[name][1] for name in names}
    texts = [_text(*PROFILE[name]) for name in names]
    raw: Any = connection.connection.driver_connection
    values = {"creator": creator_id, "segment": segment_id, "at": at}
    query = _MEMBERS.format(columns=", ".join(texts))
    with raw.cursor() as cursor, cursor.copy(query, values) as copy:
        data = b"".join(bytes(block) for block in copy)
    if not data:
        return pl.DataFrame(schema=kinds)
    read = {n: pl.Int64 if isinstance(kind, pl.Datetime) else kind for n, kind in kinds.items()}
    frame = pl.read_csv(data, has_header=False, schema=read)
    return frame.cast(kinds).unique("fan_id", keep="last", maintain_order=True)


def _text(sql: str, kind: Any) -> str:
    """Times come as microseconds since 1970, so that no session's settings change them."""
    if isinstance(kind, pl.Datetime):
        return f"(extract(epoch from {sql}) * 1000000)::bigint"
    return sql


def _facts(lake: DuckDBPyConnection | None, creator_id: str, names: Sequence[str]) -> pl.DataFrame:
    if lake is None:
        raise WarehouseError(f"{', '.join(names)}: facts need the lake")
    query = f"select fan_id, {', '.join(names)} from lake.marts.fan_facts where creator_id ="
    return lake.execute(f"{query} {quoted(creator_id)}").pl()


def _deliver(
    frame: pl.DataFrame,
    write: Callable[[pl.DataFrame, Path], object],
    target: str,
    endpoint_url: str | None,
) -> None:
    if target.startswith("s3://"):
        with TemporaryDirectory(prefix="huntaze-export-") as folder:
            path = Path(folder) / "segment"
            write(frame, path)
            _upload(path, target, endpoint_url)
        return
    path = Path(target).expanduser()
    half = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        write(frame, half)
        half.replace(path)
    except OSError as error:
        raise WarehouseError(f"cannot write {path}: {error.strerror or error}") from None
    finally:
        half.unlink(missing_ok=True)


def _upload(path: Path, target: str, endpoint_url: str | None) -> None:
    import boto3
    from boto3.exceptions import S3UploadFailedError
    from botocore.exceptions import BotoCoreError, ClientError

    bucket, _, key = target.removeprefix("s3://").partition("/")
    if not bucket or not key:
        raise WarehouseError(f"{target}: write s3://bucket/key")
    try:
        boto3.client("s3", endpoint_url=endpoint_url).upload_file(str(path), bucket, key)
    except (BotoCoreError, ClientError, S3UploadFailedError) as error:
        raise WarehouseError(f"cannot write {target}: {error}") from None


def _csv(frame: pl.DataFrame, path: Path) -> None:
    frame.with_columns(pl.col(pl.String).map_elements(_safe, pl.String)).write_csv(path)


def _safe(value: str) -> str:
    """Keep a spreadsheet from running a text as a formula."""
    return f"'{value}" if value[:1] in ("=", "+", "-", "@", "\t", "\r") else value


_WRITERS: dict[str, Callable[[pl.DataFrame, Path], object]] = {
    ".csv": _csv,
    ".parquet": lambda frame, path: frame.write_parquet(path),
    ".jsonl": lambda frame, path: frame.write_ndjson(path),
}
