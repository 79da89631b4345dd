"""What live decided beside what was decided again, field by field.

Both are told as they were when they were decided: what delivery has made of a message since is no
difference. Why two differ is `causes`'.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from huntaze_pipeline import hashing
from huntaze_pipeline.rehearsal import meaning
from huntaze_pipeline.rulebook.decision import Decision

FIELDS = (
    "fan_id", "source_id", "rule_hash", "step", "occurrence", "platform", "account_id", "address",
    "content", "subject", "template_id", "variant_id", "followed_variant_id", "priority", "topic",
    "state", "reason", "earliest_at", "not_before", "expires_at", "decided_at",
)  # fmt: skip
"""What is compared."""
COLUMNS = ", ".join(f"m.{name}" for name in ("id", "source", "ended_at", *FIELDS))
"""What is read of messages m for it."""
Row = Mapping[str, Any]


@dataclass(frozen=True)
class Pairs:
    """Decisions of a period, by message id."""

    theirs: Mapping[str, Row]
    """Live's rows, with `COLUMNS`."""
    mine: Mapping[str, Decision]

    def both(self) -> Iterator[tuple[str, Row | None, Decision | None]]:
        """Yield every id with what is there of it, in order."""
        for name in sorted(self.theirs.keys() | self.mine.keys()):
            yield name, self.theirs.get(name), self.mine.get(name)

    def told(self) -> list[dict[str, Any]]:
        """Return what live decided."""
        return [_told(row, self.mine.get(name)) | {"id": name} for name, row in self.theirs.items()]

    def said(self) -> list[dict[str, Any]]:
        """Return what was decided again."""
        return [
            _said(decision, self.theirs.get(name)) | {"id": name}
            for name, decision in self.mine.items()
        ]


def differing(there: Row, here: Decision) -> dict[str, tuple[Any, Any]]:
    """Return the fields in which two decisions on one message differ: live's and the other."""
    live, again = _told(there, here), _said(here, there)
    return {name: (live[name], again[name]) for name in FIELDS if live[name] != again[name]}


def waited(row: Row) -> bool:
    """Say whether a campaign's message waits for a winner, or waited until it ended without one.

    Only such a row names no template.
    """
    return row["source"] == "campaign" and row["template_id"] is None and not meaning.skipped(row)


def digest(rows: list[dict[str, Any]]) -> str:
    """Return the content hash of decisions, in order of id."""
    ordered = sorted(rows, key=lambda row: row["id"])
    return hashing.content([json.loads(json.dumps(row, default=_plain)) for row in ordered])


def _plain(value: Any) -> Any:
    return value.astimezone(UTC).isoformat() if isinstance(value, datetime) else str(value)


def _told(row: Row, here: Decision | None) -> dict[str, Any]:
    """A decision as it was made, read from a row that delivery has moved on since."""
    found = {name: row[name] for name in FIELDS}
    if not meaning.skipped(row):
        found |= {"state": "held" if waited(row) else "decided", "reason": None}
    return found | _moved(row, here)


def _said(decision: Decision, there: Row | None) -> dict[str, Any]:
    found = {name: getattr(decision, name) for name in FIELDS}
    if decision.state != "skipped":
        found["reason"] = None
    return found | (_moved(there, decision) if there else {})


def _moved(row: Row, here: Decision | None) -> dict[str, Any]:
    """What delivery has given a meaning of its own, a pause for one; it only puts messages off.

    A gate's hold still shows in `earliest_at`.
    """
    if meaning.skipped(row):
        return {}
    later = here is not None and row["not_before"] > here.not_before
    kept = row["state"] in ("held", "decided", "queued") and not later
    return {} if kept else {"not_before": None}
