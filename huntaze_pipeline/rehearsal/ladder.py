"""The gates of law 7, each asked alone: what it saw, and whether it let a message through.

The verdicts are the live `judge`'s, given facts of which only one gate's are real; how gates work
together (a hold that moves into quiet hours) is its business when it is given all of them.
"""

from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from huntaze_pipeline.campaigns import gates
from huntaze_pipeline.campaigns.gates import Facts, Verdict
from huntaze_pipeline.rulebook.policies import Policies


@dataclass(frozen=True)
class Rung:
    """One gate's answer."""

    gate: str
    saw: Any
    verdict: Verdict

    @property
    def line(self) -> str:
        """It as text."""
        if self.verdict.outcome == "pass":
            return f"✓ {self.gate:<16} {self.saw}"
        at = self.verdict.earliest_at
        later = f", yes from {at:%Y-%m-%d %H:%M} UTC on" if at else ""
        return f"✗ {self.gate:<16} {self.saw}: {self.verdict.outcome}, {self.verdict.reason}{later}"


def climb(facts: Facts, policies: Policies, now: datetime) -> list[Rung]:
    """Return every gate's own answer, in the order in which they are passed."""
    open_hours = policies.without_quiet_hours()
    moment = max(now, facts.not_before)
    free = replace(
        facts, consent=True, suppressed=None, account="active", last_inbound_at=moment,
        contacts=(), expires_at=None,
    )  # fmt: skip
    seen: list[tuple[str, Any, dict[str, Any], Policies]] = [
        ("account", facts.account or "none", {"account": facts.account}, open_hours),
        ("consent", f"{facts.topic}: {_answer(facts.consent)}", {"consent": facts.consent},
         open_hours),
        ("suppression", facts.suppressed or "none", {"suppressed": facts.suppressed}, open_hours),
        ("platform window", _inbound(facts, policies),
         {"last_inbound_at": facts.last_inbound_at}, open_hours),
        ("frequency cap", f"{len(facts.contacts)} messages known", {"contacts": facts.contacts},
         open_hours),
        ("quiet hours", f"{moment.astimezone(facts.zone):%H:%M} in {facts.zone.key}", {}, policies),
        ("expiry", (facts.expires_at and f"{facts.expires_at:%Y-%m-%d %H:%M} UTC") or "none",
         {"expires_at": facts.expires_at}, open_hours),
    ]  # fmt: skip
    return [
        Rung(name, saw, gates.judge(replace(free, **real), with_, now))
        for name, saw, real, with_ in seen
    ]


def _answer(consent: bool | None) -> str:
    return {True: "yes", False: "no", None: "never asked"}[consent]


def _inbound(facts: Facts, policies: Policies) -> str:
    window = policies.platform(facts.platform).reply_window
    if window is None:
        return f"none on {facts.platform}"
    last = facts.last_inbound_at
    return f"{window} after {last:%Y-%m-%d %H:%M} UTC" if last else "the fan never wrote"
