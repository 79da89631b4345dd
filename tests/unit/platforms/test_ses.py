"""SES answers, from boto's own stub of its wire."""

import time

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import EndpointConnectionError, ReadTimeoutError
from botocore.stub import Stubber

from huntaze_pipeline.delivery.platforms.base import Kind, Outcome
from huntaze_pipeline.delivery.platforms.letter import Letter
from huntaze_pipeline.delivery.platforms.ses import Ses

LETTER = Letter("maya@creators.example", "fan@example.org", b"Subject: x\r\n\r\nhi\r\n")


class Stubbed(Ses):
    """SES whose client never leaves the process."""

    def __init__(self) -> None:
        super().__init__("us-east-1", None)
        self.client = boto3.client(
            "sesv2", region_name="us-east-1", aws_access_key_id="x", aws_secret_access_key="x",
            config=Config(retries={"total_max_attempts": 1}),
        )  # fmt: skip
        self.stub = Stubber(self.client)

    def _open(self):
        return self.client

    def answer(self) -> Outcome:
        with self.stub:
            return self.send(LETTER, time.monotonic() + 5)


def test_a_letter_goes_as_its_own_bytes_and_comes_back_with_an_id() -> None:
    ses = Stubbed()
    ses.stub.add_response(
        "send_email", {"MessageId": "ses-1"},
        {"FromEmailAddress": LETTER.sender, "Destination": {"ToAddresses": [LETTER.recipient]},
         "Content": {"Raw": {"Data": LETTER.content}}},
    )  # fmt: skip
    assert ses.answer() == Outcome(Kind.SENT, "ses-1", 200)


@pytest.mark.parametrize(
    ("code", "status", "kind"),
    [
        ("TooManyRequestsException", 429, Kind.LIMITED),
        ("ThrottlingException", 400, Kind.LIMITED),
        ("MessageRejected", 400, Kind.REFUSED),
        ("AccountSuspendedException", 400, Kind.REFUSED),
        ("InternalFailure", 500, Kind.RETRY),
        ("ServiceUnavailable", 503, Kind.RETRY),
        ("502", 502, Kind.UNKNOWN),
        ("504", 504, Kind.UNKNOWN),
    ],
)
def test_what_a_refusal_means(code: str, status: int, kind: Kind) -> None:
    ses = Stubbed()
    ses.stub.add_client_error("send_email", code, "words", http_status_code=status)
    outcome = ses.answer()
    assert (outcome.kind, outcome.status_code) == (kind, status)


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (EndpointConnectionError(endpoint_url="http://x"), Kind.RETRY),
        (ReadTimeoutError(endpoint_url="http://x"), Kind.UNKNOWN),
    ],
)
def test_what_a_broken_line_means(error: Exception, kind: Kind) -> None:
    ses = Stubbed()

    def fail(**given: object) -> None:
        raise error

    ses.client.send_email = fail
    assert ses.send(LETTER, time.monotonic() + 5).kind is kind


def test_a_letter_whose_time_is_over_never_leaves() -> None:
    assert Stubbed().send(LETTER, time.monotonic() - 1).kind is Kind.RETRY
