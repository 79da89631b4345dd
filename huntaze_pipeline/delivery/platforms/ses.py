"""Letters through Amazon SES, when no SMTP server is set. Blocking, and run in threads.

SES honours no idempotency key and cannot be asked about a message, so boto's own retries are off.
"""

import threading
import time
from typing import Any

from huntaze_pipeline.delivery.platforms.base import Kind, Outcome
from huntaze_pipeline.delivery.platforms.letter import Letter
from huntaze_pipeline.delivery.platforms.wire import AMBIGUOUS, words

_LIMITED = frozenset(
    {"TooManyRequestsException", "Throttling", "ThrottlingException", "LimitExceededException"}
)
_LONGEST_S = 60


class Ses:
    """One region's SES."""

    def __init__(self, region: str, endpoint_url: str | None) -> None:
        self._region = region
        self._endpoint_url = endpoint_url
        self._lock = threading.Lock()
        self._client: Any = None

    def send(self, letter: Letter, deadline: float) -> Outcome:
        """Send one letter; the caller bounds the wait."""
        from botocore.exceptions import (
            BotoCoreError,
            ClientError,
            ConnectTimeoutError,
            EndpointConnectionError,
            HTTPClientError,
        )

        if deadline <= time.monotonic():
            return Outcome(Kind.RETRY, detail="time-out before the letter was written")
        try:
            answer = self._open().send_email(
                FromEmailAddress=letter.sender, Content={"Raw": {"Data": letter.content}},
                Destination={"ToAddresses": [letter.recipient]},
            )  # fmt: skip
        except ClientError as error:
            return _told(error.response)
        except (EndpointConnectionError, ConnectTimeoutError) as error:
            return Outcome(Kind.RETRY, detail=f"{type(error).__name__} before it was written")
        except HTTPClientError as error:
            return Outcome(Kind.UNKNOWN, detail=f"{type(error).__name__} after it was written")
        except BotoCoreError as error:
            return Outcome(Kind.RETRY, detail=words(error))
        return Outcome(Kind.SENT, answer.get("MessageId"), 200)

    def close(self) -> None:
        """Release connections."""
        with self._lock:
            client, self._client = self._client, None
        if client is not None:
            client.close()

    def _open(self) -> Any:
        with self._lock:
            if self._client is None:
                self._client = _client(self._region, self._endpoint_url)
            return self._client


def _client(region: str, endpoint_url: str | None) -> Any:
    import boto3
    from botocore.config import Config

    config = Config(
        retries={"total_max_attempts": 1}, connect_timeout=5, read_timeout=_LONGEST_S,
        max_pool_connections=32,
    )  # fmt: skip
    return boto3.client("sesv2", region_name=region, endpoint_url=endpoint_url, config=config)


def _told(response: Any) -> Outcome:
    """Say what SES's refusal means."""
    error, status = response.get("Error", {}), response["ResponseMetadata"]["HTTPStatusCode"]
    code = error.get("Code", "")
    detail = words(f"{code} {error.get('Message', '')}")
    if code in _LIMITED or status == 429:
        return Outcome(Kind.LIMITED, None, status, None, detail)
    if status in AMBIGUOUS:
        return Outcome(Kind.UNKNOWN, None, status, None, detail)
    return Outcome(Kind.RETRY if status >= 500 else Kind.REFUSED, None, status, None, detail)
