"""What machines ask: health, degraded or down, and numbers without names."""

import socket

import pytest
from caller import Client
from pydantic import SecretStr

from huntaze_pipeline.api import app
from huntaze_pipeline.clock import FixedClock
from huntaze_pipeline.settings import Settings


def test_health_names_every_server(maya: Client) -> None:
    told = maya.get("/health").json()

    assert told["status"] == "ok", told
    assert set(told["dependencies"]) == {"postgres", "redis", "sqs"}


def test_without_redis_the_service_is_degraded_and_still_serves(
    settings: Settings, clock: FixedClock
) -> None:
    away = settings.model_copy(update={"redis_url": SecretStr("redis://:pw@127.0.0.1:1/0")})

    response = Client(app.create(away, clock), None).get("/health")

    assert (response.status_code, response.json()["status"]) == (200, "degraded")
    assert "pw" not in response.text


def test_without_postgres_nothing_can_be_served_and_nothing_is_given_away(
    settings: Settings, clock: FixedClock
) -> None:
    address = SecretStr("postgresql://someone:pw@127.0.0.1:1/x")
    client = Client(app.create(settings.model_copy(update={"database_url": address}), clock), "k")

    health, call = client.get("/health"), client.get("/api/campaigns")

    assert (health.status_code, call.status_code) == (503, 503)
    assert client.get("/health/live").status_code == 200
    assert not any(word in health.text + call.text for word in ("pw", "someone", "127.0.0.1"))


@pytest.mark.slow
def test_a_silent_postgres_is_given_up(settings: Settings, clock: FixedClock) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = SecretStr(f"postgresql://x:pw@127.0.0.1:{silent.getsockname()[1]}/x")
        away = settings.model_copy(update={"database_url": address})
        told = Client(app.create(away, clock), None).get("/health")

    assert told.status_code == 503
    assert told.json()["dependencies"]["postgres"]["milliseconds"] < 9_000


def test_prometheus_reads_numbers_without_any_creators_name(maya: Client, busy: str) -> None:
    maya.post(f"/api/campaigns/{busy}/start")

    response = maya.get("/metrics")

    assert response.headers["content-type"].startswith("text/plain; version=0.0.4")
    assert "huntaze_campaigns_active 1" in response.text
    assert "huntaze_revenue_generated 12.5" in response.text
    assert "maya" not in response.text
    assert busy not in response.text
