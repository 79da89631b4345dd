"""Carries out a schedule: every fault at its instant, and its end when its time is over."""

import heapq
import time
from collections import Counter
from collections.abc import Callable, Sequence
from functools import partial
from itertools import count

from huntaze_pipeline.local.chaos.clocks import Clocks
from huntaze_pipeline.local.chaos.crew import Crew
from huntaze_pipeline.local.chaos.links import Switchboard
from huntaze_pipeline.local.chaos.points import POINTS
from huntaze_pipeline.local.chaos.schedule import SERVERS, Fault
from huntaze_pipeline.local.chaos.servers import Servers
from huntaze_pipeline.local.chaos.traps import Traps

PAUSE_S = 0.05


class Storm:
    """One storm over workers and their clocks, servers and the links between them."""

    def __init__(
        self, crew: Crew, servers: Servers, board: Switchboard, traps: Traps, clocks: Clocks
    ) -> None:
        self._crew = crew
        self._servers = servers
        self._board = board
        self._traps = traps
        self._clocks = clocks
        self._ends: list[tuple[float, int, Callable[[], None]]] = []
        self._serial = count()
        self._set: set[int] = set()
        self.faults: Counter[str] = Counter()
        self.points: dict[int, int] = {point.number: 0 for point in POINTS}
        """How often a process died at each point."""

    def rage(self, faults: Sequence[Fault], seconds: float, tell: Callable[[float], None]) -> None:
        """Let everything happen, then calm down."""
        began, left = time.monotonic(), list(reversed(faults))
        while (passed := time.monotonic() - began) < seconds:
            while left and left[-1].at_s <= passed:
                self._begin(left.pop())
            while self._ends and self._ends[0][0] <= time.monotonic():
                heapq.heappop(self._ends)[2]()
            self._look()
            self._crew.look()
            tell(seconds - passed)
            time.sleep(PAUSE_S)
        self._calm()

    def _begin(self, fault: Fault) -> None:
        self.faults[fault.kind] += 1
        match fault.kind:
            case "point":
                self._set.add(int(fault.target))
                self._traps.arm(int(fault.target))
            case "empty":
                self._servers.empty()
            case "behind":
                self._servers.behind(fault.lasts_s)
            case "ahead":
                self._clocks.put(fault.target, fault.lasts_s)
                self._end(fault, partial(self._clocks.right, fault.target))
            case "cut" | "hold":
                self._board.change(fault.kind, fault.worker, fault.target)
                self._end(fault, partial(self._board.change, "mend", fault.worker, fault.target))
            case _ if fault.target in SERVERS:
                self._server(fault)
            case "kill":
                self._crew.kill(fault.target)
            case _:
                pid = self._crew.pause(fault.target)
                self._end(fault, partial(self._crew.resume, fault.target, pid))

    def _server(self, fault: Fault) -> None:
        if fault.kind == "kill":
            self._servers.kill(fault.target)
        else:
            self._servers.pause(fault.target)
            self._end(fault, partial(self._servers.resume, fault.target))

    def _end(self, fault: Fault, work: Callable[[], None]) -> None:
        heapq.heappush(self._ends, (time.monotonic() + fault.lasts_s, next(self._serial), work))

    def _look(self) -> None:
        """Count the traps that were reached."""
        for number in self._set - self._traps.waiting():
            self.points[number] += 1
            self._set.discard(number)

    def _calm(self) -> None:
        self._look()
        self._traps.lift()
        while self._ends:
            heapq.heappop(self._ends)[2]()
        self._board.mend()
        self._servers.calm()
