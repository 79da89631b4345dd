"""Rows that could not be taken: kept whole with the reason, listed, replayed, dropped."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from duckdb import DuckDBPyConnection
from sqlalchemy import Connection, text

from huntaze_pipeline.events.source import REPLAY, Table
from huntaze_pipeline.sql import identifier, quoted

_ROWS = 10_000


@dataclass(frozen=True, slots=True)
class Held:
    """One row in the quarantine."""

    id: int
    import_id: str
    file: str
    row: int
    field: str
    reason: str
    raw: dict[str, Any]
    state: str


def store(
    connection: Connection,
    con: DuckDBPyConnection,
    table: Table,
    *,
    creator_id: str,
    import_id: str,
    file: str,
) -> None:
    """Put the `_held` rows and the unreadable lines in, instead of this import's open ones."""
    connection.execute(
        text("delete from quarantine where import_id = :id and state = 'open'"), {"id": import_id}
    )
    common = {"creator_id": creator_id, "import_id": import_id, "file": file}
    _insert(
        connection,
        [
            common | {"row": row, "field": "", "reason": reason, "raw": {"_text": raw}}
            for row, reason, raw in table.rejects
        ],
    )
    if not con.execute("select 1 from _held limit 1").fetchone():
        return
    relation = con.execute(
        f"select h._row, h.field, h.reason, {_whole(table)} from _held h"
        f" join {table.sql} _s on _s._row = h._row order by h._row"
    )
    while rows := relation.fetchmany(_ROWS):
        _insert(
            connection,
            [
                common | {"row": row, "field": field, "reason": reason, "raw": json.loads(raw)}
                for row, field, reason, raw in rows
            ],
        )


def listed(
    connection: Connection, *, import_id: str | None = None, state: str = "open", limit: int = 100
) -> list[Held]:
    """Return quarantined rows, oldest first."""
    rows = connection.execute(
        text(
            'select id, import_id, file, "row", field, reason, raw, state from quarantine'
            " where state = :state and (cast(:id as text) is null or import_id = :id)"
            ' order by import_id, "row", id limit :limit'
        ),
        {"state": state, "id": import_id, "limit": limit},
    )
    return [Held(*row) for row in rows]


def close(connection: Connection, ids: Sequence[int], state: str) -> int:
    """Mark open rows as `replayed` or `dropped`; return how many changed."""
    return connection.execute(
        text("update quarantine set state = :state where state = 'open' and id = any(:ids)"),
        {"state": state, "ids": list(ids)},
    ).rowcount


def renew(connection: Connection, reasons: Sequence[tuple[int, str, str]]) -> None:
    """Give open rows that failed again their new field and reason: (id, field, reason)."""
    for row, field, reason in reasons:
        connection.execute(
            text("update quarantine set field = :field, reason = :reason"
                 " where state = 'open' and id = :id"),
            {"id": row, "field": field, "reason": reason},
        )  # fmt: skip


def export(held: Sequence[Held], folder: Path) -> tuple[Path, list[int]]:
    """Write rows as they came in, and where from, for another run with a corrected mapping.

    Returns:
        The file, and the ids of the rows in it: lines that were no rows at all cannot be replayed.
    """
    rows = [row for row in held if "_text" not in row.raw]
    path = folder / f"held{REPLAY}"
    with path.open("w", encoding="utf-8") as stream:
        for row in rows:
            # The id makes each round another file: a second try is never "taken before".
            origin = {"id": row.id, "file": row.file, "row": row.row}
            stream.write(json.dumps(origin | {"raw": row.raw}) + "\n")
    return path, [row.id for row in rows]


def _whole(table: Table) -> str:
    if table.json:
        return "cast(json_object('_line', _s._line) as varchar)"
    pairs = ", ".join(
        f"{quoted(name)}, cast(_s.{identifier(name)} as varchar)" for name in table.columns
    )
    return f"cast(json_object({pairs}) as varchar)"


def _insert(connection: Connection, rows: list[dict[str, Any]]) -> None:
    if not rows:
        return
    document = json.dumps(rows).replace("\\u0000", "\\ufffd")  # jsonb holds no NUL
    connection.execute(
        text(
            'insert into quarantine (creator_id, import_id, file, "row", field, reason, raw)'
            ' select creator_id, import_id, file, "row", field, reason, raw'
            " from jsonb_to_recordset(cast(:rows as jsonb)) as x(creator_id text, import_id text,"
            ' file text, "row" bigint, field text, reason text, raw jsonb)'
        ),
        {"rows": document},
    )
