"""The ways of a campaign: its audience's edges, platforms, variants, and each gate that may refuse.

Belongs here: what a campaign's tests should have tried. Counting is `coverage`'s.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from huntaze_pipeline.rehearsal.outcome import Outcome
from huntaze_pipeline.rulebook import references
from huntaze_pipeline.rulebook.policies import Policies
from huntaze_pipeline.rulebook.schema import Campaign, Template

Path = tuple[str | int, ...]
_GOES, _REFUSED = ("send",), ("send", "skip")
"""A message that is put off has a reason as well as one that is refused."""


@dataclass(frozen=True)
class Reach:
    """One way of a campaign, and where it is written."""

    rule: str
    path: Path
    what: str
    kinds: tuple[str, ...]
    key: str = "reason"
    words: tuple[str, ...] = ()
    """What the outcome says under the key; none: anything."""

    def gone(self, outcome: Outcome) -> bool:
        """Say whether an outcome goes this way."""
        if outcome.rule != self.rule or outcome.kind not in self.kinds:
            return False
        said = outcome.detail.get(self.key)
        return said in self.words if self.words else said is not None


def ways(
    name: str, rule: Campaign, templates: Mapping[str, Template], policies: Policies
) -> list[Reach]:
    """Return every way of a campaign.

    Args:
        name: its id.
        rule: its file.
        templates: those of the rulebook.
        policies: which gates there are.
    """
    audience = _audience(name, rule)
    return [*audience, *_messages(name, rule), *_gates(name, rule, templates, policies)]


def _audience(name: str, rule: Campaign) -> Iterator[Reach]:
    aim, test = rule.targeting, rule.experiment
    edges = {
        "segments": ("audience", "nobody is outside its segments", bool(aim.segments)),
        "exclude": ("excluded", "nobody is excluded", bool(aim.exclude)),
        "cap": ("cap", "nobody is one too many for the cap", aim.cap is not None),
    }
    for key, (why, what, there) in edges.items():
        if there:
            yield Reach(name, ("targeting", key), what, ("out",), words=(why,))
    if rule.holdout:
        yield Reach(name, ("holdout",), "nobody is held out", ("hold",))
    if test is not None and test.share < 1:
        path = ("experiment", "share")
        yield Reach(name, path, "nobody waits for the winner", ("wait",))
        yield Reach(name, path, "nobody gets what has won", _GOES, "followed")


def _messages(name: str, rule: Campaign) -> Iterator[Reach]:
    for i, platform in enumerate(rule.platforms):
        what = f"nobody gets it on {platform}"
        yield Reach(name, ("platforms", i), what, _GOES, "platform", (platform,))
    for i, arm in enumerate(rule.variants):
        if arm.weight > 0:
            what = f"nobody gets the variant {arm.id!r}"
            yield Reach(name, ("variants", i), what, _GOES, "variant", (arm.id,))


def _gates(
    name: str, rule: Campaign, templates: Mapping[str, Template], policies: Policies
) -> Iterator[Reach]:
    used = [templates[t].settings.topic for t in references.templates_of(rule) if t in templates]
    topics = [policies.topic(topic) for topic in ([rule.topic] if rule.topic else used)]
    path: Path = ("topic",) if rule.topic else ("template",)
    if any(topic.consent for topic in topics):
        words = ("no_consent", "consent_withdrawn")
        yield Reach(name, path, "nobody is refused for lack of consent", ("skip",), words=words)
    if policies.quiet_hours and any(topic.quiet_hours for topic in topics):
        what = "nobody is in the quiet hours"
        yield Reach(name, path, what, _REFUSED, words=("quiet_hours",))
    if policies.file.caps and any(topic.capped for topic in topics):
        what = "nobody has had too many messages"
        yield Reach(name, path, what, _REFUSED, words=("frequency_cap",))
    if any(policies.platform(platform).reply_window for platform in rule.platforms):
        what = "nobody is outside a platform's window"
        yield Reach(name, ("platforms",), what, ("skip",), words=("outside_window",))
