"""Whether a platform can carry a message: length, subject, the window after a fan's own one.

Belongs here: what can be told from the files alone. The gates ask again for each message.
"""

from collections.abc import Iterable, Iterator, Mapping
from datetime import timedelta
from typing import Any

from huntaze_pipeline.rulebook import flow, templates
from huntaze_pipeline.rulebook.conditions import Condition
from huntaze_pipeline.rulebook.policies import PlatformPolicy
from huntaze_pipeline.rulebook.schema import Automation, Template
from huntaze_pipeline.rulebook.steps import Send
from huntaze_pipeline.rulebook.units import written

INBOUND = "replied"
"""The event that opens a platform's window: the fan has written."""
_NONE = timedelta(0)
Platforms = Mapping[str, PlatformPolicy]
SAMPLE: dict[str, Any] = {
    "fan": {
        **dict.fromkeys(templates.WORDS["fan"], 12),
        "id": "sample", "name": "Alexandria Montgomery-Fitzgerald", "first_name": "Alexandria",
        "zone": "Europe/Paris", "locale": "en", "tags": ["vip"], "attributes": {},
    },
    "creator": {"id": "creator", "name": "A Creator's Name", "zone": "UTC", "currency": "USD"},
    "event": {**dict.fromkeys(templates.WORDS["event"], "sample"), "value": 25, "properties": {}},
    "campaign": {"id": "campaign", "name": "A campaign"},
}  # fmt: skip
"""A fan with a long name, for lengths and previews."""


def copy_faults(
    rule: Template, platform: str, locale: str, policy: PlatformPolicy
) -> Iterator[tuple[str, str]]:
    """Yield the key and the fault of a template's copy on one platform; no key: all of it."""
    copy = rule.content[platform][locale]
    if policy.subject and not copy.subject:
        yield "", f"{platform} needs a subject"
    if copy.subject and not policy.subject:
        yield "subject", f"{platform} has no subject; drop it"
    if _longest(copy.body, templates.defaults(rule)) <= policy.max_length:
        return
    given = {v.name: "x" * 20 for v in rule.variables if v.default is None}
    length = _length(rule, platform, locale, given)
    if length > policy.max_length:
        yield "body", f"has {length} characters; {platform} takes {policy.max_length}"


def _longest(text: str, variables: Mapping[str, Any]) -> int:
    """Return what a text cannot exceed, without rendering it: each word its longest value."""
    words = [*variables.values(), *(v for scope in SAMPLE.values() for v in scope.values())]
    longest = max((len(str(word)) for word in words), default=0) * 2
    return len(text) + longest * (text.count("{{") + text.count("{%"))


def _length(rule: Template, platform: str, locale: str, given: Mapping[str, Any]) -> int:
    try:
        return len(templates.render(rule, platform, locale, SAMPLE, given).body)
    except templates.RenderError:
        return len(rule.content[platform][locale].body)


def text_faults(send: Send, rule: Automation, platforms: Platforms) -> Iterator[tuple[str, str]]:
    """Yield the key and the fault of a step's own text, on any platform where it may go."""
    may = [send.platform] if send.platform else (rule.trigger.platform or list(platforms))
    limits = {p: platforms[p].max_length for p in may if p in platforms}
    if limits and send.content and _longest(send.content, send.variables) > min(limits.values()):
        platform = min(limits, key=lambda name: limits[name])
        try:
            length = len(templates.fill(send.content, {**SAMPLE, **send.variables}))
        except templates.RenderError:
            length = len(send.content)
        if length > limits[platform]:
            hint = "" if send.platform else "; name the `platform`, or write a template"
            yield "content", f"has {length} characters; {platform} takes {limits[platform]}{hint}"
    if send.platform and send.platform in platforms:
        needs = platforms[send.platform].subject
        if needs and not send.subject:
            yield "content", f"{send.platform} needs a `subject`"
        if send.subject and not needs:
            yield "subject", f"{send.platform} has no subject; drop it"


def cold(
    rule: Automation,
    op: flow.Op,
    way: Iterable[flow.Op],
    template: Template | None,
    conditions: Iterable[Condition],
    platforms: Platforms,
) -> str | None:
    """Say why a message would find its platform's window closed, or return None.

    Args:
        rule: the automation.
        op: the step that sends.
        way: the steps that may come before it.
        template: what it sends, when that is a template.
        conditions: what is asked before it goes.
        platforms: the policies.
    """
    send = op.step.send
    assert send is not None
    on = _only(send, template)
    window = _window(on, platforms)
    before = list(way)
    if window is None or _asks(conditions):
        return None
    if any(other.step.wait and other.step.wait.event == INBOUND for other in before):
        return None
    place = ", ".join(on)
    if rule.trigger.event != INBOUND:
        return (
            f"is a cold message: {place} takes one only within {written(window)} of the fan's own; "
            f"react to {INBOUND}, wait for it, or ask performed('{INBOUND}', within => "
            f"'{written(window)}')"
        )
    late = op.delay if op.delay is not None else _waited(before)
    if late >= window:
        return f"comes {written(late)} after the fan wrote; {place} allows {written(window)}"
    return None


def closed(on: Iterable[str], conditions: Iterable[Condition], platforms: Platforms) -> str | None:
    """Say why a campaign would find closed windows only, or return None."""
    names = tuple(on)
    window = _window(names, platforms)
    if window is None or _asks(conditions):
        return None
    return (
        f"{', '.join(names)} takes a message only within {written(window)} of the fan's own: "
        f"target a segment with performed('{INBOUND}', within => '{written(window)}'), or add a "
        "platform"
    )


def _only(send: Send, template: Template | None) -> tuple[str, ...]:
    if send.platform:
        return (send.platform,)
    return template.platforms if template else ()


def _window(on: Iterable[str], platforms: Platforms) -> timedelta | None:
    """Return the longest window when every one of these platforms has one."""
    windows = [platforms[p].reply_window if p in platforms else None for p in on]
    known = [w for w in windows if w is not None]
    return max(known) if known and len(known) == len(windows) else None


def _asks(conditions: Iterable[Condition]) -> bool:
    return any(f.event == INBOUND for condition in conditions for f in condition.features)


def _waited(before: Iterable[flow.Op]) -> timedelta:
    """How long the waits of a straight way last; ways that part count the shortest: nothing."""
    straight = [op for op in before if len(op.path) == 2]
    return sum((op.step.wait.for_ or _NONE for op in straight if op.step.wait), _NONE)
