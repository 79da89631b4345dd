"""How a campaign stands, for people: live and settled numbers that say which they are, as of when.

What is counted, and how, is `analytics`' and `rates`' work.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Literal

from sqlalchemy import Connection, Row, text

from huntaze_pipeline.measurement import analytics, rates
from huntaze_pipeline.measurement.analytics import Counts
from huntaze_pipeline.warehouse import bots, goals

COUNTS = (
    "sent", "delivered", "opened", "clicked", "human_opened", "human_clicked", "converted",
    "converters", "revenue_micros",
)  # fmt: skip
"""What settled numbers are made of, by the names of `Counts`."""
_SHOWN = (
    ("delivered", "delivery", None), ("opened", "open", "human_open"),
    ("clicked", "click", "human_click"), ("converters", "conversion", None),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Standing:
    """One set of numbers: what they are, as of when, in which currency."""

    source: Literal["live", "settled"]
    as_of: datetime
    counts: Counts
    currency: str

    def told(self) -> dict[str, Any]:
        """Return it for machines."""
        shares = {rate.metric: asdict(rate) for rate in rates.of(self.counts)}
        return asdict(self) | {"rates": shares}

    def lines(self) -> list[str]:
        """Return it for people: a line each, shares of the sent with their intervals."""
        found = {rate.metric: rate for rate in rates.of(self.counts)}
        lines = [
            f"{self.source}, as of {self.as_of:%Y-%m-%d %H:%M:%S %Z}: {self.counts.sent:,} sent"
        ]
        for name, metric, human in _SHOWN:
            line = f"  {found[metric].numerator:>10,} {name}{_share(found[metric])}"
            if human is not None:
                line += f"; {found[human].numerator:,} by people{_share(found[human])}"
            lines.append(line)
        money = self.counts.revenue_micros / 1_000_000
        return [
            *lines,
            f"  {money:>10,.2f} {self.currency} in {self.counts.converted:,} conversions",
        ]


def of(connection: Connection, row: Row[Any], rules_dir: Path, now: datetime) -> list[Standing]:
    """Return a campaign's live numbers, if the inbox has any, and the settled, if there are any.

    Args:
        connection: a transaction of the campaign's creator.
        row: the campaign.
        rules_dir: where goals.yaml and bots.yaml are.
        now: the instant of the live numbers.
    """
    currency = connection.scalar(
        text("select currency from creators where id = :id"), {"id": row.creator_id}
    )
    found = analytics.totals(
        analytics.facts(
            connection, row.creator_id, [row.id], goals.declared(rules_dir), bots.load(rules_dir)
        ),
        currency or "USD",
    )
    live = [Standing("live", now, found[row.id], currency or "USD")] if row.id in found else []
    last = settled(row.metrics)
    return live if last is None else [*live, Standing("settled", *last, currency or "USD")]


def settled(kept: Mapping[str, Any]) -> tuple[datetime, Counts] | None:
    """Read what the last build of the lake wrote with a campaign; None before there was one."""
    try:
        as_of = datetime.fromisoformat(str(kept["as_of"]))
    except (KeyError, ValueError):
        return None
    return as_of, Counts(**{name: int(kept.get(name) or 0) for name in COUNTS})


def _share(rate: rates.Rate) -> str:
    if rate.rate is None or rate.low is None or rate.high is None:
        return ""
    return f" ({rate.rate:.1%}, {rate.low:.1%} to {rate.high:.1%})"
