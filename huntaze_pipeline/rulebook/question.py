"""One thing to ask of every event of a batch, as SQL over the relations `event` and `fan`.

How many are answered at once is `matching`'s business.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from huntaze_pipeline.rulebook.behaviour import Feature, union
from huntaze_pipeline.rulebook.compiler import dig
from huntaze_pipeline.rulebook.conditions import parse
from huntaze_pipeline.rulebook.language import quote
from huntaze_pipeline.rulebook.schema import Automation
from huntaze_pipeline.rulebook.steps import Occurrence

_MOMENT = 'event."moment"'


@dataclass(frozen=True)
class Question:
    """One thing to ask of every event of a batch."""

    event_name: str | None
    sql: str
    """What must be true; null, where something cannot be known, is a no."""
    features: tuple[Feature, ...] = ()
    """Columns of `fan` that the SQL reads besides its own."""
    reads: frozenset[str] = frozenset()
    """The fields that it names, as `fan.name`."""
    taken: tuple[str, ...] = ()
    """The parts of the SQL that are worth being worked out once for many questions."""

    def __hash__(self) -> int:
        """Hash what tells most apart: a batch looks every question up."""
        return hash((self.event_name, self.sql))


def triggered(rule: Automation) -> Question:
    """Return the question whether an event lets its fan enter an automation."""
    trigger = rule.trigger
    return _of_event(trigger.event, trigger.platform, trigger.properties, rule.conditions)


def occurred(what: Occurrence) -> Question:
    """Return the question whether an event is the one that is waited for."""
    return _of_event(what.event, what.platform, what.properties, what.conditions)


def holds(*conditions: Any, event: str | None = None) -> Question:
    """Return the question whether all of some conditions hold.

    Args:
        conditions: as they are written; None is always true.
        event: ask it of events with this name only; None: of every row.
    """
    read = [parse(where) for where in conditions if where is not None]
    written = [condition.written(_MOMENT) for condition in read]
    sql = " AND ".join(each.sql for each in written)
    features = union(*(condition.features for condition in read))
    reads = frozenset[str]().union(*(condition.reads for condition in read))
    taken = dict.fromkeys(part for each in written for part in each.taken)
    return Question(event, sql or "true", features, reads, tuple(taken))


def _of_event(
    event: str | None, platforms: Sequence[str], properties: Mapping[str, Any], where: Any
) -> Question:
    condition = parse(where)
    written = condition.written(_MOMENT)
    parts, reads = [written.sql], set(condition.reads)
    taken = dict.fromkeys(written.taken)
    if platforms:
        reads.add("event.platform")
        names = ", ".join(quote(name) for name in platforms)
        parts.append(f"event.platform IN ({names})")
    for key, value in sorted(properties.items()):
        reads.add("event.properties")
        found = dig("event", "properties", key)
        taken[found] = None
        wanted = quote(str(value).lower() if isinstance(value, bool) else str(value))
        parts.append(f"({found} = {wanted})")
    sql = " AND ".join(parts)
    return Question(event, sql, condition.features, frozenset(reads), tuple(taken))
