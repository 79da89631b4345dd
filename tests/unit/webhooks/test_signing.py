"""Signatures and waits of outgoing requests."""

import base64
import hashlib
import hmac
from datetime import UTC, datetime, timedelta

import pytest

from huntaze_pipeline.webhooks import courier, signing


def test_a_receiver_can_check_a_request_with_the_shared_secret_alone():
    shared = signing.secret(b"master", "maya")
    at = datetime(2026, 3, 2, 12, tzinfo=UTC)
    sent = signing.headers(shared, "e1", at, b"{}")
    key = base64.b64decode(shared.removeprefix("whsec_"))
    wanted = hmac.digest(key, f"e1.{sent['webhook-timestamp']}.{{}}".encode(), hashlib.sha256)
    assert sent["webhook-signature"] == "v1," + base64.b64encode(wanted).decode()
    assert signing.secret(b"master", "ana") != shared


def test_the_signature_is_the_one_of_the_published_example():
    # https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md
    at = datetime.fromtimestamp(1614265330, UTC)
    made = signing.headers(
        "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "msg_p5jXN8AQM9LWM0D4loKWxJek", at,
        b'{"test": 2432232314}',
    )  # fmt: skip
    assert made["webhook-signature"] == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


@pytest.mark.parametrize("number", [1, 4, 8])
def test_waits_grow_are_spread_and_can_be_told_again(number):
    waits = [courier.backoff(f"e{n}", number) for n in range(200)]
    bound = min(courier.LONGEST, courier.FIRST * 4 ** (number - 1))
    assert all(timedelta(seconds=1) <= wait <= bound for wait in waits)
    assert max(waits) > bound * 0.9
    assert min(waits) < bound * 0.1
    assert waits == [courier.backoff(f"e{n}", number) for n in range(200)]


def test_a_server_that_asks_for_time_gets_it_within_reason():
    assert courier.backoff("e", 1, 600) == timedelta(minutes=10)
    assert courier.backoff("e", 1, 10**9) == courier.LONGEST
