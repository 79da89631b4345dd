"""Comparing what was expected with what happened: every difference, next to its expectation."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from huntaze_pipeline.rehearsal.outcome import Outcome
from huntaze_pipeline.rehearsal.scene import Scene
from huntaze_pipeline.rulebook.cases import EFFECTS, Case, Expect

Path = tuple[str | int, ...]
_FIELDS = ("platform", "priority", "topic", "variant", "reason", "subject")
_UNITS = (("d", 86_400), ("h", 3_600), ("m", 60), ("s", 1))


@dataclass(frozen=True)
class Mismatch:
    """One thing that is not as expected."""

    path: Path
    """Where in the test the expectation stands; empty when nothing was expected."""
    what: str


def compare(scene: Scene, story: Sequence[Outcome]) -> list[Mismatch]:
    """Return what is wrong with a story; an empty list means that the test holds.

    Messages are compared always; of other outcomes only the kinds that the test names.
    """
    test = scene.test
    assert isinstance(test, Case)
    rules = (*scene.rules, *scene.campaigns)
    kinds = dict.fromkeys(["send", *(wanted.kind for wanted in test.expect)])
    mismatches: list[Mismatch] = []
    for kind in kinds:
        wanted = [
            (i, e) for i, e in enumerate(test.expect) if e.kind == kind for _ in range(e.times)
        ]
        actual = [o for o in story if o.kind == kind and o.rule in rules]
        mismatches += _kind(scene, wanted, actual)
    return sorted(dict.fromkeys(mismatches), key=lambda m: (not m.path, m.path and m.path[-1]))


def _kind(
    scene: Scene, wanted: list[tuple[int, Expect]], actual: list[Outcome]
) -> list[Mismatch]:  # fmt: skip
    """Pair what agrees wholly; pair the rest by likeness and say what differs."""
    left, open_ = list(actual), []
    for i, expected in wanted:
        same = next((o for o in left if not differences(scene, expected, o)), None)
        if same is None:
            open_.append((i, expected))
        else:
            left.remove(same)
    mismatches = []
    for i, expected in open_:
        near = min(left, key=lambda o: len(differences(scene, expected, o)), default=None)
        if near is None:
            mismatches.append(Mismatch(("expect", i), f"did not happen: {expectation(expected)}"))
            continue
        left.remove(near)
        said = "; ".join(differences(scene, expected, near))
        mismatches.append(Mismatch(("expect", i), f"{described(scene, near)}: {said}"))
    return mismatches + [Mismatch((), f"not expected: {described(scene, o)}") for o in left]


def differences(scene: Scene, expected: Expect, actual: Outcome) -> list[str]:
    """Return in which points an outcome is not what was expected."""
    found = [*_named(expected, actual), *_texts(expected, actual)]
    if expected.rule is not None and expected.rule != actual.rule:
        found.append(f"rule: expected {expected.rule}, was {actual.rule}")
    if expected.fan is not None and expected.fan != scene.owner(actual.fan):
        found.append(f"fan: expected {expected.fan}, was {actual.fan}")
    for name, was in (("at", actual.at), ("until", actual.detail.get("until"))):
        when = getattr(expected, name)
        if when is not None and (wanted := scene.instant(when, actual.fan)) != was:
            clock = scene.test.clock
            shown = "never" if was is None else moment(clock, was)
            found.append(f"{name}: expected {moment(clock, wanted)}, was {shown}")
    return found


def _named(expected: Expect, actual: Outcome) -> list[str]:
    """Compare what stands behind the kind, and the plain fields."""
    value: Any = getattr(expected, expected.kind)
    name, was = _subject(actual)
    mismatches = []
    if value is not True and not _same(expected.kind, value, was):
        wanted = span(value) if isinstance(value, timedelta) else value
        mismatches.append(
            f"{name}: expected {wanted}, was {span(was) if name == 'wait' and was else was}"
        )
    for name in _FIELDS:
        wanted = getattr(expected, name)
        if wanted is not None and wanted != actual.detail.get(name):
            mismatches.append(f"{name}: expected {wanted!r}, was {actual.detail.get(name)!r}")
    return mismatches


def _subject(outcome: Outcome) -> tuple[str, Any]:
    """Return what stands behind the kind of an outcome, and how it is called."""
    body = outcome.detail.get("body") or {}
    if outcome.kind in EFFECTS:
        name = {"set": "attributes", "tag": "tags", "untag": "tags", "emit": "event"}
        key = name.get(outcome.kind, "url" if outcome.kind == "webhook" else "segment")
        return key, body.get(key)
    key = {"send": "template", "wait": "wait"}.get(outcome.kind, "reason")
    return key, outcome.detail.get(key)


def _same(kind: str, value: Any, was: Any) -> bool:
    if kind == "set":
        return all(key in was and was[key] == wanted for key, wanted in value.items())
    if kind in ("tag", "untag"):
        return value in was
    if kind in ("skip", "exit", "cancel", "webhook"):
        return str(was or "").startswith(value)
    return was == value


def _texts(expected: Expect, actual: Outcome) -> list[str]:
    return said(expected.says, expected.never_says, str(actual.detail.get("content") or ""))


def said(says: Sequence[str], never: Sequence[str], content: str) -> list[str]:
    """Return which texts are missing from a message, and which stand there and should not."""
    lacking = [f"does not say {text!r} in {content!r}" for text in says if text not in content]
    return lacking + [f"says {text!r} in {content!r}" for text in never if text in content]


def described(scene: Scene, outcome: Outcome) -> str:
    """Return an outcome in a few words."""
    detail = outcome.detail
    name, what = _subject(outcome)
    what = (span(what) if what else "") if name == "wait" else what or detail.get("content") or ""
    if outcome.kind == "member":
        what = "into the segment" if detail["change"] == "entered_segment" else "out of the segment"
    why = f" [{detail['variant']}]" if detail.get("variant") else ""
    why += f" ({detail['reason']})" if outcome.kind == "send" and detail.get("reason") else ""
    words = f"{outcome.kind} {str(what)[:60]}".strip()
    at = moment(scene.test.clock, outcome.at)
    return f"{words}{why} · {outcome.fan} · {outcome.rule} · {at}"


def expectation(expected: Expect) -> str:
    """Return an expectation as it is written."""
    data = {key: getattr(expected, key) for key in sorted(expected.model_fields_set)}
    order = sorted(data, key=lambda key: key != expected.kind)
    return ", ".join(f"{key}: {_plain(data[key])}" for key in order)


def _plain(value: Any) -> str:
    if isinstance(value, timedelta):
        return span(value)
    return ", ".join(map(str, value)) if isinstance(value, tuple) else str(value)


def moment(clock: datetime, at: datetime) -> str:
    """Return an instant as the time since the test's start, and as what it is."""
    return f"{span(at - clock)} ({at.astimezone(UTC):%Y-%m-%d %H:%M:%SZ})"


def span(value: timedelta) -> str:
    """Return a duration in all its units, such as `1d 2h 30m`."""
    seconds = int(abs(value).total_seconds())
    parts = []
    for unit, size in _UNITS:
        count, seconds = divmod(seconds, size)
        if count:
            parts.append(f"{count}{unit}")
    return ("-" if value < timedelta(0) else "") + (" ".join(parts) or "0s")
