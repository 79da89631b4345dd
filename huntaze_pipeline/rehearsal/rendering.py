"""Tests of templates: one fan reads one text."""

import json
from typing import Any

from huntaze_pipeline.events.envelope import micros
from huntaze_pipeline.rehearsal.cast import CREATOR
from huntaze_pipeline.rehearsal.verdict import Mismatch, said
from huntaze_pipeline.rulebook import messages, templates
from huntaze_pipeline.rulebook.cases import Happening, TemplateCase
from huntaze_pipeline.rulebook.messages import Recipient
from huntaze_pipeline.rulebook.schema import Template

_PATH = ("expect",)


def compare(test: TemplateCase, template: Template) -> list[Mismatch]:
    """Render the template as the test wants it and return what is not as expected."""
    words, expected = messages.words(_recipient(test)), test.expect
    try:
        text = templates.render(template, test.platform, test.fan.locale, words, test.variables)
    except templates.RenderError as error:
        if expected.fails is not None and expected.fails in str(error):
            return []
        return [Mismatch(_PATH, f"cannot be made: {error}")]
    found = said(expected.says, expected.never_says, text.body)
    if expected.fails is not None:
        found.append(f"was expected to fail ({expected.fails}), and says {text.body!r}")
    for name, wanted in (("subject", expected.subject), ("locale", expected.locale)):
        was = getattr(text, name)
        if wanted is not None and wanted != was:
            found.append(f"{name}: expected {wanted!r}, was {was!r}")
    return [Mismatch(_PATH, what) for what in found]


def _recipient(test: TemplateCase) -> Recipient:
    person = test.fan
    fan: dict[str, Any] = {
        "id": "ada", "name": person.name, "zone": person.zone, "locale": person.locale,
        "birthday": person.birthday, "tags": list(person.tags),
        "attributes": json.dumps(person.attributes), **test.facts,
    }  # fmt: skip
    creator = {"id": CREATOR, "name": "Maya", "zone": "UTC", "currency": "USD"}
    return Recipient(fan, [], creator, _event(test.event) if test.event else None)


def _event(happening: Happening) -> dict[str, Any]:
    value = happening.value
    return {
        "event_id": happening.id or "event-1", "name": happening.event,
        "platform": happening.platform, "currency": happening.currency,
        "value_micros": None if value is None else micros(value),
        "properties": json.dumps(happening.properties),
    }  # fmt: skip
