import json

import pytest

from huntaze_pipeline.api.bodies import MAX_DEPTH, parse
from huntaze_pipeline.api.problems import Refusal


def nested(depth: int) -> bytes:
    return b"[" * depth + b"]" * depth


def test_ordinary_json_is_read_as_it_is() -> None:
    told = {"a": [1, 2.5, None, True], "b": {"c": "é😀"}}

    assert parse(json.dumps(told).encode()) == told


@pytest.mark.parametrize("depth", [MAX_DEPTH + 1, 500, 100_000])
def test_json_that_is_too_deep_is_refused_and_not_a_crash(depth: int) -> None:
    with pytest.raises(Refusal) as caught:
        parse(nested(depth))

    assert caught.value.status_code == 400
    assert "nested deeper" in caught.value.detail


def test_json_at_the_deepest_level_allowed_is_taken() -> None:
    assert parse(nested(MAX_DEPTH - 1)) is not None


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b'{"a": NaN}', "NaN"),
        (b'{"a": -Infinity}', "-Infinity"),
        (b'{"a": 1e999}', "too large"),
        (b'{"a": "\\u0000"}', "NUL"),
        (b'{"\\u0000": 1}', "NUL"),
        (b'{"a": "\\ud800"}', "surrogate"),
        (b'{"a": "\xff"}', "UTF-8"),
    ],
)
def test_what_cannot_be_stored_is_refused_with_the_reason(body: bytes, said: str) -> None:
    with pytest.raises(Refusal) as caught:
        parse(body)

    assert caught.value.status_code == 400
    assert said in caught.value.detail


def test_what_is_no_json_is_told_as_such() -> None:
    with pytest.raises(json.JSONDecodeError):
        parse(b"{]")


def test_a_number_with_too_many_digits_is_refused() -> None:
    with pytest.raises(Refusal):
        parse(b"[" + b"9" * 5000 + b"]")
