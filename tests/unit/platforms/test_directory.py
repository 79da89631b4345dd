"""Which platforms open with which settings."""

from pathlib import Path
from typing import Any

import pytest

from huntaze_pipeline.delivery.platforms import directory
from huntaze_pipeline.delivery.platforms.smtp import server
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


@pytest.mark.parametrize(
    ("set_", "domain", "link"),
    [
        ({}, "creators.example", "http://127.0.0.1:8400/unsubscribe/m?token="),
        ({"api_host": "::1", "api_port": 9}, "creators.example", "http://[::1]:9/unsubscribe/m?"),
        (
            {"public_url": "https://h.example.com/mail/", "sender_domain": "h.example.com"},
            "h.example.com",
            "https://h.example.com/mail/unsubscribe/m?token=",
        ),
    ],
)
def test_links_and_senders_of_letters_come_from_the_settings(
    set_: dict[str, Any], domain: str, link: str
) -> None:
    head = directory.letterhead(load(**set_))

    assert head.domain == domain
    assert head.link("m").startswith(link)


def test_the_hidden_link_of_letters_is_the_declared_path(tmp_path: Path) -> None:
    ours = load(public_url="https://h.example.com/mail")
    none = load(rules_dir=tmp_path)

    assert directory.letterhead(ours).hidden == "https://h.example.com/mail/not-for-people"
    assert directory.letterhead(none).hidden is None


def test_the_domain_in_smtp_url_wins_over_the_setting() -> None:
    ours = server("smtp://127.0.0.1:1?domain=news.example.com")
    other = server("smtp://127.0.0.1:1")
    settings = load(sender_domain="h.example.com")

    assert directory.letterhead(settings, ours.domain).domain == "news.example.com"
    assert directory.letterhead(settings, other.domain).domain == "h.example.com"


def test_a_value_that_cannot_be_used_is_named() -> None:
    for field, variable in (("smtp_url", "SMTP_URL"), ("tiktok_url", "TIKTOK_API_URL")):
        with pytest.raises(SettingsError, match=variable):
            directory.platforms(load(**{**ALL, field: "ftp://x"}))
