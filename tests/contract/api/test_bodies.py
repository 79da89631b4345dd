"""Hostile input: answered with a document, never a fault of ours."""

from typing import Any

from caller import CAMPAIGN, Client, fields, made


def test_ids_that_look_like_code_are_only_ids(maya: Client) -> None:
    made(maya)

    for identity in ("' or 1=1 --", '"; drop table x; --', "..%2f..", "x" * 5000, "\u202e"):
        assert maya.get(f"/api/campaigns/{identity}").status_code == 404
        query = {"messageId": identity[:200]}
        assert maya.get("/api/onlyfans/messages/status", params=query).status_code == 404
    assert maya.get("/api/campaigns").json()["total"] == 1


def test_nul_in_an_address_is_refused(maya: Client) -> None:
    for path in ("/api/campaigns/a%00b", "/api/campaigns?status=%00"):
        response = maya.get(path)
        assert response.status_code == 400
        assert response.headers["content-type"] == "application/problem+json"


def test_a_body_that_is_too_large_is_refused_whether_it_says_so_or_not(maya: Client) -> None:
    async def drip() -> Any:
        for _ in range(40):
            yield b" " * 50_000

    headers = {"Content-Type": "application/json"}
    told = maya("POST", "/api/events", content=b" " * 1_000_001, headers=headers)
    untold = maya("POST", "/api/events", content=drip(), headers=headers)

    assert (told.status_code, untold.status_code) == (413, 413)
    assert untold.headers["content-type"] == "application/problem+json"


BROKEN = [
    (b"[" * 100_000, 400),
    (b'{"id": "\\u0000"}', 400),
    (b'{"id": "\\ud800"}', 400),
    (b'{"value": NaN}', 400),
    (b'{"value": 1e999}', 400),
    (b'"\xff"', 400),
    (b'{"id": "a", "id": "b"}', 400),
    (b'{"properties": {"a": 1, "a": 1}}', 400),
    (b"{", 422),
    (b"", 422),
    (b"null", 422),
]


def test_broken_bodies_are_answered_with_a_document(maya: Client) -> None:
    headers = {"Content-Type": "application/json"}
    for body, status in BROKEN:
        response = maya("POST", "/api/events", content=body, headers=headers)
        assert response.status_code == status, response.text
        assert response.headers["content-type"] == "application/problem+json"
        assert "Traceback" not in response.text


def test_no_value_in_any_field_is_a_fault_of_ours(maya: Client) -> None:
    values = [{}, [], 0, -1, 1e308, 10**30, True, "", "x" * 100_000, None, [[]], {"a": {"b": {}}}]
    for field in [*CAMPAIGN, "settings", "abTests"]:
        for value in values:
            response = maya.post("/api/campaigns", CAMPAIGN | {field: value})
            assert response.status_code in (201, 422), (field, value, response.text)


def test_an_idempotency_key_is_short_and_plain(maya: Client) -> None:
    told = {"id": "e", "name": "viewed", "fanId": "fan-1"}
    for key in ("", "a b", "x" * 201, "ü"):
        headers = {"Idempotency-Key": key.encode()}
        response = maya("POST", "/api/events", json=told, headers=headers)
        assert fields(response) == {"header.Idempotency-Key"}


def test_unknown_paths_and_methods_are_documents_too(maya: Client) -> None:
    missing, wrong = maya.get("/api/nothing"), maya("DELETE", "/api/campaigns")

    assert (missing.status_code, wrong.status_code) == (404, 405)
    assert wrong.headers["allow"]
    assert missing.json()["title"] == "Not Found"


def test_a_body_that_is_not_said_to_be_json_is_not_read(maya: Client) -> None:
    told = b'{"id": "e", "name": "viewed", "fanId": "fan-1"}'

    def status(kind: str | None) -> int:
        headers = {} if kind is None else {"Content-Type": kind}
        return maya("POST", "/api/events", content=told, headers=headers).status_code

    for kind in (None, "text/plain", "application/x-www-form-urlencoded", "application/jsonp", "x"):
        assert status(kind) == 415
    for kind in ("application/json", "application/JSON; charset=utf-8", "application/ld+json"):
        assert status(kind) == 202


def test_a_key_that_comes_twice_is_named(maya: Client) -> None:
    body = b'{"recipientId": "fan-1", "content": "a", "content": "b"}'
    headers = {"Content-Type": "application/json"}
    answer = maya("POST", "/api/onlyfans/messages/send", content=body, headers=headers)

    assert answer.status_code == 400
    assert answer.json()["detail"] == "the body has the key 'content' twice"


def test_a_start_without_a_body_needs_no_content_type(maya: Client) -> None:
    headers = {"Content-Type": "application/x-www-form-urlencoded"}
    path = f"/api/campaigns/{made(maya)}/start"

    assert maya("POST", path, headers=headers).status_code == 200
