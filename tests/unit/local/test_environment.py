"""What children of the stack are told."""

import os

import pytest
from pydantic import SecretStr

from huntaze_pipeline.local import programs, stack
from huntaze_pipeline.settings import Settings, load


def test_a_child_sees_the_same_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    ready = load(
        HUNTAZE_HOME="/somewhere", DATABASE_URL="postgresql://a:b@c/d", RATE_LIMITER_ENABLED=True,
        AWS_ENDPOINT_URL="http://127.0.0.1:1", SMTP_URL="smtp://x:y@z", HUNTAZE_API_PORT=9,
    )  # fmt: skip
    for name, value in stack.environment(ready).items():
        monkeypatch.setenv(name, value)
    assert load() == ready


def test_local_services_get_credentials_and_real_ones_stay(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_ACCESS_KEY_ID", raising=False)
    local = load(AWS_ENDPOINT_URL="http://127.0.0.1:1")
    assert stack.environment(local)["AWS_ACCESS_KEY_ID"] == stack.DUMMY
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "mine")
    assert stack.environment(local)["AWS_ACCESS_KEY_ID"] == "mine"


def test_real_services_get_no_made_up_credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_ACCESS_KEY_ID", raising=False)
    assert "AWS_ACCESS_KEY_ID" not in stack.environment(load(SQS_RATE_LIMITER_QUEUE="queue"))
    assert "AWS_ACCESS_KEY_ID" not in os.environ


@pytest.mark.parametrize(
    ("given", "lacking"),
    [
        ({}, {"postgres", "redis", "sqs"}),
        ({"DATABASE_URL": "postgresql://x"}, {"redis", "sqs"}),
        ({"SQS_RATE_LIMITER_QUEUE": "q"}, {"postgres", "redis"}),
        ({"AWS_ENDPOINT_URL": "http://localhost:4566"}, {"postgres", "redis"}),
    ],
)
def test_what_is_named_is_not_embedded(given: dict[str, str], lacking: set[str]) -> None:
    assert stack.lacking(load(**given)) == lacking


def test_one_real_platform_rules_the_simulator_out() -> None:
    assert programs.simulated(load())
    assert not programs.simulated(load(SMTP_URL="smtp://mail.example.com"))


def test_simulated_platforms_are_all_on_this_machine() -> None:
    ready = programs.with_simulator(load(), 8500, 8525)
    urls = [getattr(ready, name) for name in programs.PLATFORMS]
    texts = [url.get_secret_value() if isinstance(url, SecretStr) else url for url in urls]
    assert all("//127.0.0.1:" in text for text in texts)
    assert isinstance(ready, Settings)
