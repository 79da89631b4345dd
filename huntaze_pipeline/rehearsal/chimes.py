"""The clocks of a rehearsed world: schedules, anniversaries and silences, as the events they make.

The moments are `rulebook.calendar`'s, as in production; here they are taken one after the other.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from huntaze_pipeline import clock
from huntaze_pipeline.events.envelope import Event
from huntaze_pipeline.rehearsal.cast import CREATOR, Actor
from huntaze_pipeline.rulebook import calendar
from huntaze_pipeline.rulebook.live import LiveAutomation
from huntaze_pipeline.rulebook.trigger import TIMED, Trigger

_FAR = timedelta(days=800)


@dataclass(frozen=True)
class Chime:
    """A moment at which a trigger's time has come for a fan."""

    at: datetime
    trigger: Trigger
    fan: str
    name: str
    """What makes it unique for this trigger and fan: the wall clock, or the last event's time."""
    more: Mapping[str, Any]

    def event(self) -> Event:
        """Return the event that it is made into."""
        key = self.trigger.key
        return Event(
            creator_id=CREATOR, event_id=f"clock:{key}:{self.name}:{self.fan}",
            name=self.trigger.event, fan_id=self.fan, occurred_at=self.at, source="clock",
            properties={"trigger": key, **self.more},
        )  # fmt: skip


@dataclass
class Clocks:
    """What rings in a world."""

    automations: Sequence[LiveAutomation]
    zone: str
    """The creator's."""
    since: datetime
    """When the rules went live; moments after it count."""

    def upcoming(
        self, actors: Mapping[str, Actor], log: Sequence[Event], after: datetime
    ) -> Iterator[Chime]:
        """Yield the next chime after an instant of each trigger and fan."""
        timed = {a.rule.trigger.key: a.rule.trigger for a in self.automations
                 if a.rule.trigger.kind in TIMED and a.rule.active}  # fmt: skip
        for trigger in timed.values():
            for actor in actors.values():
                found = self._next(trigger, actor, log, after)
                if found is not None:
                    yield found

    def silences(
        self, actors: Mapping[str, Actor], log: Sequence[Event], after: datetime
    ) -> list[datetime]:
        """Return when silences will be long enough; these end by themselves, calendars never."""
        found = self.upcoming(actors, log, after)
        return [chime.at for chime in found if chime.trigger.kind == "silence"]

    def _next(
        self, trigger: Trigger, actor: Actor, log: Sequence[Event], after: datetime
    ) -> Chime | None:
        if trigger.silence is not None:
            return self._silence(trigger, actor, log, after)
        zone = actor.person.zone if trigger.zone != "creator" else None
        where = clock.zone(zone, self.zone)
        if trigger.anniversary is not None:
            day = _day(trigger.anniversary, actor, log, where)
            return _anniversary(trigger, actor, day, where, after) if day else None
        at = calendar.following(trigger.cron, where, after)
        if at is None or at - after > _FAR:
            return None
        name = f"{at.astimezone(where):%Y-%m-%dT%H:%M}"
        return Chime(at, trigger, actor.id, name, {"moment": name})

    def _silence(
        self, trigger: Trigger, actor: Actor, log: Sequence[Event], after: datetime
    ) -> Chime | None:
        silence = trigger.silence
        assert silence is not None
        times = [
            event.occurred_at for event in log
            if event.fan_id == actor.id and event.name in silence.event
            and (not silence.platform or event.platform in silence.platform)
        ]  # fmt: skip
        if not times:
            return None
        last = max(times)
        at = last + silence.for_
        if at <= max(after, self.since):
            return None
        return Chime(at, trigger, actor.id, last.isoformat(), {"last": last.isoformat()})


def _anniversary(
    trigger: Trigger, actor: Actor, day: date, where: ZoneInfo, after: datetime
) -> Chime | None:
    """Return the next one after an instant; whole years are skipped, not walked through."""
    first = max(after.astimezone(where).year, day.year + 1)
    for year in range(first, first + 3):
        this = _in(day, year)
        eve = datetime.combine(this, time(), where) - timedelta(minutes=1)
        at = calendar.following(trigger.cron, where, max(after, eve.astimezone(UTC)))
        if at is None or at - after > _FAR:
            return None
        local = at.astimezone(where)
        if local.date() == this:
            name = f"{local:%Y-%m-%dT%H:%M}"
            return Chime(at, trigger, actor.id, name, {"moment": name, "years": year - day.year})
    return None


def _day(name: str, actor: Actor, log: Sequence[Event], where: Any) -> date | None:
    """Return the date that an anniversary is of; an attribute that is no date is none."""
    if name == "birthday":
        return actor.person.birthday
    if name == "subscribed":
        times = [e.occurred_at for e in log if e.fan_id == actor.id and e.name == "subscribed"]
        return max(times).astimezone(where).date() if times else None
    try:
        return date.fromisoformat(str(actor.attributes.get(name.removeprefix("attributes."))))
    except ValueError:
        return None


def _in(day: date, year: int) -> date:
    """Return the day in another year; of 29 February the 28th where there is none."""
    try:
        return day.replace(year=year)
    except ValueError:
        return day.replace(year=year, day=28)
