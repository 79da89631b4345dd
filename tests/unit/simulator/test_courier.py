"""Receipts reach the webhook signed, at least once, and in order, however it misbehaves."""

import asyncio
import hashlib
import hmac
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from huntaze_pipeline.clock import system_clock
from huntaze_pipeline.local.simulator.behaviour import Behaviour
from huntaze_pipeline.local.simulator.courier import Courier
from huntaze_pipeline.local.simulator.desk import Desk
from huntaze_pipeline.local.simulator.verdict import Arrival
from huntaze_pipeline.local.simulator.wire import Connection, Reply, Request

SECRET = b"secret"
ALL = {
    "deliver": 1, "open": 1, "click": 1, "buy": 1, "reply": 0, "unsubscribe": 0,
    "delays": {"deliver": 0, "open": 0, "click": 0, "buy": 0},
}  # fmt: skip


class Hook:
    """A webhook that answers by a list of statuses, then 200."""

    def __init__(self, *statuses: int) -> None:
        self.statuses = list(statuses)
        self.seen: list[Request] = []
        self.taken: list[dict[str, Any]] = []

    def __call__(self, request: Request) -> Reply:
        self.seen.append(request)
        status = self.statuses.pop(0) if self.statuses else 200
        if status == 200:
            self.taken += json.loads(request.body)["receipts"]
        return Reply(status, {})


def posted(folder: Path, hook: Hook, done: Callable[[Hook], bool], count: int = 3) -> None:
    """Let a desk take messages and its courier post until `done`, ten seconds at most."""

    async def run() -> None:
        loop = asyncio.get_running_loop()
        server = await loop.create_server(lambda: Connection(hook, set()), "127.0.0.1", 0)
        url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/webhooks/receipts"
        behaviour = Behaviour().changed({"receipts": {**ALL, "webhook": url, "batch": 2}})
        desk = Desk(folder, behaviour, system_clock)
        for number in range(count):
            desk.receive(Arrival("email", "maya", "fan", f"m{number}", None, "hello"))
        courier = asyncio.create_task(Courier(desk, SECRET).run())
        async with asyncio.timeout(10):
            while not done(hook):
                await asyncio.sleep(0.01)
        await asyncio.sleep(0.05)
        courier.cancel()
        await asyncio.gather(courier, return_exceptions=True)
        server.close()
        desk.close()

    asyncio.run(run())


def ids(hook: Hook) -> list[str]:
    return [receipt["id"] for receipt in hook.taken]


def test_every_post_is_signed_over_its_raw_body(tmp_path: Path) -> None:
    hook = Hook()
    posted(tmp_path, hook, lambda found: len(found.taken) >= 12)
    for request in hook.seen:
        expected = hmac.new(SECRET, request.body, hashlib.sha256).hexdigest()
        assert request.headers["x-huntaze-signature"] == f"sha256={expected}"
        assert request.path == "/webhooks/receipts"


def test_every_receipt_comes_once_when_the_webhook_is_well(tmp_path: Path) -> None:
    hook = Hook()
    posted(tmp_path, hook, lambda found: len(found.taken) >= 12)
    assert len(ids(hook)) == len(set(ids(hook))) == 12


def test_a_webhook_that_refuses_gets_the_same_receipts_again(tmp_path: Path) -> None:
    hook = Hook(500, 401)
    posted(tmp_path, hook, lambda found: len(found.taken) >= 12)
    bodies = [request.body for request in hook.seen]
    assert bodies[0] == bodies[1] == bodies[2]
    assert len(set(ids(hook))) == 12


def test_of_one_message_the_order_is_kept(tmp_path: Path) -> None:
    hook = Hook(500)
    posted(tmp_path, hook, lambda found: len(found.taken) >= 12)
    kinds = [receipt["kind"] for receipt in hook.taken if receipt["message_id"] == "m1"]
    assert kinds == ["delivered", "opened", "clicked", "bought"]


def test_a_new_process_posts_what_the_old_one_could_not(tmp_path: Path) -> None:
    dead = Hook(*[503] * 50)
    posted(tmp_path, dead, lambda found: bool(found.seen))
    alive = Hook()
    posted(tmp_path, alive, lambda found: len(found.taken) >= 12, count=0)
    assert dead.taken == []
    assert len(set(ids(alive))) == 12
