"""Everything about one campaign on one page: the reports that take a campaign, in order."""

import json
from dataclasses import asdict, dataclass
from zoneinfo import ZoneInfo

from duckdb import DuckDBPyConnection

from huntaze_pipeline.errors import NotFoundError
from huntaze_pipeline.measurement import holdouts, incrementality
from huntaze_pipeline.measurement.incrementality import Incremental
from huntaze_pipeline.reports import figures, files, writing
from huntaze_pipeline.reports import page as pages
from huntaze_pipeline.reports.figures import Answer, Row, Table, Tenant
from huntaze_pipeline.reports.page import Badge, Draft, Figure, Page, Section, Tile
from huntaze_pipeline.settings import Settings
from huntaze_pipeline.sql import quoted
from huntaze_pipeline.warehouse import models, reports

PARTS = (
    "campaign_overview", "timeline", "platforms", "best_hours", "campaign_roi", "experiments",
    "deliverability",
)  # fmt: skip
"""In the order of the page; each takes the parameter `campaign`."""
_DAYS = ("timeline",)
_LEAST = {"best_hours": 4}
"""Rows below which a report says nothing about a single campaign."""


@dataclass(frozen=True, slots=True)
class Found:
    """One campaign and the reports about it."""

    tenant: Tenant
    campaign: Row
    answers: dict[str, Answer]
    own: Incremental | None = None
    """What the campaign brought against its holdout; None without one."""


def read(con: DuckDBPyConnection, settings: Settings, whose: Tenant, campaign_id: str) -> Found:
    """Run every report about a campaign.

    Raises:
        NotFoundError: this creator has no such campaign in the lake.
    """
    campaign = _campaign(con, whose, campaign_id)
    project = models.load(settings.models_dir)
    answers = {}
    for name, report in reports.chosen(settings.models_dir, project, PARTS).items():
        values = figures.values(report, {"campaign": campaign_id})
        answers[name] = figures.run(con, report, whose, values)
    return Found(whose, campaign, answers, _own(con, whose, campaign_id))


def write(
    con: DuckDBPyConnection, settings: Settings, whose: Tenant, campaign_id: str, form: files.Form
) -> bytes:
    """Return the campaign's page, or its days (CSV), or every report about it (JSON).

    Raises:
        NotFoundError: this creator has no such campaign in the lake.
    """
    found = read(con, settings, whose, campaign_id)
    if form == "json":
        return document(found)
    return files.rows_csv(table(found)).encode() if form == "csv" else files.page(page(found), form)


def page(found: Found) -> Page:
    """Return the campaign's page."""
    campaign = found.campaign
    draft = Draft(
        campaign["name"], pages.subtitle(found.tenant, _when(campaign, found.tenant.zone))
    )
    draft.lead = f"Campaign {campaign['id']}, {campaign['status']}."
    draft.tiles = list(_tiles(found))
    for name, answer in found.answers.items():
        shown = _sections(name, answer)
        draft.sections += shown
        if shown:  # what a number is has been said by the first report that shows it
            draft.definitions = dict(pages.definitions(answer)) | draft.definitions
    if found.own is not None:
        draft.sections.append(_incremental(found.own, found.tenant.currency))
    draft.definitions.pop("campaign", None)
    draft.notes.append(pages.settled(found.tenant))
    return draft.done()


def table(found: Found) -> Table:
    """Return the campaign's days, which is what its CSV holds."""
    answer = found.answers.get("timeline")
    return answer.table if answer is not None else Table((), [])


def document(found: Found) -> bytes:
    """Return every report about the campaign as JSON."""
    told = {name: files.document(answer) for name, answer in found.answers.items()}
    head = {"campaign": found.campaign["id"], "name": found.campaign["name"]}
    own = {"incremental": asdict(found.own)} if found.own is not None else {}
    return json.dumps(head | own | {"reports": told}, indent=1, allow_nan=False).encode()


def _campaign(con: DuckDBPyConnection, whose: Tenant, campaign_id: str) -> Row:
    row = con.execute(
        "select campaign_id, name, status, start_at, end_at from lake.marts.dim_campaigns"
        f" where creator_id = {quoted(whose.id)} and campaign_id = {quoted(campaign_id)}"
    ).fetchone()
    if row is None:
        raise NotFoundError(
            f"{whose.id} has no campaign {campaign_id!r} in the lake"
            + figures.near(con, whose, "marts.dim_campaigns", "campaign_id", campaign_id)
        )
    return dict(zip(("id", "name", "status", "start", "end"), row, strict=True))


def _own(con: DuckDBPyConnection, whose: Tenant, campaign_id: str) -> Incremental | None:
    return next(iter(incrementality.incremental(holdouts.read(con, whose.id, campaign_id))), None)


def _incremental(own: Incremental, currency: str) -> Section:
    """Say what would not have come by itself, with its interval, or why that cannot be said."""
    words = [
        f"{writing.count(own.treated)} fans whose window is over are compared with"
        f" {writing.count(own.holdout)} of the same audience who got nothing on purpose."
    ]
    if own.revenue is not None:
        middle, low, high = (writing.money(x, currency) for x in (own.revenue, own.low, own.high))
        words.append(f"Incremental revenue: {middle} (95 % interval {low} to {high}).")
    if own.roi is not None:
        middle, low, high = (writing.change(x) for x in (own.roi, own.roi_low, own.roi_high))
        words.append(f"Incremental ROI: {middle} (95 % interval {low} to {high}).")
    words += [f"{text[0].upper()}{text[1:]}." for text in (own.reason, own.note) if text]
    return Section("What would not have come by itself", words=tuple(words))


def _when(campaign: Row, zone: str) -> str:
    """Write when the campaign ran, in days of the creator's zone."""
    start, end = (
        None if at is None else at.astimezone(ZoneInfo(zone)).date()
        for at in (campaign["start"], campaign["end"])
    )
    if start is None:
        return "not begun"
    return pages.span(start, end) if end else f"since {writing.day(start)}"


def _tiles(found: Found) -> tuple[Tile, ...]:
    """The headline numbers of the overview and of the return, each once."""
    tiles: dict[str, Tile] = {}
    for name in ("campaign_overview", "campaign_roi"):
        if name in found.answers:
            tiles |= {tile.label: tile for tile in pages.tiles(found.answers[name])}
    return tuple(tiles.values())


def _sections(name: str, answer: Answer) -> list[Section]:
    """Return one card a report: its charts and, where it is more than a row, its table."""
    header, rows = answer.report.header, answer.table.rows
    if len(rows) < _LEAST.get(name, 1):
        return []
    charts = [c for c in header.chart if any(row[c.y[0]] is not None for row in rows)]
    figures_ = tuple(Figure(chart, answer.table) for chart in charts)
    shown = answer.table if len(rows) > 1 and name not in _DAYS else None
    title = charts[0].title if name == PARTS[0] and charts else header.title
    reason = rows[0].get("reason") if name == "campaign_roi" else None
    words = (f"{str(reason)[0].upper()}{str(reason)[1:]}.",) if reason else ()
    return [Section(title, "", figures_, shown, _badge(name, answer), words)]


def _badge(name: str, answer: Answer) -> Badge | None:
    """Say at a glance whether the campaign earned more than it cost."""
    row = answer.table.rows[0]
    if name != "campaign_roi":
        return None
    if row["roi"] is None:
        return Badge("no ROI" if row["cost"] else "no cost known")
    tone = "good" if row["roi"] >= 0 else "bad"
    return Badge(f"ROI {writing.change(row['roi'])}", tone)
