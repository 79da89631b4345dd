"""The examples of the guide and of /openapi.json, sent as they are printed."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
from caller import NOW, Client

from huntaze_pipeline.rulebook import loader, registry
from huntaze_pipeline.store.session import Store

ROOT = Path(__file__).parents[3]
GUIDE = (ROOT / "docs/api.md").read_text("utf-8")
DRAFTS = "/api/campaigns"
MESSAGES = "/api/onlyfans/messages/send"


def printed(heading: str) -> Any:
    """Return the first JSON below a heading."""
    part = GUIDE.partition(f"\n### {heading}\n")[2]
    return json.loads(re.search(r"```json\n(.*?)```", part, re.DOTALL)[1])  # type: ignore[index]


@pytest.fixture
def maya(maya: Client, store: Store, creator: str) -> Client:
    """Maya, with the rules that ship."""
    with store.worker() as connection:
        registry.apply(connection, creator, loader.load(ROOT / "rules"), NOW)
    return maya


def test_the_guides_message_is_taken_and_answered_as_it_says(maya: Client) -> None:
    call = GUIDE.partition("\n### A message\n")[2]
    told = json.loads(re.search(r"-d '(.*?)'", call)[1])  # type: ignore[index]

    response = maya.post(MESSAGES, told)

    assert response.status_code == 202, response.text
    assert set(response.json()) == set(printed("A message"))


def test_the_guides_campaign_is_made(maya: Client) -> None:
    response = maya.post(DRAFTS, printed("A campaign"))

    assert response.status_code == 201, response.text


def test_the_guides_event_is_taken(maya: Client) -> None:
    response = maya.post("/api/events", printed("Events"))

    assert response.status_code < 300, response.text


def test_the_guides_analytics_has_the_keys_of_an_answer(maya: Client) -> None:
    campaign = maya.post(DRAFTS, printed("A campaign")).json()["id"]
    answer = maya.get(f"{DRAFTS}/{campaign}/analytics").json()

    assert set(printed("Analytics")) <= set(answer)
    assert set(printed("Analytics")["overview"]) <= set(answer["overview"])


@pytest.mark.parametrize(
    ("path", "body"),
    [
        (MESSAGES, "MessageRequest"),
        (DRAFTS, "CampaignRequest"),
        ("/api/events", "EventRequest"),
        ("/api/automations", None),
    ],
)
def test_the_examples_of_openapi_are_taken(maya: Client, path: str, body: str | None) -> None:
    page = maya.get("/openapi.json").json()
    asked = page["paths"][path if body is None else DRAFTS]["post"]["requestBody"]["content"]
    schema = page["components"]["schemas"][body] if body else asked["application/json"]["schema"]

    answers = [maya.post(path, told) for told in schema["examples"]]

    assert answers
    assert [answer.text for answer in answers if answer.status_code >= 300] == []
