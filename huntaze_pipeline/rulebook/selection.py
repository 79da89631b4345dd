"""Segments as SQL: one boolean each, with the segments that they name written out.

The evaluation itself is `audience`'s.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

from huntaze_pipeline import hashing
from huntaze_pipeline.errors import Problem, RuleError
from huntaze_pipeline.rulebook.behaviour import Feature, columns, longest, union
from huntaze_pipeline.rulebook.compiler import Compiler
from huntaze_pipeline.rulebook.conditions import Condition, parse
from huntaze_pipeline.rulebook.edges import Edge, edges, windows
from huntaze_pipeline.rulebook.language import quote
from huntaze_pipeline.rulebook.live import LiveSegment
from huntaze_pipeline.rulebook.schema import Segment

AS_OF = "\x00as_of"
"""Stands for the moment of the question; no text of an author can hold a NUL (`quote` drops it)."""


@dataclass(frozen=True)
class Selection:
    """One creator's segment, ready to be evaluated over the alias `fan`."""

    creator_id: str
    id: str
    predicate: str
    """One SQL boolean for one instant."""
    definition: str
    """Content hash of what is asked, the segments that it names included, whatever the instant."""
    edges: tuple[Edge, ...] = ()
    """When time alone may change the answer."""
    fans: tuple[str, ...] | None = None
    """A static segment's list; None when it is asked for by the predicate."""
    lists: frozenset[str] = field(default_factory=frozenset)
    """The static segments that the predicate asks for, in `fan.lists`."""
    features: tuple[Feature, ...] = ()
    """What it asks of the fans' own events; columns of `fan`, by their keys."""

    def computed(self, features: Sequence[Feature], events: str, askers: str, now: datetime) -> str:
        """Return the query of features for fans at a moment; see `behaviour.columns`."""
        since = longest(features)
        if since is not None:
            events = f"(SELECT * FROM {events} WHERE occurred_at >= {moment(now - since)})"
        return columns(features, events, askers, ordered=False)


def selections(
    segments: Sequence[LiveSegment],
    now: datetime,
    faults: dict[tuple[str, str], str] | None = None,
) -> list[Selection]:
    """Compile segments for one instant.

    Args:
        segments: of any creators.
        now: the instant.
        faults: where to note, by (creator_id, id), what is wrong with those that cannot be used;
            the others are returned all the same.

    Raises:
        RuleError: a segment's condition cannot be used, or segments ask for each other in a circle.
    """
    by_creator: dict[str, dict[str, Segment]] = {}
    for segment in segments:
        by_creator.setdefault(segment.creator_id, {})[segment.id] = segment.rule
    known: dict[str, Selection] = {}
    chosen = []
    for creator, rules in by_creator.items():
        for name, rule in rules.items():
            # Creators with the same rules share the work: 10,000 of them have the same files.
            key = hashing.content([name, _closure(name, rules)])
            try:
                if key not in known:
                    known[key] = select(name, rules, now)
            except RuleError as error:
                if faults is None:
                    raise
                faults[creator, name] = "; ".join(str(problem) for problem in error.problems)
                continue
            chosen.append(replace(known[key], creator_id=creator, fans=rule.fans))
    return chosen


def select(name: str, rules: Mapping[str, Segment], now: datetime) -> Selection:
    """Compile one segment among others, for one instant; one that does not exist holds nobody.

    Raises:
        RuleError: its condition cannot be used, or segments ask for each other in a circle.
    """
    writer = _Writer(rules)
    text = writer.predicate(name, ())
    at = moment(now)
    oldest, falling = windows(union(writer.features), AS_OF)
    return Selection(
        "",
        name,
        text.replace(AS_OF, at),
        hashing.content(text),
        tuple(
            replace(e, value=e.value.replace(AS_OF, at)) for e in (*writer.edges(name), *falling)
        ),
        rules[name].fans if name in rules else None,
        frozenset(writer.lists),
        union(writer.features, oldest),
    )


def asked(name: str, rules: Mapping[str, Segment], as_of: str) -> str:
    """Return the SQL boolean of a segment at the instant that an SQL expression gives.

    Lists are written out, for who asks has the rules and no list in the store.
    """
    return _Writer(rules, written=True).predicate(name, ()).replace(AS_OF, as_of)


def _closure(name: str, rules: Mapping[str, Segment]) -> object:
    """Return all that a segment's answer depends on: every segment, when it names any."""
    rule = rules[name]
    if rule.fans is not None:
        return "list"
    if "in_segment" not in str(rule.where):
        return rule.where
    return {n: r.where if r.fans is None else "list" for n, r in rules.items()}


class _Writer:
    """Writes the conditions of one creator's segments out as SQL."""

    def __init__(self, rules: Mapping[str, Segment], *, written: bool = False) -> None:
        self.rules = rules
        self.written = written
        self.lists: set[str] = set()
        self.features: list[Feature] = []
        self.parsed: dict[str, Condition] = {}

    def predicate(self, name: str, way: tuple[str, ...]) -> str:
        if name in way:
            circle = " -> ".join([*way, name])
            raise RuleError([Problem(f"segment {name}", f"asks for itself in a circle: {circle}")])
        rule = self.rules.get(name)
        if rule is None:
            return "false"
        if rule.fans is not None and self.written:
            return f"(fan.id IN ({', '.join(map(quote, rule.fans))}))" if rule.fans else "false"
        if rule.fans is not None:
            self.lists.add(name)
            return f"coalesce(list_contains(fan.lists, {quote(name)}), false)"
        within = (*way, name)
        self.features += self._condition(name).features
        return self._condition(name).sql(AS_OF, segment=lambda n: self.predicate(n, within))

    def edges(self, name: str) -> tuple[Edge, ...]:
        rule = self.rules.get(name)
        if rule is None or rule.fans is not None:
            return ()
        return edges(self._condition(name).node, self._compiler, self.edges)

    def _condition(self, name: str) -> Condition:
        if name not in self.parsed:
            try:
                self.parsed[name] = parse(self.rules[name].where, ("fan",))
            except ValueError as error:
                raise RuleError([Problem(f"segment {name}", str(error))]) from None
        return self.parsed[name]

    def _compiler(self) -> Compiler:
        return Compiler(("fan",), as_of=AS_OF, segment=lambda n: self.predicate(n, ()))


def moment(at: datetime) -> str:
    """Return an instant as an SQL literal."""
    return f"TIMESTAMPTZ '{at.astimezone(UTC).isoformat(sep=' ')}'"
