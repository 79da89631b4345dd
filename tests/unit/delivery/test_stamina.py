"""What a sender's threads still do when it ends."""

import asyncio
import threading
from typing import cast

from huntaze_pipeline.delivery.outfit import Parts
from huntaze_pipeline.delivery.stamina import Stamina

NO_PARTS = cast(Parts, None)


def test_work_that_was_given_up_has_ended_before_connections_are_closed() -> None:
    begun, go, ended = threading.Event(), threading.Event(), threading.Event()

    def work() -> None:
        begun.set()
        go.wait(10)
        ended.set()
        raise ZeroDivisionError

    async def end() -> None:
        stamina = Stamina(NO_PARTS, 1, 1.0)
        task = asyncio.create_task(stamina.run(work))
        await asyncio.to_thread(begun.wait, 10)
        task.cancel()
        asyncio.get_running_loop().call_later(0.05, go.set)
        await stamina.close()
        assert ended.is_set()

    asyncio.run(end())


def test_nobody_waits_for_work_that_only_listens() -> None:
    begun, go = threading.Event(), threading.Event()

    def listen() -> None:
        begun.set()
        go.wait(10)

    async def end() -> None:
        stamina = Stamina(NO_PARTS, 1, 1.0)
        task = asyncio.create_task(stamina.listen(listen))
        await asyncio.to_thread(begun.wait, 10)
        task.cancel()
        await stamina.close()
        assert not go.is_set()

    try:
        asyncio.run(end())
    finally:
        go.set()
