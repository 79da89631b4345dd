"""What would come of a campaign: who gets it, who does not and why, when it is out, what it costs.

The very decisions of `launch` are made, gates and all, and thrown away: nothing is written. Whether
it may start is `readiness`' business; how far a started one is, `progress`'.
"""

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

import duckdb
from sqlalchemy import Connection, Row

from huntaze_pipeline.campaigns import eta, launch, lifecycle, progress
from huntaze_pipeline.campaigns.eta import Line
from huntaze_pipeline.campaigns.progress import Standard
from huntaze_pipeline.campaigns.writing import used
from huntaze_pipeline.errors import ConflictError
from huntaze_pipeline.rulebook import live
from huntaze_pipeline.rulebook.decision import Decision
from huntaze_pipeline.rulebook.policies import Policies
from huntaze_pipeline.rulebook.templates import speaks_of_facts
from huntaze_pipeline.settings import Settings
from huntaze_pipeline.warehouse import lake as lakes

EXAMPLES = 5
"""So many fans are named for each outcome."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What becomes of so many fans, for the same reason."""

    state: str
    reason: str | None
    """With its detail: `render_error: fan.attributes.size has no value`."""
    fans: int
    examples: tuple[str, ...]
    """Ids of a few of them, in order."""
    earliest_at: datetime | None = None
    """The first instant at which the answer could be yes for one of them."""


@dataclass(frozen=True, slots=True)
class Price:
    """What one declared cost comes to."""

    kind: str
    amount: float
    """Each, for kinds that are paid by the piece."""
    currency: str
    times: int | None
    """How often it is paid; None: once for each goal reached, which nobody knows yet."""

    @property
    def total(self) -> float | None:
        """What is known to be paid; None when nobody can know."""
        return None if self.times is None else round(self.amount * self.times, 6)


@dataclass(frozen=True, slots=True)
class Sample:
    """One message as it would go out."""

    fan_id: str
    platform: str
    subject: str | None
    content: str
    not_before: datetime


@dataclass(frozen=True)
class Forecast:
    """What would come of one occurrence of a campaign."""

    at: datetime
    """When it would be decided."""
    audience: int
    outcomes: tuple[Outcome, ...]
    platforms: Mapping[str, int]
    """Messages by platform."""
    first_at: datetime | None
    last_at: datetime | None
    """The messages become due between these instants; sending them takes time on top."""
    lines: tuple[Line, ...]
    prices: tuple[Price, ...]
    samples: tuple[Sample, ...]

    @property
    def messages(self) -> int:
        """How many messages would go out."""
        return sum(self.platforms.values())

    @property
    def totals(self) -> dict[str, float]:
        """What is known to be paid, by currency."""
        paid: dict[str, float] = defaultdict(float)
        for price in self.prices:
            paid[price.currency] += price.total or 0.0
        return dict(sorted(paid.items()))

    @property
    def eta_s(self) -> float:
        """Seconds from `at` until the last message is out, by the accounts' queues and limits."""
        return eta.total(self.lines)

    @property
    def eta(self) -> str:
        """Say it: 5,000 messages on 1 account at 10 a minute: about 8 h 25 min."""
        return eta.sentence(self.lines) if self.lines else "nothing would go out"

    def told(self) -> dict[str, Any]:
        """Return it for machines."""
        plain = {name: getattr(self, name) for name in ("at", "audience", "first_at", "last_at")}
        return plain | {
            "messages": self.messages,
            "outcomes": [asdict(outcome) for outcome in self.outcomes],
            "platforms": dict(self.platforms),
            "eta": self.eta,
            "eta_seconds": self.eta_s,
            "costs": [asdict(price) | {"total": price.total} for price in self.prices],
            "totals": self.totals,
            "samples": [asdict(sample) for sample in self.samples],
        }


def of(
    connection: Connection,
    row: Row[Any],
    policies: Policies,
    now: datetime,
    standard: Standard,
    *,
    lake: duckdb.DuckDBPyConnection | None = None,
    fans: Sequence[str] = (),
) -> Forecast:
    """Foretell a campaign's next occurrence.

    Args:
        connection: PostgreSQL, as the creator; nothing is written.
        row: the campaign.
        policies: the gates' rules.
        now: the present; an occurrence in the past counts as one of now.
        standard: as in `progress.lines`.
        lake: as in `launch.plan`.
        fans: whose messages to show; without any, one fan for each platform and arm.

    Raises:
        ConflictError: nothing of it is left to be decided.
    """
    due = lifecycle.upcoming(connection, row, now)
    if due is None:
        raise ConflictError(f"campaign {row.id} is {row.status}: nothing of it is left to decide")
    at = max(due, now)
    campaign = launch.one(connection, row.creator_id, row.id, due)
    decisions = launch.plan(connection, campaign, at, policies, lake=lake)
    going = [d for d in decisions if d.state == "decided"]
    due_at = [d.not_before for d in going]
    return Forecast(
        at=at, audience=len(decisions), outcomes=outcomes(decisions),
        platforms=dict(sorted(Counter(d.platform for d in going).items())),
        first_at=min(due_at, default=None), last_at=max(due_at, default=None),
        lines=tuple(progress.ahead(connection, row.creator_id, going, now, at, standard)),
        prices=prices(campaign.settings, len(going)), samples=samples(going, fans),
    )  # fmt: skip


@contextmanager
def facts(
    settings: Settings, connection: Connection, row: Row[Any]
) -> Iterator[duckdb.DuckDBPyConnection | None]:
    """Open the lake if a campaign's templates speak of facts; None when they do not."""
    campaign = launch.one(connection, row.creator_id, row.id, row.created_at)
    known = live.templates(connection, [row.creator_id]).get(row.creator_id, {})
    if not any(speaks_of_facts(template) for template in used(campaign, known)):
        yield None
        return
    with lakes.connect(settings) as con:
        yield con


def outcomes(decisions: Sequence[Decision]) -> tuple[Outcome, ...]:
    """Count decisions by what becomes of them and why, the most frequent first."""
    groups: dict[tuple[str, str | None], list[Decision]] = defaultdict(list)
    for decision in decisions:
        groups[decision.state, decision.reason].append(decision)
    rows = [
        Outcome(
            state, reason, len(group), tuple(sorted(d.fan_id for d in group)[:EXAMPLES]),
            min((d.earliest_at for d in group if d.earliest_at), default=None),
        )
        for (state, reason), group in groups.items()
    ]  # fmt: skip
    return tuple(sorted(rows, key=lambda o: (-o.fans, o.state, o.reason or "")))


def prices(settings: Mapping[str, Any], messages: int) -> tuple[Price, ...]:
    """Return what the declared costs come to for so many messages."""
    times = {"per_message": messages, "discount": None}
    return tuple(
        Price(cost["kind"], float(cost["amount"]), cost["currency"], times.get(cost["kind"], 1))
        for cost in settings.get("costs") or ()
    )


def samples(going: Sequence[Decision], fans: Sequence[str]) -> tuple[Sample, ...]:
    """Return the messages of these fans; without any, the first one of each platform and arm."""
    if fans:
        chosen = [d for d in going if d.fan_id in set(fans)]
    else:
        first: dict[tuple[str, str], Decision] = {}
        for decision in going:
            first.setdefault((decision.platform, decision.variant_id or ""), decision)
        chosen = [first[key] for key in sorted(first)]
    return tuple(Sample(d.fan_id, d.platform, d.subject, d.content, d.not_before) for d in chosen)


def lines(forecast: Forecast) -> list[str]:
    """Say a forecast to a person, a line each."""
    text = [f"would be decided at {forecast.at:%Y-%m-%d %H:%M %Z} for {forecast.audience:,} fans"]
    text += [f"  {outcome.fans:>10,} {_outcome(outcome)}" for outcome in forecast.outcomes]
    text.append(f"  {forecast.eta}")
    if forecast.first_at and forecast.last_at and forecast.last_at > forecast.at:
        text.append(
            f"  due from {forecast.first_at:%Y-%m-%d %H:%M %Z} to {forecast.last_at:%Y-%m-%d %H:%M}"
        )
    text += [f"  costs {_price(price)}" for price in forecast.prices]
    if forecast.prices:
        sums = " + ".join(f"{total:,.2f} {money}" for money, total in forecast.totals.items())
        text.append(f"  together {sums}")
    return text


def _outcome(outcome: Outcome) -> str:
    because = f"  {outcome.reason}" if outcome.reason else ""
    when = f", earliest {outcome.earliest_at:%Y-%m-%d %H:%M %Z}" if outcome.earliest_at else ""
    which = f"  ({', '.join(outcome.examples)}{', …' if outcome.fans > EXAMPLES else ''})"
    return f"{outcome.state}{because}{when}{which if outcome.state == 'skipped' else ''}"


def _price(price: Price) -> str:
    each = f"{price.amount:,.2f} {price.currency}"
    if price.times is None:
        return f"{price.kind}: {each} for each goal that is credited to it"
    if price.kind != "per_message":
        return f"{price.kind}: {each}"
    return f"{price.kind}: {each} × {price.times:,} = {price.total:,.2f} {price.currency}"
