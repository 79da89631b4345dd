"""A campaign as someone asks for it, and the check that names every fault of it at once.

Pure: what exists (templates, segments) is passed in. Storing it and its later life are `lifecycle`.
"""

import re
from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass, field
from datetime import date, datetime
from difflib import get_close_matches
from typing import Any

from huntaze_pipeline import hashing
from huntaze_pipeline.errors import Problem
from huntaze_pipeline.rulebook import calendar
from huntaze_pipeline.rulebook.schema import FALLBACKS
from huntaze_pipeline.store.people import PLATFORMS

PRIORITIES = ("high", "medium", "low")
_YEAR_S = 366 * 86_400
METRICS = ("opened", "clicked", "converted", "revenue")


@dataclass(frozen=True, slots=True)
class Arm:
    """One variant that is asked for."""

    id: str
    weight: float = 1.0
    template_id: str | None = None
    variables: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Trial:
    """The A/B test that is asked for, with the rule by which it will be decided."""

    arms: tuple[Arm, ...]
    metric: str = "clicked"
    window_s: int = 86_400
    planned_n: int | None = None
    alpha: float = 0.05
    fallback: str = "control"
    """control, highest, none or a variant's id"""
    share: float = 1.0
    """Part of the audience that is in the test; the rest waits for the winner."""
    maximum_s: int | None = None
    margin: float | None = None
    guardrail: float = 0.01


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """Everything that a new campaign says about itself."""

    name: str
    type: str = "broadcast"
    platforms: tuple[str, ...]
    template_id: str | None
    start_at: datetime | None = None
    end_at: datetime | None = None
    recurring: str | None = None
    start_day: date | None = None
    """Instead of `start_at`, with `local_time`: a day, in the creator's zone."""
    local_time: str | None = None
    """18:00 on each fan's own clock."""
    segments: tuple[str, ...] = ()
    excluded: tuple[str, ...] = ()
    cap: int | None = None
    settings: Mapping[str, Any] = field(default_factory=dict)
    trial: Trial | None = None

    @property
    def content_hash(self) -> str:
        """The hash of all of it: two requests that ask for the same have the same."""
        return hashing.content(asdict(self))


@dataclass(frozen=True, slots=True)
class Known:
    """What a draft may refer to."""

    templates: Mapping[str, Collection[str]]
    """Template id → the platforms that it has content for."""
    segments: Collection[str]
    variables: Mapping[str, Mapping[str, bool]] = field(default_factory=dict)
    """Template id → its variables, each with whether it must be given."""
    goals: Collection[str] | None = None
    """Names of goals; None: any."""


def faults(draft: Draft, known: Known, now: datetime) -> list[Problem]:
    """Return everything that is wrong with a draft; empty means that it can be stored."""
    return [
        *_identity(draft),
        *_content(draft, known),
        *_schedule(draft, now),
        *_targeting(draft, known),
        *_trial(draft, known),
        *_words(draft, known),
        *_goal(draft, known),
    ]


def _identity(draft: Draft) -> list[Problem]:
    problems: list[Problem] = []
    if not draft.name.strip():
        problems.append(Problem("name", "is empty"))
    if not draft.type.strip():
        problems.append(Problem("type", "is empty; write what kind of campaign it is: broadcast"))
    if not draft.platforms:
        problems.append(Problem("platforms", f"is empty; one or more of {', '.join(PLATFORMS)}"))
    for index, platform in enumerate(draft.platforms):
        if platform not in PLATFORMS:
            problems.append(
                Problem(f"platforms.{index}", _unknown("platform", platform, PLATFORMS))
            )
        elif platform in draft.platforms[:index]:
            problems.append(Problem(f"platforms.{index}", f"{platform} is named twice"))
    priority = draft.settings.get("priority")
    if priority is not None and priority not in PRIORITIES:
        problems.append(Problem("settings.priority", _unknown("priority", priority, PRIORITIES)))
    return problems


def _content(draft: Draft, known: Known) -> list[Problem]:
    if draft.template_id is None:
        if draft.trial and all(arm.template_id for arm in draft.trial.arms):
            return []
        return [Problem("templateId", "is missing: a campaign needs a template to send")]
    return _template(draft.template_id, "templateId", draft, known)


def _template(name: str, where: str, draft: Draft, known: Known) -> list[Problem]:
    if name not in known.templates:
        return [Problem(where, _unknown("template", name, known.templates))]
    missing = [p for p in draft.platforms if p in PLATFORMS and p not in known.templates[name]]
    if missing:
        return [Problem(where, f"template {name} has no content for {', '.join(missing)}")]
    return []


def _words(draft: Draft, known: Known) -> list[Problem]:
    """Name variables that a template needs and does not get, or gets and does not know."""
    shared: Mapping[str, Any] = draft.settings.get("variables") or {}
    uses = [(draft.template_id, shared, "settings.variables")]
    if draft.trial is not None:
        uses = [
            (arm.template_id or draft.template_id, {**shared, **arm.variables},
             f"abTests.0.variants.{index}.variables")
            for index, arm in enumerate(draft.trial.arms)
        ]  # fmt: skip
    problems: list[Problem] = []
    for template, given, where in uses:
        names = known.variables.get(template or "")
        if names is None:
            continue
        lacking = [n for n, needed in sorted(names.items()) if needed and given.get(n) is None]
        problems += [Problem(where, f"template {template} needs {n!r}") for n in lacking]
        extra = [n for n in sorted(given) if n not in names]
        problems += [Problem(f"{where}.{n}", _unknown("variable", n, names)) for n in extra]
    return list(dict.fromkeys(problems))


def _goal(draft: Draft, known: Known) -> list[Problem]:
    goal = draft.settings.get("goal")
    if goal is None or known.goals is None or goal in known.goals:
        return []
    return [Problem("settings.goal", _unknown("goal", goal, known.goals))]


def _schedule(draft: Draft, now: datetime) -> list[Problem]:
    problems: list[Problem] = []
    for name, at in (("startDate", draft.start_at), ("endDate", draft.end_at)):
        if at is not None and at.tzinfo is None:
            problems.append(Problem(f"schedule.{name}", "has no zone: write 2026-03-02T12:00:00Z"))
            return problems
    if draft.end_at is not None and draft.end_at <= now:
        problems.append(Problem("schedule.endDate", "is in the past"))
    elif draft.end_at is not None and draft.start_at is not None and draft.end_at <= draft.start_at:
        problems.append(Problem("schedule.endDate", "must be after startDate"))
    fault = None if draft.recurring is None else calendar.fault(draft.recurring, calendar.RECURRING)
    if fault is not None:
        problems.append(Problem("schedule.recurring", fault))
    return [*problems, *_local(draft)]


def _local(draft: Draft) -> list[Problem]:
    """A time of fans' own clocks, and a day for it."""
    problems: list[Problem] = []
    if draft.local_time is None:
        if draft.start_day is not None:
            what = f"is a day: write {draft.start_day}T18:00:00Z, or a localTime beside it"
            problems.append(Problem("schedule.startDate", what))
        return problems
    if not re.fullmatch(r"([01]\d|2[0-3]):[0-5]\d", draft.local_time):
        what = f"{draft.local_time!r} is no time of day: write 18:00"
        problems.append(Problem("schedule.localTime", what))
    line = (draft.recurring or "").split()
    if len(line) == 5 and line[:2] != ["0", "0"]:
        what = f"the time of day is localTime's; write '0 0 {' '.join(line[2:])}'"
        problems.append(Problem("schedule.recurring", what))
    return problems


def _targeting(draft: Draft, known: Known) -> list[Problem]:
    problems: list[Problem] = []
    for name, ids in (("segmentIds", draft.segments), ("excludeSegmentIds", draft.excluded)):
        for index, segment in enumerate(ids):
            if segment not in known.segments:
                what = _unknown("segment", segment, known.segments)
                problems.append(Problem(f"targeting.{name}.{index}", what))
    if draft.cap is not None and draft.cap < 1:
        problems.append(Problem("targeting.cap", "must be 1 or more"))
    return problems


def _trial(draft: Draft, known: Known) -> list[Problem]:
    if draft.trial is None:
        return []
    return [*_rule(draft.trial), *_arms(draft.trial, draft, known)]


def _rule(trial: Trial) -> list[Problem]:
    """How it is decided."""
    problems: list[Problem] = []
    names = [arm.id for arm in trial.arms]
    if trial.metric not in METRICS:
        problems.append(Problem("abTests.0.metric", _unknown("metric", trial.metric, METRICS)))
    if not 60 <= trial.window_s <= _YEAR_S:
        problems.append(Problem("abTests.0.window", "must lie between 1m and 366d"))
    if trial.maximum_s is not None and trial.maximum_s < trial.window_s:
        problems.append(Problem("abTests.0.maximum", "is shorter than window: nobody would count"))
    if trial.fallback not in (*names, *FALLBACKS):
        what = _unknown("fallback", trial.fallback, [*FALLBACKS, *names])
        problems.append(Problem("abTests.0.fallback", what))
    return problems


def _arms(trial: Trial, draft: Draft, known: Known) -> list[Problem]:
    problems: list[Problem] = []
    names = [arm.id for arm in trial.arms]
    if len(names) < 2:
        problems.append(Problem("abTests.0.variants", "an A/B test needs two variants or more"))
    if trial.arms and not any(arm.weight > 0 for arm in trial.arms):
        problems.append(
            Problem("abTests.0.variants", "all weights are 0: nobody would get anything")
        )
    for index, arm in enumerate(trial.arms):
        where = f"abTests.0.variants.{index}"
        if arm.id in names[:index]:
            problems.append(Problem(f"{where}.id", f"variant {arm.id} is named twice"))
        if arm.template_id is not None:
            problems += _template(arm.template_id, f"{where}.templateId", draft, known)
    return problems


def _unknown(kind: str, name: str, names: Collection[str]) -> str:
    near = get_close_matches(name, list(names), n=1)
    if near:
        return f"there is no {kind} {name!r}; did you mean {near[0]!r}?"
    listed = ", ".join(sorted(names)[:20]) or "there are none yet"
    return f"there is no {kind} {name!r}; known: {listed}"
