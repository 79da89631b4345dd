"""Policies as they were: noted with each release that changed them, read back for the past.

The live system goes by the file; an apply notes what it says. Before the first note nothing is
kept, and today's file stands in.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, text

from huntaze_pipeline import hashing
from huntaze_pipeline.rulebook.policies import Policies, PolicyFile

KIND = "policies"
_NOTED = text(
    """
    select r.applied_at, c.change ->> 'after' as hash, c.change -> 'body' as body
    from releases r cross join lateral jsonb_array_elements(r.changes) as c(change)
    where r.creator_id = :creator and c.change ->> 'kind' = :kind
    order by r.applied_at, r.id
    """
)


@dataclass(frozen=True)
class Rulings:
    """The policies of one creator, in the order in which they came into force."""

    noted: Sequence[tuple[datetime, Policies]]
    today: Policies
    """Those of the file: they stand in for what was before the first note."""

    def at(self, moment: datetime) -> Policies:
        """Return the policies in force at a moment."""
        began = [policies for at, policies in self.noted if at <= moment]
        return began[-1] if began else self.today


def change(connection: Connection, creator: str, policies: Policies) -> dict[str, Any] | None:
    """Return what a release notes of policies; None when the last note says the same."""
    last = noted(connection, creator)
    body = policies.file.plain()
    before, after = last.hash if last else None, hashing.content(body)
    if before == after:
        return None
    action = "change" if last else "create"
    return {
        "kind": KIND, "id": KIND, "action": action, "before": before, "after": after, "body": body,
    }  # fmt: skip


@dataclass(frozen=True)
class Note:
    """What the last release said of policies."""

    hash: str
    body: dict[str, Any]


def noted(connection: Connection, creator: str) -> Note | None:
    """Return the last note of a creator's policies."""
    rows = connection.execute(_NOTED, {"creator": creator, "kind": KIND}).all()
    return Note(rows[-1].hash, rows[-1].body) if rows else None


def of(connection: Connection, creator: str, today: Policies) -> Rulings:
    """Return the policies that releases have noted for a creator.

    Args:
        connection: PostgreSQL.
        creator: its id.
        today: those of the file.
    """
    rows = connection.execute(_NOTED, {"creator": creator, "kind": KIND})
    noted = [(row.applied_at, Policies(PolicyFile.model_validate(row.body))) for row in rows]
    return Rulings(noted, today)
