"""How PostgreSQL goes about the statements that every batch asks: by key, never through a table."""

import json
from datetime import UTC, datetime

import outgoing
from sqlalchemy import text

from huntaze_pipeline.delivery import intents, results
from huntaze_pipeline.events import inbox
from huntaze_pipeline.store.session import Store

NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)


def test_the_messages_of_a_batch_are_found_without_reading_all(store: Store, creator: str) -> None:
    outgoing.queued(store, creator, 9_000)
    rows = json.dumps([{"creator_id": creator, "id": str(n), "handle": ""} for n in range(10)])
    asked = {"asked": rows, "rows": "[]", "now": NOON, "worker": "w", "lease": 1, "books": False}
    with store.worker() as connection:
        for statement in (inbox._COMPLETE, intents._CLAIM, results._COMMIT):
            plan = connection.execute(text(f"explain {statement.text}"), asked).scalars().all()
            reads = [line for line in plan if " on messages" in line and "Update" not in line]
            assert reads
            assert all("pk_messages" in line for line in reads), plan
