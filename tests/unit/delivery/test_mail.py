"""What an SQS event's records hold, each read by itself."""

from typing import Any

import pytest

from huntaze_pipeline.delivery.invocation import sorted_out
from huntaze_pipeline.delivery.limiter import Parcel
from huntaze_pipeline.delivery.queue import encode

NOTE = Parcel("maya", "m1", "acc", "high", 1)
GOOD = {"messageId": "good", "body": encode([NOTE])}


@pytest.mark.parametrize("body", ["", "{}", "null", "[" * 100_000, None, 5, {"account": "a"}],
                         ids=lambda body: str(body)[:20])  # fmt: skip
def test_a_body_that_is_no_note_fails_its_own_record_only(body: object) -> None:
    mail = sorted_out([{"messageId": "strange", "body": body}, GOOD])

    assert (mail.parcels, mail.readable, mail.strange) == ([NOTE], ["good"], ["strange"])


def test_a_record_without_a_body_fails_by_itself() -> None:
    assert sorted_out([{"messageId": "strange"}, GOOD]).strange == ["strange"]


@pytest.mark.parametrize("record", [None, {}, {"messageId": None}, [], "text"])
def test_what_has_no_id_is_left_out(record: Any) -> None:
    mail = sorted_out([record, GOOD])

    assert (mail.readable, mail.strange) == (["good"], [])
