"""SMTP replies and addresses of servers."""

import pytest

from huntaze_pipeline.delivery.platforms.base import Kind
from huntaze_pipeline.delivery.platforms.smtp import outcome, server
from huntaze_pipeline.errors import SettingsError


@pytest.mark.parametrize(
    ("code", "text", "kind"),
    [
        (250, "2.0.0 OK ref", Kind.SENT),
        (421, "4.3.2 service not available", Kind.RETRY),
        (421, "4.7.0 too many messages, slow down", Kind.LIMITED),
        (450, "4.2.1 mailbox busy", Kind.RETRY),
        (451, "4.3.0 local error", Kind.RETRY),
        (452, "4.3.1 out of room", Kind.LIMITED),
        (454, "4.7.0 sending rate exceeded", Kind.LIMITED),
        (550, "5.1.1 no such user", Kind.REFUSED),
        (535, "5.7.8 bad password", Kind.REFUSED),
        (554, "5.7.1 rejected", Kind.REFUSED),
        (-1, "", Kind.RETRY),
    ],
)
def test_what_a_reply_means(code: int, text: str, kind: Kind) -> None:
    assert outcome(code, text).kind is kind


def test_the_wait_is_read_from_the_words() -> None:
    assert outcome(452, "4.7.1 try again in 7.500 seconds").retry_after_s == 7.5
    assert outcome(452, "4.7.1 slower").retry_after_s is None


def test_a_server_that_repeats_the_password_does_not_get_it_into_our_logs() -> None:
    assert "hunter2" not in (outcome(535, "hunter2 is wrong", "hunter2").detail or "")


def test_the_url_names_everything() -> None:
    found = server("smtps://us%40er:p%3Aw@mail.example.com?domain=news.example.com")
    assert (found.host, found.port, found.tls) == ("mail.example.com", 465, True)
    assert (found.user, found.password, found.domain) == ("us@er", "p:w", "news.example.com")
    assert "p:w" not in repr(found)


@pytest.mark.parametrize("url", ["http://u:hunter2@x", "smtp://", "smtp://u:hunter2@x:port", "x"])
def test_a_bad_url_is_refused_without_showing_it(url: str) -> None:
    with pytest.raises(SettingsError, match="SMTP_URL") as caught:
        server(url)
    assert "hunter2" not in str(caught.value)
