"""Segments as SQL: one boolean each, with the segments that they name written out.

The evaluation itself is `audience.segments`'.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from huntaze_pipeline.errors import Problem, RuleError
from huntaze_pipeline.rulebook.conditions import parse
from huntaze_pipeline.rulebook.language import quote
from huntaze_pipeline.rulebook.live import LiveSegment
from huntaze_pipeline.rulebook.schema import Segment


@dataclass(frozen=True)
class Selection:
    """One creator's segment, ready to be evaluated over the alias `fan`."""

    creator_id: str
    id: str
    predicate: str


def selections(segments: Sequence[LiveSegment], now: datetime) -> list[Selection]:
    """Compile segments for one instant.

    Raises:
        RuleError: a segment's condition cannot be used, or segments ask for each other in a circle.
    """
    by_creator: dict[str, dict[str, Segment]] = {}
    for segment in segments:
        by_creator.setdefault(segment.creator_id, {})[segment.id] = segment.rule
    return [
        Selection(s.creator_id, s.id, predicate(s.id, by_creator[s.creator_id], now))
        for s in segments
    ]


def predicate(name: str, rules: Mapping[str, Segment], now: datetime) -> str:
    """Return the SQL boolean of a segment at one instant; one that does not exist holds nobody."""
    return asked(name, rules, moment(now))


def asked(name: str, rules: Mapping[str, Segment], as_of: str, way: tuple[str, ...] = ()) -> str:
    """Return the SQL boolean of a segment at the instant that an SQL expression gives."""
    if name in way:
        circle = " -> ".join([*way, name])
        raise RuleError([Problem(f"segment {name}", f"asks for itself in a circle: {circle}")])
    rule = rules.get(name)
    if rule is None:
        return "false"
    if rule.fans is not None:
        return f"(fan.id IN ({', '.join(map(quote, rule.fans))}))" if rule.fans else "false"
    try:
        condition = parse(rule.where, ("fan",))
    except ValueError as error:
        raise RuleError([Problem(f"segment {name}", str(error))]) from None
    return condition.sql(as_of, segment=lambda other: asked(other, rules, as_of, (*way, name)))


def moment(at: datetime) -> str:
    """Return an instant as an SQL literal."""
    return f"TIMESTAMPTZ '{at.astimezone(UTC).isoformat(sep=' ')}'"
