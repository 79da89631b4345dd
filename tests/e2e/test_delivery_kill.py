"""Senders killed at any instant: nothing lost, nothing twice, never over the limit."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from gateway import Gateway
from sqlalchemy import text

from huntaze_pipeline import hashing
from huntaze_pipeline.delivery import outbox
from huntaze_pipeline.rulebook.decision import Decision
from huntaze_pipeline.settings import Settings
from huntaze_pipeline.store.session import Store

ACCOUNTS = 4
EACH = 50
COUNT, WINDOW_S = 10, 2
PROGRAM = """
import sys
from dataclasses import replace
from huntaze_pipeline import settings
from huntaze_pipeline.delivery import worker
from huntaze_pipeline.delivery.outfit import Options
from huntaze_pipeline.delivery.platforms import onlyfans
if sys.argv[1] == "park":
    onlyfans.OnlyFans.capabilities = replace(
        onlyfans.CAPABILITIES, honours_idempotency=False, unknown="park")
worker.send(settings.load(), Options(
    lease_s=3, timeout_s=1, margin_s=0.2, poll_s=0.05, long_poll_s=1, relay=True, sweep_s=3))
"""


@pytest.fixture
def world(settings: Settings, store: Store, creator: str) -> list[str]:
    """Four accounts with a short window and a backlog each; return the message ids."""
    now = datetime.now(UTC)
    with store.worker() as c:
        for i in range(ACCOUNTS):
            c.execute(
                text("""insert into accounts
                    (creator_id, id, platform, handle, limit_count, limit_window_s)
                    values ('maya', :id, 'onlyfans', :id, :n, :w)"""),
                {"id": f"acc-{i}", "n": COUNT, "w": WINDOW_S},
            )
        first = Decision(
            creator_id="maya", source="api", source_id="x", rule_hash="h", fan_id="fan-1",
            platform="onlyfans", account_id="acc-0", address="fan-1", content="Hi",
            not_before=now, decided_at=now,
        )  # fmt: skip
        made = [
            replace(first, account_id=f"acc-{i % ACCOUNTS}", occurrence=str(i))
            for i in range(ACCOUNTS * EACH)
        ]
        outbox.record(c, made)
    return [d.message_id for d in made]


@contextmanager
def sender(
    settings: Settings, gateway: Gateway, policy: str, log: Path
) -> Iterator[subprocess.Popen[bytes]]:
    assert settings.database_url is not None
    assert settings.redis_url is not None
    env = {
        "PATH": os.environ["PATH"],
        "HUNTAZE_HOME": str(settings.home),
        "DATABASE_URL": settings.database_url.get_secret_value(),
        "REDIS_URL": settings.redis_url.get_secret_value(),
        "SQS_RATE_LIMITER_QUEUE": settings.sqs_queue or "",
        "AWS_ENDPOINT_URL": settings.aws_endpoint_url or "",
        "RATE_LIMITER_ENABLED": "true",
        "RATE_LIMITER_ROLLOUT_PERCENTAGE": "50",
        "ONLYFANS_API_URL": gateway.url,
        "ONLYFANS_API_TOKEN": "token",
    }
    with log.open("ab") as out:
        process = subprocess.Popen(
            [sys.executable, "-c", PROGRAM, policy], env=env, stdout=out, stderr=out
        )
    try:
        yield process
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
            process.wait(25)


def states(store: Store) -> dict[str, str]:
    with store.worker() as c:
        return {row.id: row.state for row in c.execute(text("select id, state from messages"))}


@pytest.mark.slow
@pytest.mark.timeout(400)
@pytest.mark.parametrize("policy", ["resend", "park"])
def test_killed_senders_lose_nothing_and_send_nothing_twice(
    settings: Settings, store: Store, world: list[str], policy: str, tmp_path: Path
) -> None:
    log = tmp_path / "senders.log"
    with Gateway() as gateway:
        for life in range(4):
            with sender(settings, gateway, policy, log) as process:
                _wait(lambda before=len(gateway.arrivals): len(gateway.arrivals) > before + 2)
                time.sleep(0.6 * hashing.fraction("kill", policy, str(life)))
                process.kill()
                process.wait()
        with sender(settings, gateway, policy, log):
            done = {"sent", "unknown"}
            _wait(lambda: set(states(store).values()) <= done)
        counts, worst = gateway.counts(), gateway.worst(WINDOW_S)

    found = states(store)
    assert worst <= COUNT
    assert set(counts) | {m for m, s in found.items() if s == "unknown"} == set(world)
    if policy == "resend":
        assert set(found.values()) == {"sent"}
    else:
        assert max(counts.values()) == 1
        assert all(counts[m] == 1 for m, state in found.items() if state == "sent")
    with store.worker() as c:
        names = c.execute(text("select name, count(*) from inbox group by name")).all()
    assert dict(row for row in map(tuple, names)) == {"sent": list(found.values()).count("sent")}


def test_a_terminated_sender_finishes_and_leaves_no_doubt(
    settings: Settings, store: Store, world: list[str], tmp_path: Path
) -> None:
    with Gateway() as gateway:
        with sender(settings, gateway, "park", tmp_path / "log") as process:
            _wait(lambda: len(gateway.arrivals) > 5)
            process.send_signal(signal.SIGTERM)
            assert process.wait(25) == 0
        found = states(store)

    assert set(found.values()) <= {"sent", "queued", "decided"}
    assert {m for m, s in found.items() if s == "sent"} == set(gateway.counts())


def _wait(ready: object, seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not ready():  # type: ignore[operator]
        assert time.monotonic() < deadline, "nothing happened for too long"
        time.sleep(0.02)
