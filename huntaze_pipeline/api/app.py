"""The HTTP API put together: routes, errors, limits. It holds no rule of its own."""

from fastapi import FastAPI

from huntaze_pipeline.api import (
    automations,
    campaigns,
    events,
    health,
    messages,
    problems,
    unsubscribe,
    webhooks,
)
from huntaze_pipeline.api.bodies import Guard
from huntaze_pipeline.api.documents import DESCRIPTION
from huntaze_pipeline.clock import Clock, system_clock
from huntaze_pipeline.delivery import quotas
from huntaze_pipeline.delivery.sqs import SqsQueue
from huntaze_pipeline.monitoring import circuits, metrics
from huntaze_pipeline.monitoring import health as checks
from huntaze_pipeline.rulebook.policies import load_policies
from huntaze_pipeline.settings import Settings, version
from huntaze_pipeline.store.session import Store
from huntaze_pipeline.warehouse import bots, goals

FRESH_S = 2.0
"""How old the answers of /health and /metrics may be."""


def create(settings: Settings, clock: Clock = system_clock) -> FastAPI:
    """Return the app. Nothing is opened before the first request.

    Args:
        settings: addresses and secrets.
        clock: the time that requests are served at.
    """
    app = FastAPI(
        title="Huntaze",
        version=version(),
        description=DESCRIPTION,
        redoc_url=None,
    )
    app.state.settings, app.state.clock = settings, clock
    app.state.store = Store(settings)
    app.state.goals = goals.declared(settings.rules_dir)
    app.state.bots = bots.load(settings.rules_dir)
    app.state.policies = load_policies(settings.rules_dir)
    app.state.quotas = quotas.ruled(app.state.policies)
    queue = SqsQueue(settings, hurried=True) if settings.sqs_queue else None
    app.state.checks = health.Remembered(lambda: checks.check(settings, queue), FRESH_S)
    app.state.numbers = health.Remembered(lambda: _numbers(app, queue), FRESH_S)
    for room in (campaigns, automations, messages, events, webhooks, unsubscribe, health):
        app.include_router(room.router)
    problems.install(app)
    app.add_middleware(Guard)
    return app


def _numbers(app: FastAPI, queue: SqsQueue | None) -> list[metrics.Sample]:
    until = app.state.clock() - metrics.SETTLE
    return metrics.gather(
        app.state.store,
        since=until - metrics.MINUTE,
        until=until,
        goals=app.state.goals,
        bots=app.state.bots,
        queue=queue,
        open_circuits=circuits.states(app.state.settings, app.state.store),
    )
