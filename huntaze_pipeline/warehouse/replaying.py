"""Live events out of the quarantine: read from the inbox again, corrected, sifted, appended.

The inbox keeps what was sent for ever; a correction changes the copy that goes to the lake. A crash
after the lake's commit is completed by a second replay: the events are known by then.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb
from duckdb import DuckDBPyConnection

from huntaze_pipeline.errors import ImportFileError, Problem
from huntaze_pipeline.events import arrival, quarantine
from huntaze_pipeline.events.sifting import INBOX
from huntaze_pipeline.quality import sieve, suite
from huntaze_pipeline.quality.suite import Suite
from huntaze_pipeline.sql import quoted
from huntaze_pipeline.store.session import Store
from huntaze_pipeline.warehouse import lake, pull

FIELDS = (
    "event_id", "name", "fan_id", "platform", "account_id", "campaign_id", "message_id",
    "value_micros", "currency", "occurred_at", "properties",
)  # fmt: skip
"""What may be corrected; never the creator."""
_ALL = 10_000_000


@dataclass(frozen=True, slots=True)
class Replayed:
    """What became of the rows."""

    new: int
    known: int
    held: int
    """Rows that fail again; they stay in the quarantine with the new reason."""


def corrections(path: Path) -> dict[int, dict[str, Any]]:
    """Read corrected rows, in the form of `huntaze quarantine list --json`: raw values by id.

    Raises:
        ImportFileError: the file cannot be read or holds no such rows.
    """
    try:
        rows = json.loads(path.read_text(encoding="utf-8"))
        return {int(row["id"]): dict(row["raw"]) for row in rows}
    except (OSError, ValueError, TypeError, KeyError) as error:
        what = f"is no list of rows with id and raw: {error}"
        raise ImportFileError([Problem(str(path), what)]) from None


def inbox(
    store: Store,
    con: DuckDBPyConnection,
    creator_id: str,
    *,
    ids: Sequence[int] | None = None,
    changes: Mapping[str, Any] | None = None,
    corrected: Mapping[int, Mapping[str, Any]] | None = None,
    given: Suite | None = None,
) -> Replayed:
    """Try a creator's open inbox rows again.

    Args:
        store: PostgreSQL.
        con: a connection with the lake.
        creator_id: whose rows; no others can be reached.
        ids: the quarantine's ids of the rows; None: all that are open.
        changes: field: value for every row.
        corrected: the same for single rows, by the quarantine's id; a listed row carries more
            than may be corrected, and that is passed over.
        given: the suite; default: the one that is in force.

    Raises:
        ImportFileError: a field cannot be corrected, or a value is not of its type.
    """
    _allowed(list(changes or {}))
    asked = (given or suite.active("events")).resolved({})
    with arrival.turn(store):
        with store.tenant(creator_id) as connection:
            rows = quarantine.listed(connection, import_id=INBOX, limit=_ALL)
        chosen = None if ids is None else set(ids)
        wanted = {r.row: r for r in rows if chosen is None or r.id in chosen}
        if not wanted:
            return Replayed(0, 0, 0)
        edits = {
            row: {**(changes or {}), **_given((corrected or {}).get(held.id, {}))}
            for row, held in wanted.items()
        }
        added, failed = lake.write(con, lambda: _again(con, asked, edits))
    again = {row for row, _, _ in failed}
    with store.tenant(creator_id) as connection:
        passed = [held.id for row, held in wanted.items() if row not in again]
        quarantine.close(connection, passed, "replayed")
        quarantine.renew(connection, [(wanted[row].id, f, why) for row, f, why in failed])
    return Replayed(added, len(passed) - added, len(failed))


def _given(row: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in row.items() if name in FIELDS}


def _allowed(names: Sequence[str]) -> None:
    """Refuse what cannot be corrected."""
    odd = [name for name in names if name not in FIELDS]
    if odd:
        known = ", ".join(FIELDS)
        raise ImportFileError([Problem(n, f"cannot be corrected; one of {known}") for n in odd])


def _again(
    con: DuckDBPyConnection, asked: Suite, edits: Mapping[int, Mapping[str, Any]]
) -> tuple[int, list[tuple[int, str, str]]]:
    """Read, correct, sift and append; return how many are new, and what failed: row, field, why."""
    listed = ", ".join(str(row) for row in edits)
    pull.fetch(con, f"i.id in ({listed})", len(edits))
    kinds = {str(r[0]): str(r[1]) for r in con.execute("describe pulled").fetchall()}
    for row, changes in edits.items():
        if changes:
            _correct(con, row, changes, kinds)
    sieve.broken(con, "pulled", asked, "id")
    failed = con.execute(f"select key, field, reason from {sieve.BROKEN} order by key").fetchall()
    con.execute(f"delete from pulled where id in (select key from {sieve.BROKEN})")
    con.execute(  # a replay that died after its commit is repeated
        "delete from pulled using lake.raw.events e"
        " where e.creator_id = pulled.creator_id and e.event_id = pulled.event_id"
    )
    return pull.append(con), [(int(row), str(f), str(why)) for row, f, why in failed]


def _correct(
    con: DuckDBPyConnection, row: int, changes: Mapping[str, Any], kinds: Mapping[str, str]
) -> None:
    sets = []
    for name, value in changes.items():
        told = json.dumps(value) if isinstance(value, dict | list) else value
        literal = "null" if told is None or told == "" else quoted(str(told))
        sets.append(f"{name} = cast({literal} as {kinds[name]})")
    try:
        con.execute(f"update pulled set {', '.join(sets)} where id = {row}")
    except duckdb.ConversionException as error:
        reason = str(error).strip().splitlines()[0]
        raise ImportFileError([Problem(f"row {row}", reason)]) from None
