"""Routes for machines: is the process alive, can it serve, and its numbers for Prometheus."""

import threading
import time
from collections.abc import Callable
from typing import Generic, TypeVar

from fastapi import APIRouter, Request, Response
from pydantic import BaseModel

from huntaze_pipeline.monitoring import health, prometheus
from huntaze_pipeline.settings import version

router = APIRouter(tags=["machines"])
T = TypeVar("T")


class Dependency(BaseModel):
    """One server."""

    ok: bool
    detail: str
    milliseconds: float


class Health(BaseModel):
    """The API and the servers that it needs."""

    status: str
    """ok | degraded (it works, with less) | down"""
    version: str
    dependencies: dict[str, Dependency]


class Alive(BaseModel):
    """The process answers."""

    status: str = "ok"
    version: str


class Remembered(Generic[T]):
    """A value that costs something to find, kept for a moment; one caller finds it for all."""

    def __init__(self, find: Callable[[], T], seconds: float) -> None:
        self.find, self.seconds = find, seconds
        self._lock = threading.Lock()
        self._until, self._value = 0.0, None

    def __call__(self) -> T:
        """Return the value, at most so many seconds old."""
        with self._lock:
            if self._value is None or time.monotonic() >= self._until:
                self._value = self.find()
                self._until = time.monotonic() + self.seconds
            return self._value


@router.get("/health", summary="Can requests be served?")
@router.get("/health/ready", summary="Can requests be served?", include_in_schema=False)
def ready(request: Request, response: Response) -> Health:
    """Ask every server; 503 without PostgreSQL, `degraded` when only sending is slowed down."""
    checks = request.app.state.checks()
    response.status_code = 200 if health.ready(checks) else 503
    dependencies = {
        name: Dependency(ok=c.ok, detail=c.detail, milliseconds=c.milliseconds)
        for name, c in checks.items()
    }
    return Health(status=health.status(checks), version=version(), dependencies=dependencies)


@router.get("/health/live", summary="Is the process alive?")
def alive() -> Alive:
    """Answer without asking any server."""
    return Alive(version=version())


@router.get("/metrics", summary="Numbers for Prometheus", response_class=Response)
def numbers(request: Request) -> Response:
    """Return the whole installation's numbers as text; no creator's or campaign's name is in it."""
    text = prometheus.render(request.app.state.numbers())
    return Response(text, media_type=prometheus.MEDIA)
