"""Everything about one A/B test on one page: verdict, arms, differences, looks and the split.

The arms' settled numbers come from the lake, the looks from PostgreSQL behind the tenant's wall.
Nothing is decided here; `measurement.decision` has decided.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from zoneinfo import ZoneInfo

from duckdb import DuckDBPyConnection
from sqlalchemy import text

from huntaze_pipeline.errors import NotFoundError
from huntaze_pipeline.reports import figures, files, looks, writing
from huntaze_pipeline.reports import page as pages
from huntaze_pipeline.reports.figures import Answer, Row, Table, Tenant
from huntaze_pipeline.reports.page import Badge, Draft, Figure, Page, Section, Tile
from huntaze_pipeline.settings import Settings
from huntaze_pipeline.store.session import Store
from huntaze_pipeline.warehouse import models, reports

_TONES = {"winner": "good", "invalid_srm": "bad", "stopped_by_guardrail": "bad"}
_STATES = {
    "running": "running", "maturing": "waiting for the first recipients' windows to pass",
    "winner": "winner", "no_difference": "no difference that matters", "no_winner": "no winner",
    "invalid_srm": "invalid: the split is wrong", "insufficient_data": "too little data",
    "stopped_by_guardrail": "stopped by its guardrail",
}  # fmt: skip
_EXPERIMENT = text("select * from experiments where id = :id")
_LOOKS = text(
    "select step, counts, result, looked_at from looks where experiment_id = :id"
    " order by looked_at, step"
)


@dataclass(frozen=True, slots=True)
class Found:
    """One test: its row, its looks, oldest first, and its arms' settled numbers."""

    tenant: Tenant
    experiment: Row
    looks: list[Row]
    arms: Answer

    @property
    def money_in(self) -> str | None:
        """The currency of a test on revenue; None of one that counts who did something."""
        return self.tenant.currency if self.experiment["metric"] == "revenue" else None

    @property
    def last(self) -> Mapping[str, Any]:
        """What the newest look found."""
        return self.looks[-1]["result"] if self.looks else {}


def read(con: DuckDBPyConnection, settings: Settings, whose: Tenant, experiment_id: str) -> Found:
    """Read a test of this creator.

    Raises:
        NotFoundError: this creator has no such test.
    """
    with Store(settings).tenant(whose.id) as connection:
        row = connection.execute(_EXPERIMENT, {"id": experiment_id}).mappings().first()
        if row is None:
            raise NotFoundError(
                f"{whose.id} has no experiment {experiment_id!r}"
                + figures.near(con, whose, "marts.dim_experiments", "experiment_id", experiment_id)
            )
        taken = [dict(r) for r in connection.execute(_LOOKS, {"id": experiment_id}).mappings()]
    report = reports.one(settings.models_dir, models.load(settings.models_dir), "experiments")
    values = figures.values(report, {"experiment": experiment_id})
    arms = figures.run(con, report, whose, values)
    for arm in arms.table.rows:  # the verdict is PostgreSQL's: the lake's copy is of the last build
        arm["winner"] = arm["arm"] == row["winner_variant_id"]
        arm["state"] = writing.words(str(row["state"]))
    return Found(whose, dict(row), taken, arms)


def write(
    con: DuckDBPyConnection, settings: Settings, whose: Tenant, experiment_id: str, form: files.Form
) -> bytes:
    """Return the test's page, or its arms (CSV), or all that is known of it (JSON).

    Raises:
        NotFoundError: this creator has no such test.
    """
    found = read(con, settings, whose, experiment_id)
    if form == "json":
        return document(found)
    return files.rows_csv(table(found)).encode() if form == "csv" else files.page(page(found), form)


def page(found: Found) -> Page:
    """Return the test's page."""
    row = found.experiment
    draft = Draft(f"A/B test {row['id']}", pages.subtitle(found.tenant, _when(found)))
    draft.lead = _rule(row, found.money_in is not None)
    draft.tiles = _tiles(found)
    draft.sections = [
        _verdict(found),
        _arms(found),
        *_differences(found),
        *_course(found),
        _split(found),
    ]
    draft.definitions = dict(pages.definitions(found.arms))
    draft.definitions.pop("experiment", None)
    draft.notes = [pages.settled(found.tenant)]
    return draft.done()


def table(found: Found) -> Table:
    """Return the arms, which is what its CSV holds."""
    return found.arms.table


def document(found: Found) -> bytes:
    """Return the test as JSON: its rule and state, its arms, and every look as it was kept."""
    told = {
        "experiment": {name: files.plain(value) for name, value in found.experiment.items()},
        "as_of": files.plain(found.tenant.as_of),
        "arms": files.rows(found.arms.table),
        "looks": [
            {name: files.plain(value) for name, value in look.items()} for look in found.looks
        ],
    }
    return json.dumps(told, indent=1, allow_nan=False).encode()


def _when(found: Found) -> str:
    """Write from when to when the test ran, in days of the creator's zone."""
    zone = ZoneInfo(found.tenant.zone)
    start, end = (
        None if at is None else at.astimezone(zone).date()
        for at in (found.experiment["started_at"], found.experiment["decided_at"])
    )
    return pages.span(start, end) if start or end else "not begun"


def _rule(row: Row, revenue: bool) -> str:
    size = f"{row['planned_n']:,} recipients planned" if row["planned_n"] else "open-ended"
    aim = "recipients spend more" if revenue else f"more recipients reach “{row['metric']}”"
    return (
        f"Which text makes {aim} within"
        f" {writing.duration(row['window_s'])} of their own message? {size[0].upper()}{size[1:]},"
        f" chance of a false winner {writing.percent(row['alpha'])}, however often one looks."
    )


def _tiles(found: Found) -> list[Tile]:
    rows, last = found.arms.table.rows, found.last
    matured = int(figures.total(rows, "matured"))
    tiles = [
        Tile("Recipients", writing.count(figures.total(rows, "assigned")), f"{matured:,} matured"),
        Tile("Reached the metric", writing.count(figures.total(rows, "hits"))),
    ]
    lead = looks.leading(found.last)
    if lead is not None and lead["estimate"] is not None:
        tiles.append(_lead(lead["estimate"], found.money_in))
    tiles.append(Tile("Looks taken", writing.count(len(found.looks)), looks.method(last)))
    return tiles


def _lead(estimate: float, money_in: str | None) -> Tile:
    if money_in is None:
        return Tile("Best against the next", looks.points(estimate), "percentage points")
    return Tile("Best against the next", writing.money(estimate, money_in), "a recipient")


def _verdict(found: Found) -> Section:
    row, last = found.experiment, found.last
    state = str(row["state"])
    badge = Badge(_STATES.get(state, writing.words(state)), _TONES.get(state, "plain"))
    told = [f"{last['reason'][0].upper()}{last['reason'][1:]}."] if last.get("reason") else []
    if row["winner_variant_id"]:
        told.insert(0, f"{row['winner_variant_id']} won: it beats every other arm.")
        if found.money_in is None:
            told.append(looks.curse(found.last, row["winner_variant_id"], found.arms.table.rows))
    elif row["decided_at"] and row.get("fallback_variant_id"):
        told.append(f"{row['fallback_variant_id']} is sent instead; that is no winner.")
    return Section("Verdict", badge=badge, words=tuple(word for word in told if word))


def _arms(found: Found) -> Section:
    charts = tuple(
        Figure(chart.model_copy(update={"multiples": None}), found.arms.table)
        for chart in found.arms.report.header.chart
    )
    narrow = tuple(
        c for c in found.arms.table.columns if c.name not in ("experiment", "state", "metric")
    )
    rows = Table(narrow, found.arms.table.rows, found.arms.table.currency)
    return Section("The arms", "Rates of matured recipients with 95 % intervals.", charts, rows)


def _differences(found: Found) -> Sequence[Section]:
    figure = looks.differences(found.last, found.money_in)
    if figure is None:
        return ()
    return (Section("Each arm against each other", looks.interval_told(found.last), (figure,)),)


def _course(found: Found) -> Sequence[Section]:
    figure = looks.course(found.looks, float(found.experiment["alpha"]), found.money_in)
    if figure is None:
        return ()
    return (Section("Look by look", looks.course_told(found.last), (figure,)),)


def _split(found: Found) -> Section:
    """Whether recipients were split as planned."""
    split = looks.split(found.looks[-1]["counts"]) if found.looks else None
    if split is None:
        return Section("Split of recipients", "No look was taken yet.")
    fine = not split.wrong
    badge = Badge("as planned", "good") if fine else Badge("not as planned", "bad")
    return Section("Split of recipients", split.told, table=split.table, badge=badge)
