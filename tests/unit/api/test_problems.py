import json
import logging

import pytest
from sqlalchemy.exc import OperationalError, ProgrammingError

from huntaze_pipeline.api.problems import MEDIA, answer
from huntaze_pipeline.errors import (
    ConflictError,
    MessageError,
    NotFoundError,
    Problem,
    StoreError,
)


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (NotFoundError("no campaign x"), 404),
        (ConflictError("it is paused"), 409),
        (MessageError([Problem("content", "is empty")]), 422),
        (StoreError("cannot connect to 10.0.0.1 as root"), 503),
        (ZeroDivisionError("secret"), 500),
    ],
)
def test_each_error_has_its_status_and_is_a_problem_document(error: Exception, status: int) -> None:
    response = answer(error, "/api/x")
    body = json.loads(bytes(response.body))

    assert response.status_code == body["status"] == status
    assert response.media_type == MEDIA
    assert body["instance"] == "/api/x"
    assert {"type", "title", "detail"} <= set(body)


def test_every_fault_is_in_the_document_with_its_field() -> None:
    error = MessageError([Problem("content", "is empty"), Problem("priority", "is unknown")])

    body = json.loads(bytes(answer(error, "/").body))

    assert body["errors"] == [
        {"field": "content", "detail": "is empty"},
        {"field": "priority", "detail": "is unknown"},
    ]


def test_addresses_and_statements_stay_out_of_the_answer_and_out_of_the_log(
    caplog: pytest.LogCaptureFixture,
) -> None:
    error = ProgrammingError("insert into x", {"content": "hunter2"}, Exception("hunter2"))

    with caplog.at_level(logging.ERROR):
        body = bytes(answer(error, "/").body).decode()

    assert "hunter2" not in body
    assert "hunter2" not in caplog.text
    assert "ProgrammingError" in caplog.text


def test_a_fault_of_ours_carries_a_reference_that_is_in_the_log(
    caplog: pytest.LogCaptureFixture,
) -> None:
    body = json.loads(bytes(answer(KeyError("x"), "/").body))

    reference = body["detail"].rpartition("reference ")[2].rstrip(")")
    assert reference
    assert reference in caplog.text


def test_a_server_that_is_away_asks_to_try_again() -> None:
    response = answer(OperationalError("select", {}, Exception("gone")), "/")

    assert response.status_code == 503
    assert response.headers["retry-after"] == "5"
