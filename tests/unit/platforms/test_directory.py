"""Which platforms open with which settings."""

import pytest

from huntaze_pipeline.delivery.platforms import directory
from huntaze_pipeline.errors import SettingsError
from huntaze_pipeline.settings import load

ALL = {
    "onlyfans_url": "http://127.0.0.1:1", "onlyfans_token": "x", "instagram_token": "x",
    "tiktok_token": "x", "smtp_url": "smtp://127.0.0.1:1",
}  # fmt: skip


def test_all_four_are_described_without_settings() -> None:
    found = directory.capabilities()
    assert set(found) == {"onlyfans", "instagram", "tiktok", "email"}
    assert found["instagram"].reply_window_s == 86_400
    assert [name for name, one in found.items() if one.subject] == ["email"]


def test_what_is_not_configured_is_left_out_and_says_what_to_set() -> None:
    assert set(directory.platforms(load())) == {"email"}
    assert directory.missing(load())["onlyfans"] == "set ONLYFANS_API_URL and ONLYFANS_API_TOKEN"
    assert directory.missing(load(**ALL)) == {}
    assert set(directory.platforms(load(**ALL))) == set(directory.capabilities())


def test_a_value_that_cannot_be_used_is_named() -> None:
    for field, variable in (("smtp_url", "SMTP_URL"), ("tiktok_url", "TIKTOK_API_URL")):
        with pytest.raises(SettingsError, match=variable):
            directory.platforms(load(**{**ALL, field: "ftp://x"}))
