"""The JSON that older systems send, turned into the internal form before it is checked.

An automation is `{name, trigger {event, platform}, conditions, actions [{type, delay (seconds),
content}], isActive}`, a segment has `criteria`, a campaign is the body of POST /api/campaigns.
Keys that are not known are left as they are, so that the check names them.
"""

from collections.abc import Callable
from typing import Any


def automation(data: dict[str, Any]) -> dict[str, Any]:
    """Turn an automation: bare delays are seconds, `isActive` is `active`."""
    result = _renamed(data, {"isActive": "active"})
    trigger = result.get("trigger")
    if isinstance(trigger, dict):
        result["trigger"] = {k: v for k, v in trigger.items() if v is not None}
    if isinstance(result.get("actions"), list):
        result["actions"] = [_action(a) for a in result["actions"]]
    return result


def _action(data: Any) -> Any:
    if not isinstance(data, dict):
        return data
    result = _renamed(data, {"templateId": "template", "message": "content"})
    delay = result.get("delay")
    if isinstance(delay, int | float) and not isinstance(delay, bool):
        result["delay"] = f"{delay:g}s"
    return result


def segment(data: dict[str, Any]) -> dict[str, Any]:
    """Turn a segment: `criteria` is `where`; one that is not dynamic has `members`."""
    result = _renamed(data, {"criteria": "where", "members": "fans"})
    if result.pop("isDynamic", True):
        result.pop("fans", None)
    else:
        result.pop("where", None)
    return result


def campaign(data: dict[str, Any]) -> dict[str, Any]:
    """Turn a campaign as it is posted."""
    result = _renamed(data, {"templateId": "template"})
    _below(result, "schedule", {"startDate": "start", "endDate": "end"})
    _below(
        result,
        "targeting",
        {"segmentIds": "segments", "excludeSegmentIds": "exclude"},
    )
    return result


def template(data: dict[str, Any]) -> dict[str, Any]:
    """Turn a template: `defaultSettings` is `settings`."""
    return _renamed(data, {"defaultSettings": "settings"})


def _below(data: dict[str, Any], key: str, names: dict[str, str]) -> None:
    if isinstance(data.get(key), dict):
        inner = _renamed(data[key], names)
        data[key] = {k: v for k, v in inner.items() if v is not None}


def _renamed(data: dict[str, Any], names: dict[str, str]) -> dict[str, Any]:
    return {names.get(key, key): value for key, value in data.items()}


FORMS: dict[str, Callable[[dict[str, Any]], dict[str, Any]]] = {
    "automations": automation,
    "segments": segment,
    "campaigns": campaign,
    "templates": template,
}
"""Folder of rules/ to the turning of its JSON."""
