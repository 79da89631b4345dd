"""Senders killed at any instant: nothing lost, nothing twice, never over the limit."""

import os
import signal
import time
from contextlib import suppress
from pathlib import Path

import pytest
import scene
from gateway import Gateway
from scene import decide, pointed, sender, spread, states, until
from sqlalchemy import text

from huntaze_pipeline import hashing
from huntaze_pipeline.settings import Settings
from huntaze_pipeline.store.session import Store

ACCOUNTS = [f"acc-{i}" for i in range(4)]
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
wait_s = float(sys.argv[2])
worker.send(settings.load(), Options(
    lease_s=wait_s + 2, timeout_s=wait_s, margin_s=0.2, poll_s=0.05, long_poll_s=1, relay=True,
    sweep_s=3))
"""


@pytest.fixture
def world(store: Store, creator: str) -> list[str]:
    """Four accounts with a short window and a backlog each; return the message ids."""
    scene.accounts(store, *ACCOUNTS, count=COUNT, window_s=WINDOW_S)
    return decide(store, *spread(ACCOUNTS, EACH))


@pytest.mark.slow
@pytest.mark.timeout(400)
@pytest.mark.parametrize("policy", ["resend", "park"])
def test_killed_senders_lose_nothing_and_send_nothing_twice(
    settings: Settings, store: Store, world: list[str], policy: str, tmp_path: Path
) -> None:
    log = tmp_path / "senders.log"
    with Gateway() as gateway:
        there = pointed(settings, gateway)
        for life in range(4):
            with sender(there, PROGRAM, log, policy, "1") as process:
                until(lambda before=len(gateway.arrivals): len(gateway.arrivals) > before + 2)
                time.sleep(0.6 * hashing.fraction("kill", policy, str(life)))
                process.kill()
                process.wait()
        with sender(there, PROGRAM, log, policy, "1"):
            done = {"sent", "unknown"}
            until(lambda: set(states(store).values()) <= done)
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


@pytest.mark.slow
def test_a_terminated_sender_finishes_and_leaves_no_doubt(
    settings: Settings, store: Store, world: list[str], tmp_path: Path
) -> None:
    with Gateway() as gateway:
        with sender(pointed(settings, gateway), PROGRAM, tmp_path / "log", "park", "9") as process:
            until(lambda: len(gateway.arrivals) > 5)
            process.send_signal(signal.SIGTERM)
            assert process.wait(25) == 0
        found = states(store)

    assert set(found.values()) <= {"sent", "queued", "decided"}
    assert {m for m, s in found.items() if s == "sent"} == set(gateway.counts())


@pytest.mark.slow
def test_a_terminated_sender_ends_although_the_database_is_silent(
    settings: Settings, store: Store, world: list[str], tmp_path: Path
) -> None:
    program = PROGRAM.replace("sweep_s=3", "sweep_s=3, drain_s=1")
    with (
        Gateway() as gateway,
        sender(pointed(settings, gateway), program, tmp_path / "log", "park", "9") as process,
    ):
        until(lambda: len(gateway.arrivals) > 5)
        with store.worker() as c:
            others = c.scalars(
                text("""select pid from pg_stat_activity
                    where datname = current_database() and pid <> pg_backend_pid()""")
            ).all()
        try:
            for pid in others:
                os.kill(pid, signal.SIGSTOP)
            process.send_signal(signal.SIGTERM)
            assert process.wait(15) == 0
        finally:
            for pid in others:
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGCONT)
