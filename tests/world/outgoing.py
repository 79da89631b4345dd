"""Messages that are on their way, as rows, for tests that do not care how they came to be."""

from sqlalchemy import text

from huntaze_pipeline.store.session import Store


def queued(store: Store, creator: str, number: int) -> None:
    """So many queued messages of a campaign to one fan; the id is the number."""
    with store.worker() as connection:
        connection.execute(text(
            "insert into messages (creator_id, id, source, source_id, fan_id, occurrence, platform,"
            " account_id, address, content, state, not_before, idempotency_key, decided_at)"
            f" select '{creator}', n::text, 'campaign', 'c', 'fan-1', n::text, 'email',"
            f" '{creator}-email', 'a', 'Hi', 'queued', now(), n::text, now()"
            f" from generate_series(1, {number}) n"
        ))  # fmt: skip
