"""Lists of addresses that must never be written to: a creator's own, and the agency's for all.

Belongs here: reading lists from files, changing and showing them. Bounces and complaints get there
by `delivery.effects`; asking the lists is the gates' and the sender's work.
"""

import csv
import io
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, text

from huntaze_pipeline.errors import Problem, Problems
from huntaze_pipeline.rulebook.fields import nearest
from huntaze_pipeline.store import audit
from huntaze_pipeline.store.address import normal
from huntaze_pipeline.store.people import PLATFORMS

COLUMNS = ("platform", "address", "reason")


@dataclass(frozen=True, slots=True, order=True)
class Entry:
    """One address on a list."""

    platform: str
    address: str
    """As it is compared: trimmed, lower case."""
    reason: str = "by hand"
    created_at: datetime | None = None


def read(path: Path, platform: str | None = None, reason: str | None = None) -> list[Entry]:
    """Read a list: CSV with a header (address, optionally platform and reason), or bare lines.

    Args:
        path: the file, UTF-8.
        platform: of rows that name none.
        reason: of rows that give none.

    Raises:
        Problems: the file cannot be read, or rows of it cannot be used; all of them, with lines.
    """
    try:
        lines = path.read_text("utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise Problems([Problem(str(path), str(error))]) from None
    head = [name.strip().lower() for name in next(csv.reader(lines[:1]), [])]
    named = "address" in head
    if not named:
        head = ["address"]
    problems = [
        Problem(f"{path}:1", f"unknown column {name!r}{nearest(name, list(COLUMNS))}")
        for name in head
        if name not in COLUMNS
    ]
    entries = []
    for number, line in enumerate(lines[named:], 1 + named):
        row = dict(zip(head, next(csv.reader([line]), []), strict=False))
        if not "".join(row.values()).strip():
            continue
        given = row.get("platform", "").strip().lower() or platform or ""
        entry = Entry(given, normal(row.get("address", "")),
                      row.get("reason", "").strip() or reason or "by hand")  # fmt: skip
        problems += [Problem(f"{path}:{number}", what) for what in _faults(entry)]
        entries.append(entry)
    if problems:
        raise Problems(problems)
    return entries


def _faults(entry: Entry) -> list[str]:
    problems = []
    if not entry.platform:
        problems.append(f"names no platform: add a column, or --platform ({', '.join(PLATFORMS)})")
    elif entry.platform not in PLATFORMS:
        problems.append(f"unknown platform {entry.platform!r}{nearest(entry.platform, PLATFORMS)}")
    if not entry.address:
        problems.append("has no address")
    elif len(entry.address) > 320 or any(c.isspace() or not c.isprintable() for c in entry.address):
        problems.append(f"{entry.address!r} is no address")
    return problems


def checked(addresses: Iterable[str], platform: str, reason: str = "by hand") -> list[Entry]:
    """Return entries for addresses that a person typed.

    Raises:
        Problems: some cannot be used; all of them.
    """
    entries = [Entry(platform, normal(address), reason) for address in addresses]
    if problems := [Problem(e.address or "address", what) for e in entries for what in _faults(e)]:
        raise Problems(problems)
    return entries


_TABLES = {True: ("suppressions", "creator_id, ", ":creator, "), False: ("barred", "", "")}


def add(
    connection: Connection,
    creator_id: str | None,
    entries: Sequence[Entry],
    now: datetime,
    actor: str,
) -> int:
    """Put addresses on a list; return how many were not there. What is there keeps its reason.

    Args:
        connection: PostgreSQL; for the agency's list as the machinery.
        creator_id: whose list; None: the agency's, which holds for every creator.
        entries: the addresses.
        now: the moment.
        actor: who does it, for the audit.
    """
    table, column, value = _TABLES[creator_id is not None]
    new = connection.execute(
        text(
            f"insert into {table} ({column}platform, normalised, reason, created_at)"
            f" select {value}platform, address, reason, :now from {_GIVEN}"
            " on conflict do nothing"
        ),
        _values(entries) | {"creator": creator_id, "now": now},
    ).rowcount
    _note(connection, creator_id, actor, "suppressions.add", now, len(entries), new)
    return new


def remove(
    connection: Connection,
    creator_id: str | None,
    entries: Sequence[Entry],
    now: datetime,
    actor: str,
) -> int:
    """Take addresses off a list; return how many were on it. Arguments as in `add`."""
    table, column, _ = _TABLES[creator_id is not None]
    mine = " and t.creator_id = :creator" if column else ""
    gone = connection.execute(
        text(
            f"delete from {table} t using {_GIVEN}"
            f" where t.platform = g.platform and t.normalised = g.address{mine}"
        ),
        _values(entries) | {"creator": creator_id},
    ).rowcount
    _note(connection, creator_id, actor, "suppressions.remove", now, len(entries), gone)
    return gone


def entries(
    connection: Connection, creator_id: str | None, platform: str | None = None
) -> list[Entry]:
    """Return a list, by platform and address."""
    table, column, _ = _TABLES[creator_id is not None]
    mine = " and creator_id = :creator" if column else ""
    rows = connection.execute(
        text(
            f"select platform, normalised, reason, created_at from {table}"
            f" where (cast(:platform as text) is null or platform = :platform){mine}"
            " order by platform, normalised"
        ),
        {"platform": platform, "creator": creator_id},
    )
    return [Entry(*row) for row in rows]


def written(entries: Iterable[Entry]) -> str:
    """Return a list as CSV; reading it gives the same list."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(COLUMNS)
    writer.writerows((entry.platform, entry.address, entry.reason) for entry in entries)
    return out.getvalue()


_GIVEN = """
    unnest(cast(:platforms as text[]), cast(:addresses as text[]), cast(:reasons as text[]))
        as g(platform, address, reason)
"""


def _values(given: Sequence[Entry]) -> dict[str, Any]:
    return {
        "platforms": [entry.platform for entry in given],
        "addresses": [entry.address for entry in given],
        "reasons": [entry.reason for entry in given],
    }


def _note(
    connection: Connection, creator_id: str | None, actor: str, action: str, now: datetime,
    given: int, changed: int,
) -> None:  # fmt: skip
    if changed:
        detail = {"given": given, "changed": changed}
        audit.record(connection, creator_id, actor, action, "suppressions", now, detail)
