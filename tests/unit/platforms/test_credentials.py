"""Tokens: one for all or one an account, and never printed."""

import pytest
from pydantic import SecretStr

from huntaze_pipeline.delivery.platforms.credentials import Credential, Credentials
from huntaze_pipeline.errors import SettingsError


def credentials(text: str) -> Credentials:
    return Credentials("TIKTOK_API_TOKEN", SecretStr(text))


def test_a_bare_token_speaks_for_every_account() -> None:
    assert credentials("abc").of("maya") == Credential("maya", "abc")


def test_each_account_may_have_its_own_token_and_its_own_id_there() -> None:
    found = credentials('{"maya": "t1", "noor": {"user": "1784", "token": "t2"}, "*": "t3"}')
    assert found.of("maya") == Credential("maya", "t1")
    assert found.of("noor") == Credential("1784", "t2")
    assert found.of("other") == Credential("other", "t3")


def test_an_account_that_nobody_named_has_none() -> None:
    assert credentials('{"maya": "t1"}').of("noor") is None


@pytest.mark.parametrize(
    "text",
    [
        '{"maya": s3cret',
        '{"maya": ""}',
        '{"maya": {"user": "s3cret"}}',
        "s3cret é",
        "",
        "s3cret s3cret",
    ],
)
def test_a_bad_value_is_named_but_never_shown(text: str) -> None:
    with pytest.raises(SettingsError, match="TIKTOK_API_TOKEN") as caught:
        credentials(text)
    assert "s3cret" not in str(caught.value)


def test_a_credential_does_not_print_its_token() -> None:
    assert "abc" not in repr(Credential("maya", "abc"))
