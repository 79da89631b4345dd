"""Where the links in our e-mails lead: a page with one button, and the POST of that button or of
the mail program (RFC 8058). The link's token is the only key. The deed is `delivery.withdrawal`'s.

A GET changes nothing: scanners follow every link of a letter.
"""

import hmac
from html import escape

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse

from huntaze_pipeline.api.documents import ERRORS
from huntaze_pipeline.api.problems import Refusal
from huntaze_pipeline.delivery import withdrawal
from huntaze_pipeline.delivery.platforms import letter

router = APIRouter(
    prefix="/unsubscribe",
    tags=["unsubscribe"],
    default_response_class=HTMLResponse,
    responses={status: ERRORS[status] for status in (404, 503)},
)
_HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'; frame-ancestors 'none'"
    ),
    "Referrer-Policy": "no-referrer",  # the address holds the token
    "Cache-Control": "no-store",
    "X-Content-Type-Options": "nosniff",
    "X-Robots-Tag": "noindex",
}
_PAGE = """<!doctype html>
<html lang="en">
<head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<style>
:root {{ color-scheme: light dark }}
body {{ font: 17px/1.5 system-ui, sans-serif }}
main {{ max-width: 30rem; margin: 15vh auto; padding: 0 1rem }}
button {{ font: inherit; padding: .5rem 1.2rem; cursor: pointer }}
</style></head>
<body><main><h1>{title}</h1>{body}</main></body>
</html>
"""
_BUTTON = '<form method="post"><button type="submit">Unsubscribe</button></form>'


@router.get("/{message_id}", summary="Ask whether to unsubscribe")
def ask(request: Request, message_id: str, token: str = "") -> HTMLResponse:
    """Show what would end, and the button that ends it."""
    _verify(request, message_id, token)
    with request.app.state.store.worker() as connection:
        subject = _known(withdrawal.look_up(connection, message_id))
    return _page("Unsubscribe?", f"<p>No more {_about(subject)}.</p>{_BUTTON}")


@router.post("/{message_id}", summary="Unsubscribe")
def unsubscribe(request: Request, message_id: str, token: str = "") -> HTMLResponse:
    """Withdraw the fan's consent for the message's topic; again changes nothing more.

    The body is not read: a mail program posts `List-Unsubscribe=One-Click`, a browser nothing.
    """
    _verify(request, message_id, token)
    with request.app.state.store.worker() as connection:
        now = request.app.state.clock()
        subject = _known(withdrawal.withdraw(connection, message_id, now))
    return _page("Unsubscribed", f"<p>You will get no more {_about(subject)}.</p>")


def _verify(request: Request, message_id: str, token: str) -> None:
    """Refuse a link that we did not make; takes the same time whatever differs."""
    secret = request.app.state.settings.webhook_secret
    if not secret:
        raise Refusal(503, "unsubscribing is not set up here: HUNTAZE_WEBHOOK_SECRET is not set")
    expected = letter.token(secret.get_secret_value().encode(), message_id)
    if not hmac.compare_digest(expected.encode(), token.encode()):
        raise _unknown()


def _known(subject: withdrawal.Subject | None) -> withdrawal.Subject:
    if subject is None:
        raise _unknown()
    return subject


def _unknown() -> Refusal:
    return Refusal(404, "this link is not known; take it whole from the newest message")


def _about(subject: withdrawal.Subject) -> str:
    return f"<b>{escape(subject.topic)}</b> messages from <b>{escape(subject.creator)}</b>"


def _page(title: str, body: str) -> HTMLResponse:
    return HTMLResponse(_PAGE.format(title=title, body=body), headers=_HEADERS)
