"""The page at the end of the demo: what was sent, what it brought, and whether the limits held.

It shows the numbers it is given (`local.summary` reads them) and computes none that could disagree
with them, except shares and sums. Every key of the report is optional: what is missing is left out.
Money comes in units of `currency` (default USD), rates and ROI as fractions, ROI None when no cost
is known.
"""

from collections.abc import Iterable, Mapping
from datetime import date, datetime
from typing import Any

from huntaze_pipeline.reports import ready, screen, writing
from huntaze_pipeline.reports.figures import Row, Table
from huntaze_pipeline.reports.page import Badge, Draft, Figure, Page, Section, Tile, span
from huntaze_pipeline.warehouse.reports import Chart, Column

Report = Mapping[str, Any]
_CAMPAIGNS = (
    Column("name", "text", "Campaign"), Column("audience", "count", "Audience"),
    Column("sent", "count", "Sent"), Column("opened", "count", "Opened"),
    Column("clicked", "count", "Clicked"), Column("converted", "count", "Converted"),
    Column("open_rate", "percent", "Open rate"), Column("click_rate", "percent", "Click rate"),
    Column("revenue", "money", "Revenue"), Column("cost", "money", "Cost"),
    Column("roi", "change", "ROI"), Column("why", "text", "Why no ROI"),
)  # fmt: skip
_DAYS = (
    Column("day", "date", "Day"), Column("sent", "count", "Sent"),
    Column("clicked", "count", "Clicked"), Column("converted", "count", "Converted"),
    Column("revenue", "money", "Revenue"),
)  # fmt: skip
_ARMS = (
    Column("experiment", "text", "Test"), Column("variant", "text", "Arm"),
    Column("n", "count", "Recipients"), Column("rate", "percent", "Rate"),
    Column("low", "percent", "From"), Column("high", "percent", "To"),
)  # fmt: skip
_AUTOMATIONS = (
    Column("name", "text", "Automation"), Column("entered", "count", "Fans entered"),
    Column("messages", "count", "Messages"),
)  # fmt: skip


def render(report: Report) -> str:
    """Return the page as HTML."""
    return screen.html(page(report))


def page(report: Report) -> Page:
    """Return what the page says."""
    title = report.get("title") or "Campaign report"
    draft = Draft(title, _period(report))
    draft.lead = (
        report.get("subtitle")
        or "What was sent, what it brought, and whether the platform's limits held."
    )
    draft.tiles = [*_sums(report), *_money(report), *_rest(report)]
    parts = (
        _timeline, _funnel, _return, _campaigns, _live, _tests, _segments, _limits, _books,
        _automations,
    )  # fmt: skip
    draft.sections = [section for part in parts if (section := part(report)) is not None]
    draft.notes = list(report.get("notes", []))
    return draft.done()


def _period(report: Report) -> str:
    days = report.get("timeline") or []
    if not days:
        return ""
    return span(date.fromisoformat(str(days[0]["day"])), date.fromisoformat(str(days[-1]["day"])))


def _all(report: Report) -> list[Row]:
    return [*report.get("campaigns", []), *report.get("live_campaigns", [])]


def _sums(report: Report) -> list[Tile]:
    campaigns = _all(report)
    if not campaigns:
        return []
    sent = sum(row.get("sent") or 0 for row in campaigns)
    converted = sum(row.get("converted") or 0 for row in campaigns)
    share = f"{writing.percent(converted, sent)} of messages sent"
    return [
        Tile("Messages sent", writing.count(sent), f"in {len(campaigns)} campaigns"),
        Tile("Conversions", writing.count(converted), share),
    ]


def _money(report: Report) -> list[Tile]:
    revenue = report.get("revenue")
    if not revenue:
        return []
    total, attributed = revenue.get("total"), revenue.get("attributed")
    part = f"{writing.percent(attributed, total)} of {_cash(report, total)}"
    return [Tile("Attributed revenue", _cash(report, attributed), part)]


def _rest(report: Report) -> list[Tile]:
    tiles, limiter = [], report.get("limiter") or {}
    tests = report.get("experiments") or {}
    if report.get("fans"):
        took = f" in {report['seconds']:,.0f} s" if report.get("seconds") else ""
        events = f"{writing.count(report.get('events'))} events{took}"
        tiles.append(Tile("Fans", writing.count(report["fans"]), events))
    if limiter:
        note = f"sends of one account in 60 s · {writing.count(limiter.get('bans'))} bans"
        number = f"{limiter.get('max_in_any_60s')} of {limiter.get('limit')}"
        tiles.append(Tile("Busiest minute", number, note))
    if tests.get("analysed"):
        won = (tests.get("by_state") or {}).get("winner", 0)
        note = f"of {writing.count(tests['analysed'])} tests analysed"
        tiles.append(Tile("A/B winners", writing.count(won), note))
    return tiles


def _cash(report: Report, amount: float | None) -> str:
    return writing.money(amount, report.get("currency") or "USD")


def _table(report: Report, columns: tuple[Column, ...], rows: Iterable[Row]) -> Table:
    """Return rows whose money is in micro-units, as charts and tables take it."""
    money = [column.name for column in columns if column.format == "money"]
    micros = [{**row, **{name: _micros(row.get(name)) for name in money}} for row in rows]
    return Table(columns, micros, report.get("currency") or "USD")


def _micros(amount: float | None) -> int | None:
    return None if amount is None else round(amount * writing.MICROS)


def _listed(report: Report, rows: list[Row], by: str) -> Table:
    ordered = sorted(rows, key=lambda row: -(row.get(by) or 0))
    names = [row["name"] for row in ordered]
    told = [row | _shown(row, apart=names.count(row["name"]) > 1) for row in ordered]
    return _table(report, (*_CAMPAIGNS, Column("converters", "hidden", "Converted")), told)


def _shown(row: Row, *, apart: bool) -> Row:
    return {
        "name": f"{row['name']} ({row['id']})" if apart else row["name"],
        "open_rate": _rate(row, "opened"),
        "click_rate": _rate(row, "clicked"),
        "cost": row.get("cost") or None,
        "why": "no cost known" if row.get("roi") is None else None,
        "converters": row.get("converters") or row.get("converted"),
    }


def _rate(row: Row, part: str) -> float | None:
    return row[part] / row["sent"] if row.get(part) is not None and row.get("sent") else None


def _timeline(report: Report) -> Section | None:
    if not report.get("timeline"):
        return None
    rows = [{**row, "day": date.fromisoformat(str(row["day"]))} for row in report["timeline"]]
    table = _table(report, _DAYS, rows)
    charts = (
        Chart(kind="line", x="day", y=["sent", "clicked", "converted"], title="Messages a day"),
        Chart(kind="area", x="day", y=["revenue"], title="Revenue of all purchases a day"),
    )
    return Section("Over time", figures=tuple(Figure(chart, table) for chart in charts))


def _funnel(report: Report) -> Section | None:
    campaigns = _all(report)
    if not campaigns:
        return None
    table = _listed(report, campaigns, "sent")
    chart = Chart(kind="funnel", x="name", y=["sent", "opened", "clicked", "converters"])
    lead = "Messages sent, opened, clicked, and the fans who converted; a click implies an open."
    return Section("Funnel by campaign", lead, (Figure(chart, table),))


def _return(report: Report) -> Section | None:
    campaigns = _all(report)
    if not campaigns:
        return None
    table = _listed(report, campaigns, "revenue")
    chart = Chart(kind="bars", x="name", y=["revenue", "cost"])
    revenue, credited = report.get("revenue"), ""
    if revenue:
        credited = (
            f"{_cash(report, revenue.get('attributed'))} of {_cash(report, revenue.get('total'))}"
            f" is credited to a campaign; {_cash(report, revenue.get('unattributed'))} was bought"
            " without a recent touch. "
        )
    return Section(
        "Revenue and return", f"{credited}ROI is (revenue − cost) ÷ cost.", (Figure(chart, table),)
    )


def _campaigns(report: Report) -> Section | None:
    if not report.get("campaigns"):
        return None
    table = _listed(report, report["campaigns"], "revenue")
    return Section("Campaigns", "Rates are of messages sent.", table=table)


def _live(report: Report) -> Section | None:
    if not report.get("live_campaigns"):
        return None
    table = _listed(report, report["live_campaigns"], "revenue")
    return Section("Live campaigns", "Sent during this run, under the limiter.", table=table)


def _tests(report: Report) -> Section | None:
    tests = report.get("experiments") or {}
    if not tests.get("analysed"):
        return None
    table = Table(_ARMS, [_arm(arm) for arm in tests.get("arms", [])])
    chart = Chart(kind="intervals", x="variant", y=["rate"], low="low", high="high",
                  multiples="experiment", top=40)  # fmt: skip
    states = sorted((tests.get("by_state") or {}).items(), key=lambda item: -item[1])
    told = ", ".join(f"{writing.count(n)} {writing.words(state)}" for state, n in states)
    lead = (
        f"{writing.count(tests['analysed'])} analysed ({told}). A winner beats every other arm at"
        " a false-winner rate of 5 %, however often one looks."
    )
    won = "; ".join(map(_won, tests.get("winners") or []))
    badge = Badge(f"winner {won}", "good") if won else None
    figures = (Figure(chart, table),) if table.rows else ()
    return Section("A/B tests", lead, figures, table if table.rows else None, badge)


def _arm(arm: Row) -> Row:
    low, high = arm.get("ci") or (None, None)
    return arm | {"low": low, "high": high, "rate": arm["rate"] if arm["n"] else None}


def _won(winner: Any) -> str:
    if not isinstance(winner, Mapping):
        return str(winner)
    return f"{winner['experiment']}: {winner.get('variant') or winner.get('winner')}"


def _segments(report: Report) -> Section | None:
    if not report.get("segments"):
        return None
    rows = sorted(report["segments"], key=lambda row: -(row.get("size") or 0))
    charted = ready.sizes(rows, "name", "size", "", top=40)
    lead = "Fans in each segment now; a fan may be in several."
    return Section("Segments", lead, (Figure(*charted),))


def _limits(report: Report) -> Section | None:
    limiter = report.get("limiter") or {}
    if not limiter:
        return None
    held = limiter["max_in_any_60s"] <= limiter["limit"] and not limiter.get("bans")
    told = (
        f"The busiest of {writing.count(limiter.get('accounts'))} accounts sent"
        f" {limiter['max_in_any_60s']} messages in its busiest 60 seconds;"
        f" {limiter['limit']} are allowed. Bans: {writing.count(limiter.get('bans'))}."
    )
    minutes = [
        {**row, "minute": datetime.fromisoformat(str(row["minute"]).replace("Z", "+00:00"))}
        for row in limiter.get("per_minute") or []
    ]
    figures = tuple(Figure(*c) for c in ready.sends(minutes, limiter["limit"])) if minutes else ()
    badge = Badge("held", "good") if held else Badge("broken", "bad")
    return Section("Sending limits", told, figures, badge=badge)


def _books(report: Report) -> Section | None:
    books, messages = report.get("reconciliation") or {}, report.get("messages") or {}
    if not books and not messages:
        return None
    titles = {"by_status": "By status", "skipped_by_reason": "Not sent, and why"}
    figures = tuple(
        Figure(*ready.sizes(_tally(messages[key]), "what", "messages", title))
        for key, title in titles.items()
        if messages.get(key)
    )
    lead = (
        "One row per recipient: audience = sent + skipped + failed + expired + unknown + cancelled"
        " + pending."
    )
    rows = books.get("rows")
    table = _reconciled(rows) if isinstance(rows, list) and rows else None
    return Section("Every message accounted for", lead, figures, table, _balance(books))


def _balance(books: Mapping[str, Any]) -> Badge | None:
    if not books:
        return None
    if books["balanced"]:
        return Badge("the books balance", "good")
    return Badge("the books do not balance", "bad")


def _tally(table: Mapping[str, int]) -> list[Row]:
    rows = [{"what": writing.words(key), "messages": value} for key, value in table.items()]
    return sorted(rows, key=lambda row: -row["messages"])


def _reconciled(rows: list[Row]) -> Table:
    hidden = ("creator_id", "sent_events")
    columns = tuple(
        Column(name, _style(value), writing.words(name).capitalize())
        for name, value in rows[0].items()
        if name not in hidden
    )
    return Table(columns, rows)


def _style(value: Any) -> Any:
    return "flag" if isinstance(value, bool) else "count" if isinstance(value, int) else "text"


def _automations(report: Report) -> Section | None:
    if not report.get("automations"):
        return None
    return Section("Automations", table=Table(_AUTOMATIONS, list(report["automations"])))
