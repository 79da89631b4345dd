"""Letters: one-click links whole, everything escaped, headers that cannot be broken out of."""

from datetime import UTC, datetime
from email import message_from_bytes
from email.policy import default

import pytest
from hypothesis import given
from hypothesis import strategies as st

from huntaze_pipeline.delivery.platforms.base import Outgoing
from huntaze_pipeline.delivery.platforms.letter import Letterhead, compose, token

NOW = datetime(2026, 3, 2, 12, tzinfo=UTC)
HEAD = Letterhead("mail.example.com", "https://huntaze.example.com/unsubscribe", b"secret")


def outgoing(**changes: str) -> Outgoing:
    fields = {
        "message_id": "6f3c2f0e-2d0b-5b63-9a6e-8c1f6a1d7e42", "account_id": "maya-email",
        "address": "fan@example.org", "subject": "Hello", "content": "Hi", "idempotency_key": "k",
    }  # fmt: skip
    return Outgoing(**{**fields, **changes})


def read(**changes: str):
    letter = compose(outgoing(**changes), HEAD, NOW)
    return message_from_bytes(letter.content, policy=default)


def body(kind: str, **changes: str) -> str:
    part = read(**changes).get_body(preferencelist=(kind,))
    assert part is not None
    return part.get_content()


def test_one_click_unsubscribe_is_on_one_line_and_unencoded() -> None:
    letter = compose(outgoing(), HEAD, NOW)
    link = HEAD.link(outgoing().message_id)
    assert f"\r\nList-Unsubscribe: <{link}>\r\n".encode() in letter.content
    assert b"\r\nList-Unsubscribe-Post: List-Unsubscribe=One-Click\r\n" in letter.content


def test_the_link_proves_that_we_made_it_for_this_message() -> None:
    assert token(b"secret", "a") != token(b"secret", "b")
    assert token(b"secret", "a") != token(b"other", "a")
    assert HEAD.link("a").endswith(f"/a?token={token(b'secret', 'a')}")


def test_the_same_message_is_the_same_bytes() -> None:
    assert compose(outgoing(), HEAD, NOW) == compose(outgoing(), HEAD, NOW)


def test_html_holds_the_words_escaped_and_addresses_as_links() -> None:
    html = body("html", content='<script>1</script> & see https://x.org/a?b=1&c="2.\nbye\n\nnew')
    assert "<script>" not in html
    assert '<a href="https://x.org/a?b=1&amp;c=">https://x.org/a?b=1&amp;c=</a>' in html
    assert "<br>bye</p><p>new</p>" in html


@given(st.text(alphabet=st.characters(exclude_categories=["Cs"]), max_size=200))
def test_no_text_becomes_markup_or_gets_lost(text: str) -> None:
    html = body("html", content=text)
    inside = html.replace("<p>", "").replace("</p>", "").replace("<br>", "")
    assert "<script" not in inside
    assert html.count("<html>") == 1


@pytest.mark.parametrize("subject", ["a\r\nBcc: all@example.org", "a\nb", "é" * 300])
def test_a_subject_stays_one_header(subject: str) -> None:
    mail = read(subject=subject)
    assert mail["Bcc"] is None
    assert mail["Subject"] == " ".join(subject.split())
    assert all(len(line) < 999 for line in mail.as_bytes().splitlines())


@pytest.mark.parametrize(
    "address", ["", "fan", "@example.org", "a b@example.org", "a@b\r\nBcc: x@y.z", "a@b, c@d", "a@"]
)
def test_an_address_that_is_none_is_refused_by_name(address: str) -> None:
    with pytest.raises(ValueError, match="no e-mail address"):
        compose(outgoing(address=address), HEAD, NOW)


def test_an_account_speaks_from_its_own_address_or_from_our_domain() -> None:
    assert compose(outgoing(), HEAD, NOW).sender == "maya-email@mail.example.com"
    own = compose(outgoing(account_id="maya@her.site"), HEAD, NOW)
    assert own.sender == "maya@her.site"
    assert b"@her.site>\r\n" in own.content


def test_a_domain_outside_ascii_travels_in_ascii() -> None:
    letter = compose(outgoing(address="fan@münchen.de"), HEAD, NOW)
    assert letter.recipient == "fan@xn--mnchen-3ya.de"


def test_a_name_outside_ascii_is_refused_not_mangled() -> None:
    with pytest.raises(ValueError, match="jürgen"):
        compose(outgoing(address="jürgen@example.org"), HEAD, NOW)


def test_a_strange_message_id_cannot_leave_its_header() -> None:
    mail = read(message_id="a>\r\nBcc: x@y.z")
    assert mail["Bcc"] is None
    assert mail["X-Huntaze-Message"] == "a---Bcc--x-y.z"


def test_nothing_of_the_letter_prints_and_no_secret() -> None:
    assert "secret" not in repr(HEAD)
    assert "Hi" not in repr(compose(outgoing(), HEAD, NOW))


def test_a_letter_has_a_link_that_no_person_sees_if_one_is_declared() -> None:
    head = Letterhead(hidden="https://h.example/not-for-people?a=1&b=2")
    mail = message_from_bytes(compose(outgoing(), head, NOW).content, policy=default)
    html, plain = (mail.get_body(preferencelist=(kind,)) for kind in ("html", "plain"))
    assert html is not None
    assert plain is not None
    assert '<a href="https://h.example/not-for-people?a=1&amp;b=2" style="display:none"' in (
        html.get_content()
    )
    assert "not-for-people" not in plain.get_content()
    assert "display:none" not in body("html")
