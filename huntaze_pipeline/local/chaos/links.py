"""The wires between workers and servers: local sockets that can be cut or held, each by itself.

Every worker reaches every server through a socket of its own, so one may be cut off while the
others are not. Not here: what the bytes mean.
"""

import asyncio
import threading
from collections.abc import Callable, Iterable
from contextlib import suppress

from huntaze_pipeline.local import ports

_CHUNK = 65_536


class Link:
    """One worker's way to one server."""

    def __init__(self, target: Callable[[], int]) -> None:
        self._target = target
        self._pairs: set[tuple[asyncio.StreamWriter, asyncio.StreamWriter]] = set()
        self._flows = asyncio.Event()
        self._flows.set()
        self._cut = False
        self._server: asyncio.Server | None = None
        self.port = 0

    async def open(self) -> None:
        """Listen on a free port."""
        self._server = await asyncio.start_server(self._serve, ports.LOOPBACK, 0)
        self.port = self._server.sockets[0].getsockname()[1]

    def close(self) -> None:
        """Listen no more, and drop what is connected."""
        if self._server is not None:
            self._server.close()
        self.drop()

    def cut(self) -> None:
        """Drop what is connected and refuse what comes."""
        self._cut = True
        self.drop()

    def hold(self) -> None:
        """Keep connections, and carry nothing."""
        self._flows.clear()

    def mend(self) -> None:
        """Carry again; what was held arrives now."""
        self._cut = False
        self._flows.set()

    def drop(self) -> None:
        """Reset all connections."""
        for pair in tuple(self._pairs):
            for end in pair:
                end.transport.abort()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await self._flows.wait()
        try:
            if self._cut:
                return
            there = await asyncio.open_connection(ports.LOOPBACK, self._target())
        except OSError:
            return
        else:
            await self._carry((reader, writer), there)
        finally:
            writer.transport.abort()

    async def _carry(
        self,
        here: tuple[asyncio.StreamReader, asyncio.StreamWriter],
        there: tuple[asyncio.StreamReader, asyncio.StreamWriter],
    ) -> None:
        pair = (here[1], there[1])
        self._pairs.add(pair)
        ways = [self._pump(here[0], there[1]), self._pump(there[0], here[1])]
        tasks = [asyncio.create_task(way) for way in ways]
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            self._pairs.discard(pair)
            there[1].transport.abort()

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            while data := await reader.read(_CHUNK):
                await self._flows.wait()
                writer.write(data)
                await writer.drain()


class Switchboard:
    """All links, in a thread of their own."""

    def __init__(self, targets: dict[str, Callable[[], int]], workers: Iterable[str]) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, name="links", daemon=True)
        self._thread.start()
        self._links = {
            (worker, server): Link(target)
            for worker in workers
            for server, target in targets.items()
        }
        for link in self._links.values():
            asyncio.run_coroutine_threadsafe(link.open(), self._loop).result(10)

    def port(self, worker: str, server: str) -> int:
        """Return where this worker finds this server."""
        return self._links[worker, server].port

    def change(self, kind: str, worker: str, server: str) -> None:
        """Cut, hold or mend a worker's link to a server; ``*`` for everybody's."""
        for (name, where), link in self._links.items():
            if where == server and worker in (name, "*"):
                self._loop.call_soon_threadsafe(getattr(link, kind))

    def mend(self) -> None:
        """Mend all."""
        for link in self._links.values():
            self._loop.call_soon_threadsafe(link.mend)

    def close(self) -> None:
        """End all connections and the thread."""
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(5)

    def _run(self) -> None:
        """Serve until stopped, then leave nothing open."""
        self._loop.run_forever()
        self._loop.run_until_complete(self._end())
        self._loop.close()

    async def _end(self) -> None:
        for link in self._links.values():
            link.close()
        tasks = asyncio.all_tasks() - {asyncio.current_task()}
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await asyncio.sleep(0)  # sockets close a step later
