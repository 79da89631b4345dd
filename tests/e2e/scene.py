"""What most stories of sending begin with: accounts, decided messages, and senders of their own."""

import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from gateway import Gateway
from pydantic import SecretStr
from sqlalchemy import text

from huntaze_pipeline.delivery import outbox
from huntaze_pipeline.delivery.outbox import Recorded
from huntaze_pipeline.local import stack
from huntaze_pipeline.rulebook.decision import Decision
from huntaze_pipeline.settings import Settings
from huntaze_pipeline.store.session import Store


def accounts(store: Store, *names: str, count: int, window_s: int) -> None:
    """Open accounts of maya's on OnlyFans with a limit of their own."""
    with store.worker() as c:
        c.execute(
            text("""insert into accounts
                (creator_id, id, platform, handle, limit_count, limit_window_s)
                values ('maya', :id, 'onlyfans', :id, :count, :window)"""),
            [{"id": name, "count": count, "window": window_s} for name in names],
        )


def decision(**changes: Any) -> Decision:
    """A message to a fan of maya's, due now."""
    now = datetime.now(UTC)
    made = Decision(
        creator_id="maya", source="api", source_id="x", rule_hash="h", fan_id="fan-1",
        platform="onlyfans", account_id="maya-onlyfans", address="fan-1", content="Hi",
        not_before=now, decided_at=now,
    )  # fmt: skip
    return replace(made, **changes)


def spread(names: Sequence[str], each: int, **changes: Any) -> list[Decision]:
    """So many messages for each of the accounts, in turn."""
    first = decision(**changes)
    return [
        replace(first, account_id=names[i % len(names)], occurrence=str(i))
        for i in range(len(names) * each)
    ]


def record(store: Store, *decisions: Decision) -> Recorded:
    """Write decisions to the outbox."""
    with store.worker() as c:
        return outbox.record(c, decisions)


def look(store: Store, query: str) -> Any:
    """The one row of a query, as the machinery sees it."""
    with store.worker() as c:
        return c.execute(text(query)).one()


def run(store: Store, statement: str) -> None:
    """Change something behind everybody's back."""
    with store.worker() as c:
        c.execute(text(statement))


def decide(store: Store, *decisions: Decision) -> list[str]:
    """Record decisions; return their messages' ids."""
    record(store, *decisions)
    return [made.message_id for made in decisions]


def states(store: Store) -> dict[str, str]:
    """The state of every message, by its id."""
    with store.worker() as c:
        return {row.id: row.state for row in c.execute(text("select id, state from messages"))}


def pointed(settings: Settings, gateway: Gateway) -> Settings:
    """Settings of a sender whose platform is the gateway."""
    return settings.model_copy(
        update={"onlyfans_url": gateway.url, "onlyfans_token": SecretStr("token")}
    )


@contextmanager
def sender(
    settings: Settings, program: str, log: Path, *words: str
) -> Iterator[subprocess.Popen[bytes]]:
    """A sender in a process of its own, ended as an operator ends it if it still runs."""
    on = settings.model_copy(update={"limiter_enabled": True, "rollout_percentage": 50})
    with log.open("ab") as out:
        process = subprocess.Popen(
            [sys.executable, "-c", program, *words],
            env=stack.environment(on),
            stdout=out,
            stderr=out,
        )
    try:
        yield process
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
            process.wait(25)


def until(ready: Callable[[], bool], seconds: float = 90) -> None:
    """Wait for something that comes by itself."""
    deadline = time.monotonic() + seconds
    while not ready():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.02)
