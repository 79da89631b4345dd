"""The condition language row by row, in plain Python: three-valued logic, no SQL anywhere.

The second opinion that tests compare the compiled SQL with.
"""

import json
import math
import operator
from datetime import UTC, date, datetime, timedelta
from decimal import ROUND_HALF_UP, Decimal

from sqlglot import exp

from huntaze_pipeline import hashing
from huntaze_pipeline.clock import duration
from huntaze_pipeline.rulebook.language import BEHAVIOURS


class Oracle:
    """One fan with its events, at one moment.

    Args:
        fan: its fields; `tags`, `segments` and `attributes` (JSON text) included.
        events: what it did, as far as it is known.
        moment: the instant of the question.
        others: the other scopes (`event`, `creator`, `campaign`), each a dict.
    """

    COMPARE = {
        exp.EQ: operator.eq, exp.NEQ: operator.ne, exp.LT: operator.lt, exp.LTE: operator.le,
        exp.GT: operator.gt, exp.GTE: operator.ge,
    }  # fmt: skip
    MATH = {exp.Add: operator.add, exp.Sub: operator.sub, exp.Mul: operator.mul}

    def __init__(self, fan, events=(), moment=None, others=None):
        self.fan, self.events, self.moment = fan, events, moment
        self.scopes = {"fan": fan, **(others or {})}

    def value(self, node):
        kind = type(node)
        if kind in (exp.And, exp.Or):
            return self.logic(kind is exp.Or, self.value(node.this), self.value(node.expression))
        if kind in self.COMPARE:
            return self.compare(kind, self.value(node.this), self.value(node.expression))
        if kind in self.MATH or kind in (exp.Div, exp.Mod):
            return self.math(kind, self.value(node.this), self.value(node.expression))
        return getattr(self, f"on_{kind.__name__.lower()}")(node)

    @staticmethod
    def logic(decisive, a, b):
        if decisive in (a, b):
            return decisive
        return None if None in (a, b) else not decisive

    def compare(self, kind, a, b):
        if a is None or b is None:
            return None
        a, b = self.alike(a, b), self.alike(b, a)
        return None if a is None or b is None else self.COMPARE[kind](a, b)

    @staticmethod
    def alike(a, b):
        """A text beside a time is an instant, beside a number (from JSON) a number."""
        if isinstance(a, str) and isinstance(b, datetime):
            return datetime.fromisoformat(a)
        if isinstance(a, str) and isinstance(b, date):
            return date.fromisoformat(a)
        if isinstance(a, str) and isinstance(b, float):
            try:
                return float(a)
            except ValueError:
                return None
        return a

    def math(self, kind, a, b):
        if a is None or b is None or (kind in (exp.Div, exp.Mod) and b == 0):
            return None
        if kind is exp.Div:
            return a / b
        return math.fmod(a, b) if kind is exp.Mod else self.MATH[kind](a, b)

    def on_column(self, node):
        scope, name, *keys = [p.name for p in node.parts]
        if keys:
            return below(self.scopes[scope][name], keys[0])
        return self.scopes[scope][name]

    def on_literal(self, node):
        return node.name if node.is_string else float(node.name)

    def on_neg(self, node):
        found = self.value(node.this)
        return None if found is None else -found

    def on_paren(self, node):
        return self.value(node.this)

    def on_not(self, node):
        found = self.value(node.this)
        return None if found is None else not found

    def on_boolean(self, node):
        return node.this

    def on_is(self, node):
        found = self.value(node.this)
        return (
            found is None
            if isinstance(node.expression, exp.Null)
            else found is node.expression.this
        )

    def on_in(self, node):
        found = self.value(node.this)
        return None if found is None else found in [self.value(e) for e in node.expressions]

    def on_between(self, node):
        found = self.value(node.this)
        low, high = self.value(node.args["low"]), self.value(node.args["high"])
        return None if found is None else low <= found <= high

    def on_anonymous(self, node):
        name = node.name.lower()
        if name in BEHAVIOURS:
            return self.did(name, node)
        found = [self.value(n) for n in node.expressions]
        if name == "coalesce":
            return next((v for v in found if v is not None), None)
        if name in ("has_tag", "in_segment"):
            return found[0] in (self.fan["tags" if name == "has_tag" else "segments"] or [])
        if name == "bucket":
            point = hashing.fraction("bucket", self.fan["creator_id"], self.fan["id"])
            return float(math.floor(point * found[0]))
        return None if None in found else self.plain(name, *found)

    def plain(self, name, first, second=None):
        if name in ("lower", "length"):
            return first.lower() if name == "lower" else float(len(first))
        if name in ("starts_with", "contains"):
            return first.startswith(second) if name == "starts_with" else second in first
        if name == "number":
            return self.alike(first, 0.0)
        if name == "days_until_anniversary":
            return float(self.until(first))
        return (self.moment - first) / timedelta(seconds=86_400 if name == "days_since" else 3_600)

    def did(self, name, node):
        """Answer a behaviour: the fan's events that were known, counted one by one."""
        places = [n for n in node.expressions if not isinstance(n, exp.Kwarg)]
        named = {n.name: n.expression for n in node.expressions if isinstance(n, exp.Kwarg)}
        event = "sent" if name == "received" else places[0].name
        found = [e for e in self.events if e["name"] == event and self.counts(e, named)]
        if name == "received":
            found = [e for e in found if field(e, "properties.template") == places[0].name]
        if name in ("performed", "received"):
            wanted = named.get("at_least")
            return len(found) >= (1 if wanted is None else int(wanted.name))
        if name == "count":
            return float(len(found))
        what = ".".join(p.name for p in places[1].parts) if len(places) > 1 else None
        found.sort(key=lambda e: (e["occurred_at"], e["event_id"]))
        if name in ("first", "last"):
            edge = found[0 if name == "first" else -1] if found else None
            return None if edge is None else field(edge, what or "occurred_at")
        numbers = [n for n in (exact(field(e, what)) for e in found) if n is not None]
        if name == "sum":
            return float(sum(numbers))
        made = {"avg": lambda: sum(numbers) / len(numbers)}.get(name) or (
            lambda: min(numbers) if name == "min" else max(numbers)
        )
        return float(made()) if numbers else None

    def counts(self, event, named):
        within = named.get("within")
        if within is not None and event["occurred_at"] < self.moment - duration(within.name):
            return False
        where = named.get("where")
        return where is None or Happening(event).value(where) is True

    def until(self, birthday):
        def on(year):
            try:
                return birthday.replace(year=year)
            except ValueError:
                return birthday.replace(year=year, day=28)

        today = self.moment.astimezone(UTC).date()
        here = on(today.year)
        return ((here if here >= today else on(today.year + 1)) - today).days


class Happening(Oracle):
    """The `where` of a behaviour: its fields are those of one event."""

    def __init__(self, event):
        super().__init__(event)

    def on_column(self, node):
        return field(self.fan, ".".join(p.name for p in node.parts))


def field(event, name):
    if name.startswith("properties."):
        return below(event["properties"], name.removeprefix("properties."))
    if name in ("value", "amount"):
        micros = event["value_micros"]
        return None if micros is None else micros / 1_000_000
    return event[name]


def below(text, key):
    found = json.loads(text or "{}").get(key)
    return None if found is None else str(found)


def exact(value):
    """Return a number as it is added up, in whole micro-units."""
    try:
        number = Decimal(str(value)).quantize(Decimal("0.000001"), ROUND_HALF_UP)
    except ArithmeticError:
        return None
    return number if abs(number) < 10**12 else None
