"""From a test in a rule file to a world in which it has happened."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from huntaze_pipeline import clock
from huntaze_pipeline.campaigns import quiet
from huntaze_pipeline.campaigns.writing import Campaign
from huntaze_pipeline.events.envelope import Event, micros
from huntaze_pipeline.rehearsal import broadcast, cast
from huntaze_pipeline.rehearsal.broadcast import Broadcast
from huntaze_pipeline.rehearsal.cast import CREATOR, Actor
from huntaze_pipeline.rehearsal.world import World
from huntaze_pipeline.rulebook import flow, references
from huntaze_pipeline.rulebook.cases import Happening, Past, SegmentCase, Setting
from huntaze_pipeline.rulebook.conditions import parse
from huntaze_pipeline.rulebook.live import LiveAutomation
from huntaze_pipeline.rulebook.loader import Rulebook
from huntaze_pipeline.rulebook.schema import Automation, Settings

LONGEST = timedelta(days=800)
"""A test that waits longer than this without an end is cut off."""
_SEGMENT_EVENTS = ("entered_segment", "left_segment")


@dataclass(frozen=True)
class Scene:
    """A test, the rules that are live in it, and the fans' own clocks."""

    test: Setting
    rulebook: Rulebook
    rules: Sequence[str]
    """Automations."""
    campaigns: Sequence[str] = ()

    def instant(self, when: timedelta | datetime, fan: str | None) -> datetime:
        """Return a moment of the test in UTC; without a zone it is the fan's own clock."""
        if isinstance(when, timedelta):
            return self.test.clock + when
        if when.tzinfo is not None:
            return when.astimezone(UTC)
        person = self.test.fans[self.owner(fan or self.somebody)]
        zone = clock.zone(person.zone, self._creator()["zone"])
        return quiet.instants(when.date(), when.time(), zone)[0]

    @property
    def somebody(self) -> str:
        """The fan who is meant when none is named."""
        return next(iter(self.test.fans))

    def those(self, name: str | None) -> list[str]:
        """Return the ids of the fans who are meant by a name of the test."""
        name = name or self.somebody
        times = self.test.fans[name].times
        return [name] if times == 1 else [f"{name}-{i + 1}" for i in range(times)]

    def owner(self, fan: str) -> str:
        """Return the name in the test that a fan goes by."""
        return fan if fan in self.test.fans else fan.rpartition("-")[0]

    def planned(self) -> dict[str, Campaign | None]:
        """Return the campaigns as they are started when the test begins; None: it is over then."""
        creator, now = self._creator(), self.test.clock
        return {n: broadcast.planned(self.rulebook, n, creator, now) for n in self.campaigns}

    def play(self) -> World:
        """Return the world after everything has happened."""
        world = self._world()
        happenings = self.test.events
        timed = sorted(
            ((self.instant(h.at, h.fan), i) for i, h in enumerate(happenings)), key=lambda t: t
        )
        for at, i in timed:
            world.advance(at)
            self._happen(world, happenings[i], at, f"event-{i + 1}")
        self._end(world)
        return world

    def memberships(self) -> list[dict[str, set[str]]]:
        """Return, for each expectation of a segment's test, who is in which segment then."""
        assert isinstance(self.test, SegmentCase)
        world = self._world()
        events = sorted((self.instant(h.at, h.fan), 0, i) for i, h in enumerate(self.test.events))
        asked = sorted((self.instant(e.at, None), 1, i) for i, e in enumerate(self.test.expect))
        answers: dict[int, dict[str, set[str]]] = {}
        for at, question, i in sorted([*events, *asked]):
            world.now = at
            if question:
                answers[i] = world.members(list(world.segments), [at])[at]
            else:
                self._happen(world, self.test.events[i], at, f"event-{i + 1}")
        return [answers[i] for i in range(len(self.test.expect))]

    def _end(self, world: World) -> None:
        """Go on until the test's end, or until nothing more is to come."""
        last = world.now
        for wanted in getattr(self.test, "expect", ()):
            if wanted.at is not None:
                last = max(last, self.instant(wanted.at, wanted.fan))
        if self.test.until is not None:
            world.advance(self.instant(self.test.until, None))
            return
        world.advance(last)
        while (due := world.pending()) is not None and due - self.test.clock <= LONGEST:
            world.advance(max(due, world.now))

    def _world(self) -> World:
        actors = {
            fan: cast.actor(fan, person, self.rulebook.policies, self.test.clock)
            for name, person in self.test.fans.items()
            for fan in self.those(name)
        }
        log: list[Event] = []
        for i, past in enumerate(self.test.before):
            at = self.test.clock - past.ago
            log += self._past(past, actors, at, f"before-{i + 1}")
        return World(
            now=self.test.clock,
            creator=self._creator(),
            actors=actors,
            policies=self.rulebook.policies,
            automations=[_live(self.rulebook, name) for name in self.rules],
            broadcasts=[Broadcast.of(self.rulebook, c) for c in self.planned().values() if c],
            segments=self.rulebook.segments,
            watched=self._watched(),
            log=sorted(log, key=lambda event: event.occurred_at),
            contacts=self._contacts(log),
        )

    def _past(
        self, past: Past, actors: Mapping[str, Actor], at: datetime, name: str
    ) -> Iterable[Event]:
        for i, fan in enumerate(self.those(past.fan)):
            actors[fan].consents.update(past.consents)
            if past.event is not None:
                event = self._event(past, actors[fan], at, _each(name, i))
                actors[fan].happens(event.name, event.platform or "", at)
                yield event

    def _contacts(self, log: Sequence[Event]) -> dict[tuple[str, str], dict[str, datetime]]:
        """Return the messages that were sent before the test, as far as caps count them."""
        found: dict[tuple[str, str], dict[str, datetime]] = {}
        for event in log:
            topic = str(event.properties.get("topic", Settings().topic))
            if event.name == "sent" and self.rulebook.policies.topic(topic).capped:
                mine = found.setdefault((event.creator_id, event.fan_id), {})
                mine[event.event_id] = event.occurred_at
        return found

    def _happen(self, world: World, happening: Happening, at: datetime, name: str) -> None:
        if happening.winner is not None:
            arm = None if happening.winner == "none" else happening.winner
            world.settle(happening.campaign, arm)
            return
        for i, fan in enumerate(self.those(happening.fan)):
            actor = world.actors[fan]
            actor.consents.update(happening.consents)
            if happening.event is not None:
                world.react(self._event(happening, actor, at, _each(name, i)))

    def _event(self, happening: Happening, fan: Actor, at: datetime, name: str) -> Event:
        assert happening.event is not None
        platform = happening.platform or self._platform(happening.event, fan)
        value = None if happening.value is None else micros(happening.value)
        return Event(
            creator_id=CREATOR, event_id=_own(happening.id, name), name=happening.event,
            fan_id=fan.id, occurred_at=at, source="api", platform=platform,
            account_id=platform and f"{CREATOR}-{platform}", campaign_id=happening.campaign,
            message_id=happening.message, value_micros=value,
            currency=None if value is None else happening.currency,
            properties=dict(happening.properties),
        )  # fmt: skip

    def _platform(self, event: str, fan: Actor) -> str | None:
        """Return where an event that does not say comes from: where a trigger wants it."""
        triggers = [self.rulebook.automations[name].trigger for name in self.rules]
        wanted = [p for t in triggers if t.event == event for p in t.platform]
        known = fan.person.platforms
        if event in _SEGMENT_EVENTS:
            return None
        return next((p for p in known if p in wanted), (wanted or list(known) or [None])[0])

    def _creator(self) -> dict[str, Any]:
        usual = {"id": CREATOR, "name": "Maya", "zone": "UTC", "currency": "USD"}
        return {**usual, **self.test.creator}

    def _watched(self) -> list[str]:
        """Return the segments that these rules can see: they are worth an hourly look."""
        seen: set[str] = set()
        for name in self.rules:
            seen |= _asked(self.rulebook.automations[name])
        for name in self.campaigns:
            aim = self.rulebook.campaigns[name].targeting
            seen |= {*aim.segments, *aim.exclude}
        return sorted(name for name in seen if name in self.rulebook.segments)


def _each(name: str, i: int) -> str:
    return f"{name}#{i + 1}" if i else name


def _own(wanted: str | None, name: str) -> str:
    """Return an event's id as the test gives it; of a crowd's, each has its own."""
    return name if wanted is None else wanted + "".join(name.partition("#")[1:])


def _asked(rule: Automation) -> set[str]:
    """Return the segments that an automation names."""
    found = {str(rule.trigger.properties.get("segment", "")), rule.trigger.segment or ""}
    conditions = [rule.conditions, rule.exit.conditions if rule.exit else None]
    for op in flow.program(rule):
        step, wait = op.step, op.step.wait
        found |= {step.join or "", step.leave or ""}
        conditions += [step.conditions, step.if_, wait.conditions if wait else None]
        conditions += [None if step.exit is True else step.exit]
    return found.union(*(parse(where).segments for where in conditions))


def _live(rulebook: Rulebook, name: str) -> LiveAutomation:
    rule = rulebook.automations[name]
    used = {t: rulebook.templates[t] for t in references.templates_of(rule)}
    return LiveAutomation(CREATOR, name, rule, rulebook.hash("automations", name), used)
