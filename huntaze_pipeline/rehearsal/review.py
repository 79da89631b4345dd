"""The past of one rule from beginning to end: run over a period, and what that amounts to."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from huntaze_pipeline.rehearsal import backtest, mailing, meaning, tides
from huntaze_pipeline.rehearsal.mailing import Script
from huntaze_pipeline.rehearsal.past import Past
from huntaze_pipeline.rulebook.live import LiveAutomation
from huntaze_pipeline.rulebook.policies import Policies
from huntaze_pipeline.rulebook.schema import Segment


def automation(
    past: Past, rules: Sequence[LiveAutomation], policies: Policies, start: datetime, end: datetime
) -> dict[str, Any]:
    """Return what an automation would have done; entries from before the period count as such."""
    entered = backtest.entered(past, rules, start)
    trial = backtest.automation(past, rules, policies, start, end, entered)
    return meaning.summary(past, trial, rules[0].id, policies)


def campaign(
    past: Past,
    scripts: Sequence[Script],
    policies: Policies,
    start: datetime,
    end: datetime,
    *,
    once: bool,
) -> dict[str, Any]:
    """Return what a campaign would have sent: at the start once, or whenever it was due."""
    past.open(end)
    found: list[Script] = []
    for script in scripts:
        found += [mailing.at(script, start)] if once else mailing.occurrences(script, start, end)
    done = mailing.run(past, found, policies, start, end)
    return meaning.mailed(past, done, scripts[0].campaign.id, policies)


def segment(
    past: Past,
    rules: Mapping[tuple[str, ...], Mapping[str, Segment]],
    name: str,
    start: datetime,
    end: datetime,
) -> dict[str, Any]:
    """Return who would have been in a segment, day by day, over all creators who have it."""
    past.open(end)
    parts = []
    for creators, segments in rules.items():
        past.creators = creators
        parts.append(tides.run(past, segments, name, start, end))
    return tides.summary(name, tides.together(parts))
