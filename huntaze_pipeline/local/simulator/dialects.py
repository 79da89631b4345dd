"""The three HTTP platforms' words: requests into arrivals, verdicts into their own answers.

Shapes follow the platforms' public documentation. Where the real one has no field for a sender's
own message id (Instagram, TikTok), the header `X-Client-Reference` carries it, for the judge only.
"""

import re
from datetime import UTC, datetime
from typing import Any

from huntaze_pipeline.local.simulator.desk import Desk
from huntaze_pipeline.local.simulator.verdict import STATUS, Arrival, Verdict
from huntaze_pipeline.local.simulator.wire import Reply, Request

REFERENCE = "x-client-reference"

_ONLYFANS = re.compile(r"^/onlyfans/accounts/(?P<account>[^/]+)/messages/?$")
_INSTAGRAM = re.compile(
    r"^/instagram(?:/v\d+\.\d+)?/(?P<account>[^/]+)/(?P<what>messages|conversations)$"
)
_TIKTOK = "/tiktok/open_api/v1.3/business/message/"


def answer(desk: Desk, request: Request) -> Reply | None:
    """Answer a request to one of the platforms; nothing if it is to none of them."""
    if match := _ONLYFANS.match(request.path):
        return _onlyfans(desk, request, match["account"])
    if match := _INSTAGRAM.match(request.path):
        return _instagram(desk, request, match["account"], match["what"])
    if request.path.startswith(_TIKTOK):
        return _tiktok(desk, request, request.path.removeprefix(_TIKTOK).strip("/"))
    return None


def _reply(verdict: Verdict, body: Any, status: int | None = None) -> Reply:
    headers: dict[str, str] = {}
    if verdict.retry_after_s is not None:
        headers["Retry-After"] = f"{verdict.retry_after_s:.3f}"
    code = STATUS[verdict.kind] if status is None else status
    return Reply(code, body, headers, verdict.delay_s, verdict.lost)


def _onlyfans(desk: Desk, request: Request, account: str) -> Reply:
    if not request.headers.get("authorization", "").startswith("Bearer "):
        return Reply(401, {"error": "unauthorized", "message": "a bearer token is needed"})
    if request.method == "GET":
        ref = desk.find("onlyfans", request.query.get("key", ""))
        return Reply(200, {"messages": [{"id": ref}] if ref else []})
    body = request.json()
    if request.method != "POST" or body is None or not _texts(body, "recipient", "text"):
        return Reply(400, {"error": "bad_request", "message": "recipient and text are needed"})
    key = str(body["key"]) if body.get("key") else None
    verdict = desk.receive(
        Arrival(
            "onlyfans", account, body["recipient"], key,
            request.headers.get("idempotency-key") or key, body["text"],
        )
    )  # fmt: skip
    if STATUS[verdict.kind] == 200:
        return _reply(verdict, {"id": verdict.ref, "status": "accepted"})
    return _reply(verdict, {"error": verdict.reason or verdict.kind, "message": verdict.kind})


_GRAPH = {
    "invalid": (400, 100, 2534014, "The requested user cannot be found"),
    "blocked": (400, 10, 2534025, "This person isn't available right now"),
    "closed": (400, 10, 2534022, "This message is sent outside of allowed window"),
    "limited": (400, 613, None, "Calls to this api have exceeded the rate limit"),
    "too_fast": (400, 4, None, "Application request limit reached"),
    "banned": (403, 368, None, "The action attempted has been deemed abusive"),
    "error": (500, 2, None, "Service temporarily unavailable"),
    "token": (400, 190, None, "Error validating access token"),
    "input": (400, 100, None, "Invalid parameter"),
}  # fmt: skip
"""Reason to HTTP status, Graph code, subcode and words."""


def _graph(why: str, verdict: Verdict | None = None) -> Reply:
    status, code, subcode, words = _GRAPH[why]
    error: dict[str, Any] = {"message": words, "type": "OAuthException", "code": code}
    if subcode:
        error["error_subcode"] = subcode
    if code == 2:
        error["is_transient"] = True
    return _reply(verdict or Verdict("refused"), {"error": error}, status)


def _instagram(desk: Desk, request: Request, account: str, what: str) -> Reply:
    token = request.headers.get("authorization", "").removeprefix("Bearer ")
    if not (token or request.query.get("access_token")):
        return _graph("token")
    if what == "conversations" and request.method == "GET":
        return _talk(desk, account, request.query.get("user_id", ""))
    body = request.json() or {}
    recipient, text = _at(body, "recipient", "id"), _at(body, "message", "text")
    if what != "messages" or request.method != "POST" or not (recipient and text):
        return _graph("input")
    reference = request.headers.get(REFERENCE)
    verdict = desk.receive(Arrival("instagram", account, recipient, reference, reference, text))
    if STATUS[verdict.kind] == 200:
        return _reply(verdict, {"recipient_id": recipient, "message_id": verdict.ref})
    return _graph(verdict.reason or verdict.kind, verdict)


def _talk(desk: Desk, account: str, user: str) -> Reply:
    """Answer with the one conversation of an account and a user, as the Graph API lists it."""
    messages = [
        {"id": kept["id"], "message": kept["text"], "from": {"id": account},
         "created_time": datetime.fromtimestamp(kept["at"], UTC).strftime("%Y-%m-%dT%H:%M:%S%z")}
        for kept in desk.conversation("instagram", account, user)
    ]  # fmt: skip
    return Reply(200, {"data": [{"id": f"{account}:{user}", "messages": {"data": messages}}]})


_CODES = {
    "invalid": (40002, "Invalid conversation_id"),
    "blocked": (40066, "The user has blocked messages"),
    "closed": (40065, "The messaging window is closed"),
    "limited": (40100, "Too many requests"),
    "too_fast": (40064, "You are sending messages too fast"),
    "banned": (40067, "The business account is suspended"),
    "error": (50000, "System error"),
    "token": (40105, "Access token is incorrect or has been revoked"),
    "input": (40002, "Missing or invalid parameter"),
}  # fmt: skip
"""Reason to TikTok code and words; the HTTP status is 200 whatever happens."""


def _envelope(why: str | None, data: Any, verdict: Verdict | None = None) -> Reply:
    code, words = (0, "OK") if why is None else _CODES[why]
    body = {"code": code, "message": words, "request_id": f"{code}-simulated", "data": data}
    return _reply(verdict or Verdict("accepted"), body, 200)


def _tiktok(desk: Desk, request: Request, action: str) -> Reply:
    if not request.headers.get("access-token"):
        return _envelope("token", {})
    if action == "content/list" and request.method == "GET":
        return _history(desk, request)
    body = request.json() or {}
    text = _at(body, "text", "body")
    if action != "send" or request.method != "POST" or not text:
        return _envelope("input", {})
    if not _texts(body, "business_id", "recipient"):
        return _envelope("input", {})
    reference = request.headers.get(REFERENCE)
    verdict = desk.receive(
        Arrival("tiktok", body["business_id"], body["recipient"], reference, reference, text)
    )
    if STATUS[verdict.kind] == 200:
        return _envelope(None, {"message": {"message_id": verdict.ref}}, verdict)
    return _envelope(verdict.reason or verdict.kind, {}, verdict)


def _history(desk: Desk, request: Request) -> Reply:
    account = request.query.get("business_id", "")
    kept = desk.conversation("tiktok", account, request.query.get("conversation_id", ""))
    messages = [
        {"message_id": one["id"], "message_type": "TEXT", "text": {"body": one["text"]},
         "timestamp": int(one["at"] * 1000), "sender": account}
        for one in kept
    ]  # fmt: skip
    return _envelope(None, {"messages": messages})


def _texts(body: dict[str, Any], *names: str) -> bool:
    return all(isinstance(body.get(name), str) and body[name] for name in names)


def _at(body: dict[str, Any], outer: str, inner: str) -> str:
    """Return body[outer][inner] if it is a text."""
    place = body.get(outer)
    value = place.get(inner) if isinstance(place, dict) else None
    return value if isinstance(value, str) else ""
