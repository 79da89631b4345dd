"""The JSON that older systems send, turned into the internal form before it is checked.

An automation is `{name, trigger {event, platform}, conditions, actions [{type, delay (seconds),
content}], isActive}`, a segment has `criteria`, a campaign is the body of POST /api/campaigns.
Keys that are not known are left as they are, so that the check names them.
"""

import json
from collections.abc import Callable
from decimal import Decimal
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
        result["delay"] = f"{Decimal(repr(delay)):f}s"  # no exponent, and every digit
    return result


def segment(data: dict[str, Any]) -> dict[str, Any]:
    """Turn a segment: `criteria` is `where`; one that is not dynamic has `members`."""
    result = _renamed(data, {"criteria": "where", "members": "fans"})
    if not isinstance(result.get("isDynamic", True), bool):
        return result  # the check tells
    if result.pop("isDynamic", True):
        result.pop("fans", None)
    else:
        result.pop("where", None)
    return result


def campaign(data: dict[str, Any]) -> dict[str, Any]:
    """Turn a campaign as it is posted: what is under `settings` and `abTests` has its own keys."""
    result = _renamed(data, {"templateId": "template"})
    _below(result, "schedule", {"startDate": "start", "endDate": "end", "localTime": "local"})
    _below(result, "targeting", {"segmentIds": "segments", "excludeSegmentIds": "exclude"})
    if isinstance(result.get("settings"), dict):
        options = _renamed(result.pop("settings"), {"expiresAfter": "expires_after"})
        result = {**{k: v for k, v in options.items() if v is not None}, **result}
    tests = result.get("abTests")
    if isinstance(tests, list) and len(tests) <= 1 and all(isinstance(t, dict) for t in tests):
        del result["abTests"]
        result |= _trial(tests[0]) if tests else {}
    return result


def _trial(data: dict[str, Any]) -> dict[str, Any]:
    """Turn an A/B test: a window that it does not name is a day, as where it is posted."""
    names = {"plannedRecipients": "planned", "fallbackVariantId": "fallback"}
    if data.get("fallbackVariantId") is None:
        names, data = {"plannedRecipients": "planned"}, _without(data, "fallbackVariantId")
    else:
        data = _without(data, "fallback")
    given = {k: v for k, v in _renamed(data, names).items() if v is not None}
    arms = given.pop("variants", [])
    if isinstance(arms, list):
        arms = [_renamed(a, {"templateId": "template"}) if isinstance(a, dict) else a for a in arms]
    return {"variants": arms, "experiment": {"window": "24h", **given}}


def _without(data: dict[str, Any], key: str) -> dict[str, Any]:
    return {name: value for name, value in data.items() if name != key}


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
_MARKS = {
    "automations": {"isActive"},
    "segments": {"criteria", "members", "isDynamic"},
    "campaigns": {"templateId", "settings", "abTests"},
    "templates": {"defaultSettings"},
}
"""Keys that only the older form has."""


def speaks(kind: str, data: dict[str, Any], text: str) -> bool:
    """Say whether a file of another name than .json holds the older form: JSON with its keys."""
    actions = data.get("actions")
    each = actions if isinstance(actions, list) else []
    bare = [action.get("delay") for action in each if isinstance(action, dict)]
    if data.keys().isdisjoint(_MARKS[kind]) and not any(isinstance(d, int | float) for d in bare):
        return False
    try:
        json.loads(text)
    except ValueError:
        return False
    return True


FORMER: dict[str, tuple[str | int, ...]] = {
    "active": ("isActive",),
    "template": ("templateId",),
    "content": ("message",),
    "where": ("criteria",),
    "fans": ("members",),
    "start": ("startDate",),
    "end": ("endDate",),
    "local": ("localTime",),
    "segments": ("segmentIds",),
    "exclude": ("excludeSegmentIds",),
    "expires_after": ("settings", "expiresAfter"),
    "variants": ("abTests", 0, "variants"),
    "experiment": ("abTests", 0),
    "planned": ("plannedRecipients",),
    "fallback": ("fallbackVariantId",),
    **{
        key: ("settings", key)
        for key in ("topic", "priority", "holdout", "variables", "costs", "goal")
    },
}
"""Where a key of the internal form stands in the JSON, so that faults point there."""
