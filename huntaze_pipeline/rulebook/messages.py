"""One message for one fan: which platform and account, and what it says, or why there is none."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from huntaze_pipeline.rulebook import templates
from huntaze_pipeline.rulebook.people import Address
from huntaze_pipeline.rulebook.policies import Policies
from huntaze_pipeline.rulebook.schema import Copy, Template
from huntaze_pipeline.rulebook.steps import Send
from huntaze_pipeline.store.people import PLATFORMS


@dataclass(frozen=True)
class Recipient:
    """A fan and everything that is known around the message."""

    fan: Mapping[str, Any] | None
    """The fan's fields; None when there is no such fan."""
    addresses: Sequence[Address]
    creator: Mapping[str, Any]
    event: Mapping[str, Any] | None = None
    campaign: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class Message:
    """What would go out; with a `reason` it does not."""

    platform: str
    account_id: str = ""
    address: str = ""
    content: str = ""
    subject: str | None = None
    reason: str | None = None


def compose(
    action: Send,
    template: Template | None,
    recipient: Recipient,
    policies: Policies,
    preferred: str | None = None,
) -> Message:
    """Return the message of one step for one fan.

    Args:
        action: the step.
        template: its template, when it names one.
        recipient: the fan.
        policies: lengths and subjects that platforms take.
        preferred: the platform to use when the step names none and the fan is there.
    """
    if action.template and template is None:
        return Message(action.platform or preferred or PLATFORMS[0], reason="unknown_template")
    allowed = template.platforms if template else PLATFORMS
    wanted = [action.platform] if action.platform else _order(allowed, preferred)
    if recipient.fan is None:
        return Message(wanted[0], reason="unknown_fan")
    address = choose(recipient.addresses, wanted)
    if address is None:
        return Message(wanted[0], reason="no_address")
    used = template or _single(action.content or "", action.subject, address.platform)
    return write(used, address, recipient, action.variables, policies)


def choose(addresses: Sequence[Address], platforms: Sequence[str]) -> Address | None:
    """Return the fan's address on the first of the platforms that has one."""
    by_platform = {address.platform: address for address in addresses}
    return next((by_platform[p] for p in platforms if p in by_platform), None)


def write(
    template: Template,
    address: Address,
    recipient: Recipient,
    variables: Mapping[str, Any],
    policies: Policies,
) -> Message:
    """Render a template for a fan at an address; faults become the message's reason."""
    fan = recipient.fan or {}
    blank = Message(address.platform, address.account_id, address.address)
    try:
        text = templates.render(
            template, address.platform, fan.get("locale"), words(recipient), variables
        )
    except templates.RenderError as error:
        return _stopped(blank, f"render_error: {error}")
    policy = policies.platform(address.platform)
    if not text.body:
        return _stopped(blank, "render_error: the message is empty")
    if len(text.body) > policy.max_length:
        return _stopped(blank, f"too_long: {len(text.body)} of {policy.max_length} characters")
    subject = text.subject if policy.subject else None
    return Message(address.platform, address.account_id, address.address, text.body, subject)


def words(recipient: Recipient) -> dict[str, Any]:
    """Return what a template may say of this fan, creator, event and campaign."""
    found: dict[str, Any] = {"fan": _fan(recipient.fan or {}), "creator": dict(recipient.creator)}
    if recipient.event is not None:
        event = dict(recipient.event)
        micros = event.get("value_micros")
        event["value"] = None if micros is None else micros / 1_000_000
        event["id"] = event.get("event_id")
        event["properties"] = _object(event.get("properties"))
        found["event"] = event
    if recipient.campaign is not None:
        found["campaign"] = dict(recipient.campaign)
    return found


def _fan(row: Mapping[str, Any]) -> dict[str, Any]:
    name = (row.get("name") or "").strip() or None
    # A fact that was not read stays undefined: no message is better than a wrong number.
    return {
        **row,
        "id": row.get("id", row.get("fan_id")),
        "first_name": name.split()[0] if name else None,
        "name": name,
        "attributes": _object(row.get("attributes")),
    }


def _object(text: str | None) -> dict[str, Any]:
    return json.loads(text) if text and text != "{}" else {}  # most have none


def _order(platforms: Sequence[str], preferred: str | None) -> Sequence[str]:
    if preferred is None or preferred not in platforms:
        return platforms
    return [preferred, *(p for p in platforms if p != preferred)]


def _stopped(message: Message, reason: str) -> Message:
    return Message(message.platform, message.account_id, message.address, reason=reason)


@lru_cache(maxsize=256)
def _single(content: str, subject: str | None, platform: str) -> Template:
    """Return a step's own text as a template of one platform."""
    copy = Copy(subject=subject, body=content)
    return Template.model_construct(
        name="", category="", platforms=(platform,), content={platform: {"en": copy}}, variables=()
    )
