"""rules/fields.yaml: what one's own events and fans carry, declared so that typos are found.

Belongs here: the shape of that file. Its types only make checks stricter: a rule means the same
with and without it.
"""

from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import Field

from huntaze_pipeline.rulebook.fields import SEGMENT_EVENT, SEGMENT_EVENTS, Declared, Type
from huntaze_pipeline.rulebook.units import EventName, Strict

FILE = "fields.yaml"
_TYPES = {
    "number": Type.NUMBER, "text": Type.TEXT, "time": Type.TIME, "date": Type.DATE,
    "bool": Type.BOOL,
}  # fmt: skip
Word = Annotated[str, Field(pattern=r"^[\w-]{1,64}$")]
TypeName = Literal["number", "text", "time", "date", "bool"]


class EventFields(Strict):
    """What one event carries."""

    description: str = ""
    properties: dict[Word, TypeName] = Field(default_factory=dict)
    """All that it may have; none: anything."""


class FieldFile(Strict):
    """rules/fields.yaml: events (one's own among them) and attributes of fans, with their types."""

    events: dict[EventName, EventFields] = Field(default_factory=dict)
    attributes: dict[Word, TypeName] | None = None
    """All attributes that a fan may have; left out: any."""


def declared(file: FieldFile | None) -> Declared:
    """Return the declarations, with those of events that we make ourselves."""
    own: dict[str, Mapping[str, Type]] = dict.fromkeys(SEGMENT_EVENTS, SEGMENT_EVENT)
    if file is None:
        return Declared(own)
    told = {
        name: {key: _TYPES[kind] for key, kind in event.properties.items()}
        for name, event in file.events.items()
        if event.properties or name.startswith("custom:")
    }
    attributes = file.attributes
    return Declared(
        {**own, **told},
        None if attributes is None else {key: _TYPES[kind] for key, kind in attributes.items()},
    )
