"""The report page: one HTML file with everything inside, to read on a screen or on paper.

Works offline: no script, no font, no picture from elsewhere. Light and dark follow the reader's
system. It shows the numbers it is given and computes none that could disagree with them, except
shares and sums.
"""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import jinja2

from huntaze_pipeline.measurement import charts

Report = Mapping[str, Any]
_MANY = 40
"""Bars a chart can hold; longer lists are cut to the largest, the table keeps all."""


def render(report: Report) -> str:
    """Return the page.

    Args:
        report: the demo's or a creator's report; every key is optional, what is missing is left
        out.
            Money in units of `currency` (default USD), rates and ROI as fractions, ROI None when no
            cost is known.
    """
    return _template().render(
        report=report,
        tiles=_tiles(report),
        charts=_charts(report),
        campaigns=_ordered(report, "campaigns"),
        live=_ordered(report, "live_campaigns"),
        states=_states(report),
        verdict=_verdict(report),
    )


def _template() -> jinja2.Template:
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "count": count,
        "money": money,
        "percent": percent,
        "signed": signed,
        "words": words,
    }
    return environment.get_template("report.html.j2")


def count(value: float | None) -> str:
    """Write a whole number with thousands separators."""
    return "–" if value is None else f"{value:,.0f}"


def money(value: float | None, currency: str = "USD") -> str:
    """Write an amount, without cents from a thousand on."""
    if value is None:
        return "–"
    sign = {"USD": "$", "EUR": "€", "GBP": "£"}.get(currency, f"{currency} ")
    minus = "−" if value < 0 else ""
    return (
        f"{minus}{sign}{abs(value):,.0f}"
        if abs(value) >= 1000
        else f"{minus}{sign}{abs(value):,.2f}"
    )


def percent(part: float | None, whole: float | None = 1.0) -> str:
    """Write a share, with as many digits as it needs."""
    if part is None or not whole:
        return "–"
    share = part / whole
    return (
        f"{share:.0%}"
        if share == 0 or abs(share) >= 0.995
        else f"{share:.1%}"
        if abs(share) >= 0.01
        else f"{share:.2%}"
    )


def signed(value: float | None) -> str:
    """Write a return with its sign."""
    return "no cost known" if value is None else f"{value:+,.0%}".replace("-", "−")


def words(name: str) -> str:
    """A key as people read it."""
    return name.replace("_", " ")


def _tiles(report: Report) -> list[tuple[str, str, str]]:
    """Headline numbers: label, number, what it is part of."""
    campaigns = [*report.get("campaigns", []), *report.get("live_campaigns", [])]
    revenue, limiter = report.get("revenue") or {}, report.get("limiter") or {}
    currency = report.get("currency", "USD")
    sent = sum(row.get("sent") or 0 for row in campaigns)
    converted = sum(row.get("converted") or 0 for row in campaigns)
    tiles = []
    if campaigns:
        tiles.append(("messages sent", count(sent), f"in {len(campaigns)} campaigns"))
        tiles.append(
            ("conversions", count(converted), f"{percent(converted, sent)} of messages sent")
        )
    if revenue:
        part = percent(revenue.get("attributed"), revenue.get("total"))
        tiles.append(
            (
                "attributed revenue",
                money(revenue.get("attributed"), currency),
                f"{part} of {money(revenue.get('total'), currency)}",
            )
        )
    if report.get("fans"):
        seconds = report.get("seconds")
        took = f" processed in {seconds:,.0f} s" if seconds else ""
        tiles.append(("fans", count(report["fans"]), f"{count(report.get('events'))} events{took}"))
    if limiter:
        tiles.append(
            (
                "busiest minute",
                f"{limiter.get('max_in_any_60s')} of {limiter.get('limit')}",
                f"sends of one account in 60 s · {count(limiter.get('bans'))} bans",
            )
        )
    tests = report.get("experiments") or {}
    if tests.get("analysed"):
        won = (tests.get("by_state") or {}).get("winner", 0)
        tiles.append(("A/B winners", count(won), f"of {count(tests['analysed'])} tests analysed"))
    return tiles


def _charts(report: Report) -> dict[str, str]:
    """Every drawing that there are rows for."""
    campaigns = [*report.get("campaigns", []), *report.get("live_campaigns", [])]
    limiter, messages = report.get("limiter") or {}, report.get("messages") or {}
    tests = report.get("experiments") or {}
    drawn: dict[str, tuple[Any, Callable[[], str]]] = {
        "funnel": (campaigns, lambda: charts.funnel(_largest(campaigns, "sent"))),
        "timeline": (report.get("timeline"), lambda: charts.timeline(report["timeline"])),
        "revenue": (campaigns, lambda: charts.revenue(_largest(campaigns, "revenue"))),
        "arms": (tests.get("arms"), lambda: charts.arms(tests["arms"][:_MANY])),
        "segments": (
            report.get("segments"),
            lambda: charts.bars(_largest(report["segments"], "size"), "name", "size", "segments"),
        ),
        "limiter": (
            limiter.get("per_minute"),
            lambda: charts.limiter(limiter["per_minute"], limiter["limit"]),
        ),
        "statuses": (messages.get("by_status"), lambda: _tally(messages["by_status"], "statuses")),
        "skips": (
            messages.get("skipped_by_reason"),
            lambda: _tally(messages["skipped_by_reason"], "skips", charts.GOLD),
        ),
    }
    return {name: draw() for name, (rows, draw) in drawn.items() if rows}


def _tally(table: Mapping[str, int], name: str, colour: str = charts.INK) -> str:
    rows = [{"label": words(key), "value": value} for key, value in table.items()]
    return charts.bars(rows, "label", "value", name, colour, width=270)


def _largest(rows: list[Mapping[str, Any]], key: str) -> list[Mapping[str, Any]]:
    """The rows a chart can hold, with names that tell equal ones apart."""
    chosen = sorted(rows, key=lambda row: -(row.get(key) or 0))[:_MANY]
    names = [row["name"] for row in chosen]
    return [
        {
            **row,
            "name": row["name"]
            if names.count(row["name"]) == 1
            else f"{row['name']} ({row['id']})",
        }
        for row in chosen
    ]


def _ordered(report: Report, key: str) -> list[Mapping[str, Any]]:
    return sorted(report.get(key, []), key=lambda row: -(row.get("revenue") or 0))


def _states(report: Report) -> list[tuple[str, int]]:
    found = (report.get("experiments") or {}).get("by_state") or {}
    return sorted(found.items(), key=lambda item: -item[1])


def _verdict(report: Report) -> tuple[bool, str] | None:
    """Whether the limit held, in a sentence."""
    limiter = report.get("limiter") or {}
    if not limiter:
        return None
    held = limiter["max_in_any_60s"] <= limiter["limit"] and not limiter.get("bans")
    text = (
        f"The busiest of {count(limiter.get('accounts'))} accounts sent"
        f" {limiter['max_in_any_60s']} messages in its busiest 60 seconds;"
        f" {limiter['limit']} are allowed. Bans: {count(limiter.get('bans'))}."
    )
    return held, text
