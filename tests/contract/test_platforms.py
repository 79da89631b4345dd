"""One suite for all four adapters, against the simulator's own process on real sockets."""

import asyncio
import json
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from pydantic import SecretStr

from huntaze_pipeline.delivery.platforms import directory
from huntaze_pipeline.delivery.platforms.base import Kind, Outcome, Outgoing, Platform
from huntaze_pipeline.errors import ServiceError
from huntaze_pipeline.local.simulator.process import Child, pointed, running
from huntaze_pipeline.settings import Settings, load

NAMES = ("onlyfans", "instagram", "tiktok", "email")
SECRET = "s3cret-token-that-must-not-be-told"


class Simulator:
    """A simulator process and its judge."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.client = httpx.Client()
        self.start()

    def start(self) -> None:
        self.child = Child(self.folder, secret=SecretStr(SECRET))
        self.http, self.smtp = self.child.addresses.http, self.child.addresses.smtp
        self.behave({})

    def stop(self, *, kill: bool = False) -> None:
        self.child.stop(kill=kill)

    def get(self, path: str) -> dict[str, Any]:
        return self.client.get(self.http + path).raise_for_status().json()

    def post(self, path: str, body: dict[str, Any]) -> httpx.Response:
        return self.client.post(self.http + path, json=body)

    def behave(self, patch: dict[str, Any]) -> None:
        """Set every platform's conduct from scratch."""
        neutral = {
            "limit": {"count": 10, "window_s": 60, "ban": True}, "strict": None,
            "faults": {
                "median_s": 0, "tail_share": 0, "limited": 0, "error": 0, "reset": 0,
                "reset_accepted": 0, "silent_accepted": 0,
            },
            "recipients": {"invalid": [], "blocked": [], "closed": []},
        }  # fmt: skip
        self.post("/judge/settings", {"platforms": {"*": neutral}}).raise_for_status()
        self.post("/judge/settings", {"platforms": {"*": patch}}).raise_for_status()

    def settings(self, **more: Any) -> Settings:
        return load(
            onlyfans_url=f"{self.http}/onlyfans", onlyfans_token=SECRET,
            instagram_url=f"{self.http}/instagram", instagram_token=SECRET,
            tiktok_url=f"{self.http}/tiktok", tiktok_token=SECRET, smtp_url=self.smtp,
            webhook_secret=SECRET, **more,
        )  # fmt: skip


@pytest.fixture(scope="module")
def process(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Simulator]:
    simulator = Simulator(tmp_path_factory.mktemp("simulator"))
    yield simulator
    simulator.stop()
    simulator.client.close()


@pytest.fixture
def simulator(process: Simulator) -> Simulator:
    process.behave({})
    process.post("/judge/reset", {}).raise_for_status()
    return process


def message(name: str, number: int = 1, **changes: Any) -> Outgoing:
    fields = {
        "message_id": f"{name}-message-{number}", "account_id": f"maya-{name}",
        "address": "fan@example.org" if name == "email" else "fan-1",
        "subject": "A subject" if name == "email" else None, "content": f"Hello number {number}",
        "idempotency_key": f"{name}-key-{number}",
    }  # fmt: skip
    return Outgoing(**{**fields, **changes})


def call(
    simulator: Simulator, name: str, *steps: tuple[str, Outgoing], timeout_s: float = 5
) -> list[Outcome]:
    """Make calls with one adapter, one after the other."""

    async def run() -> list[Outcome]:
        adapter: Platform = directory.platforms(simulator.settings())[name]
        try:
            return [await getattr(adapter, verb)(m, timeout_s=timeout_s) for verb, m in steps]
        finally:
            await adapter.close()

    return asyncio.run(run())


def send(simulator: Simulator, name: str, timeout_s: float = 5, **changes: Any) -> Outcome:
    return call(simulator, name, ("send", message(name, **changes)), timeout_s=timeout_s)[0]


each = pytest.mark.parametrize("name", NAMES)


@each
def test_a_message_is_sent_and_the_judge_saw_exactly_it(simulator: Simulator, name: str) -> None:
    outcome = send(simulator, name)
    assert outcome.kind is Kind.SENT
    assert outcome.platform_ref
    line = json.loads((simulator.folder / "arrivals.jsonl").read_text())
    told = {key: line[key] for key in ("platform", "account", "message_id", "verdict", "ref")}
    assert told == {
        "platform": name, "account": f"maya-{name}", "message_id": f"{name}-message-1",
        "verdict": "accepted", "ref": outcome.platform_ref,
    }  # fmt: skip
    assert line["recipient"] == message(name).address


@each
def test_the_same_key_twice_is_one_message_where_keys_are_honoured(
    simulator: Simulator, name: str
) -> None:
    first, second = call(simulator, name, ("send", message(name)), ("send", message(name)))
    assert first.kind is second.kind is Kind.SENT
    summary = simulator.get("/judge/summary")
    honours = directory.capabilities()[name].honours_idempotency
    assert summary["duplicates"] == (0 if honours else 1)
    assert (first.platform_ref == second.platform_ref) is honours


@each
def test_too_fast_is_limited_and_says_how_long_to_wait(simulator: Simulator, name: str) -> None:
    simulator.behave({"faults": {"limited": 1, "retry_after_s": 7.5}})
    outcome = send(simulator, name)
    assert outcome.kind is Kind.LIMITED
    assert outcome.retry_after_s == 7.5


@each
def test_a_narrower_window_than_promised_is_limited_not_failed(
    simulator: Simulator, name: str
) -> None:
    simulator.behave({"strict": {"count": 2, "window_s": 60}})
    steps = [("send", message(name, number)) for number in range(3)]
    outcomes = call(simulator, name, *steps)
    assert [outcome.kind for outcome in outcomes] == [Kind.SENT, Kind.SENT, Kind.LIMITED]
    assert 0 < (outcomes[2].retry_after_s or 0) <= 60


@each
def test_a_failing_platform_means_try_again(simulator: Simulator, name: str) -> None:
    simulator.behave({"faults": {"error": 1}})
    assert send(simulator, name).kind is Kind.RETRY
    assert simulator.get("/judge/summary")["accepted"] == 0


@each
@pytest.mark.parametrize("fault", ["reset", "reset_accepted"])
def test_a_reset_after_the_request_leaves_the_message_unknown(
    simulator: Simulator, name: str, fault: str
) -> None:
    simulator.behave({"faults": {fault: 1}})
    assert send(simulator, name).kind is Kind.UNKNOWN
    assert simulator.get("/judge/summary")["accepted"] == (fault == "reset_accepted")


@each
def test_a_lost_answer_is_unknown_and_the_time_out_bounds_the_call(
    simulator: Simulator, name: str
) -> None:
    simulator.behave({"faults": {"silent_accepted": 1}})
    began = asyncio.run(_clock())
    outcome = send(simulator, name, timeout_s=0.3)
    assert asyncio.run(_clock()) - began < 2
    assert outcome.kind is Kind.UNKNOWN
    assert simulator.get("/judge/summary")["accepted"] == 1


async def _clock() -> float:
    return asyncio.get_running_loop().time()


@each
@pytest.mark.parametrize("why", ["invalid", "blocked"])
def test_a_bad_recipient_is_refused_for_good(simulator: Simulator, name: str, why: str) -> None:
    simulator.behave({"recipients": {why: [message(name).address]}})
    outcome = send(simulator, name)
    assert outcome.kind is Kind.REFUSED
    assert outcome.detail


@each
def test_a_banned_account_is_refused_and_stays_banned(simulator: Simulator, name: str) -> None:
    simulator.behave({"limit": {"count": 2}})
    outcomes = call(simulator, name, *[("send", message(name, n)) for n in range(4)])
    assert [o.kind for o in outcomes] == [Kind.SENT, Kind.SENT, Kind.REFUSED, Kind.REFUSED]
    summary = simulator.get("/judge/summary")
    assert (summary["bans"], summary["max_in_any_window"], summary["refused"]) == (1, 4, 2)


@each
def test_after_a_lost_answer_a_look_up_tells_what_the_platform_can_tell(
    simulator: Simulator, name: str
) -> None:
    simulator.behave({"faults": {"silent_accepted": 1}})
    sent, found = call(
        simulator, name, ("send", message(name)), ("look_up", message(name)), timeout_s=0.5
    )
    assert sent.kind is Kind.UNKNOWN
    knows = directory.capabilities()[name].unknown != "park"
    assert found.kind is (Kind.SENT if knows else Kind.UNKNOWN)


@each
def test_a_look_up_of_what_never_came_is_a_retry_only_where_absence_is_proof(
    simulator: Simulator, name: str
) -> None:
    (found,) = call(simulator, name, ("look_up", message(name)))
    assert found.kind is (Kind.RETRY if name == "onlyfans" else Kind.UNKNOWN)


@each
def test_a_platform_that_does_not_listen_means_try_again(name: str) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        port = closed.getsockname()[1]
        nobody = Simulator.__new__(Simulator)
        nobody.http, nobody.smtp = f"http://127.0.0.1:{port}", f"smtp://127.0.0.1:{port}"
        assert send(nobody, name).kind is Kind.RETRY
        (found,) = call(nobody, name, ("look_up", message(name)))
        assert found.kind is Kind.UNKNOWN


@each
def test_many_messages_at_once_share_the_connections(simulator: Simulator, name: str) -> None:
    async def run() -> list[Outcome]:
        adapter = directory.platforms(simulator.settings())[name]
        messages = [message(name, n, account_id=f"{name}-{n % 20}") for n in range(100)]
        outcomes = await asyncio.gather(*[adapter.send(m, timeout_s=20) for m in messages])
        await adapter.close()
        return list(outcomes)

    outcomes = asyncio.run(run())
    assert {outcome.kind for outcome in outcomes} == {Kind.SENT}
    assert len({outcome.platform_ref for outcome in outcomes}) == 100
    assert simulator.get("/judge/summary")["max_in_any_window"] == 5


@each
def test_nothing_that_an_adapter_says_holds_the_secret(simulator: Simulator, name: str) -> None:
    simulator.behave({"recipients": {"invalid": ["fan-1", "fan@example.org"]}})
    adapter = directory.platforms(simulator.settings())[name]
    assert SECRET not in repr(send(simulator, name))
    assert SECRET not in repr(vars(adapter))


@pytest.mark.slow
def test_bans_duplicates_and_windows_survive_a_killed_simulator(tmp_path: Path) -> None:
    simulator = Simulator(tmp_path / "state")
    try:
        simulator.behave({"limit": {"count": 2}})
        call(simulator, "instagram", *[("send", message("instagram", n)) for n in range(3)])
        send(simulator, "tiktok")
        before = simulator.get("/judge/summary")
        simulator.stop(kill=True)
        simulator.start()
        assert simulator.get("/judge/summary") == before
        assert send(simulator, "instagram", number=9).kind is Kind.REFUSED
        send(simulator, "tiktok")
        assert simulator.get("/judge/summary")["duplicates"] == 1
    finally:
        simulator.stop()
        simulator.client.close()


def test_two_simulators_never_write_the_same_journal(simulator: Simulator) -> None:
    with pytest.raises(ServiceError, match="written by another simulator"):
        Child(simulator.folder)


@pytest.mark.slow
def test_a_simulator_ends_with_the_program_that_started_it(tmp_path: Path) -> None:
    script = (
        "import sys, pathlib\nfrom huntaze_pipeline.local.simulator.process import Child\n"
        "child = Child(pathlib.Path(sys.argv[1]))\nprint(child.addresses.http, flush=True)\n"
        "import os; os._exit(1)"
    )
    parent = subprocess.run(
        [sys.executable, "-c", script, tmp_path / "state"], capture_output=True, text=True,
        timeout=30, check=False,
    )  # fmt: skip
    address, deadline = parent.stdout.strip(), time.monotonic() + 10
    while time.monotonic() < deadline:
        try:
            httpx.get(f"{address}/health")
        except httpx.ConnectError:
            return
        time.sleep(0.05)
    pytest.fail("the simulator outlived its parent")


def test_settings_pointed_at_a_simulator_open_every_platform(tmp_path: Path) -> None:
    with running(tmp_path / "state", behaviour={"seed": "mine"}) as addresses:
        settings = pointed(load(), addresses)
        assert directory.missing(settings) == {}
        told = httpx.get(f"{addresses.http}/judge/settings").json()
        assert told["seed"] == "mine"
