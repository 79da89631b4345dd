"""The campaign's page: what it says beside its reports."""

from datetime import UTC, datetime

import pytest

from huntaze_pipeline.measurement.incrementality import incremental
from huntaze_pipeline.reports import campaign
from huntaze_pipeline.reports.figures import Tenant

MAYA = Tenant("maya", "Maya", "EUR", "Europe/Paris", datetime(2026, 3, 1, tzinfo=UTC))
SPRING = {"id": "spring", "name": "Spring", "status": "completed", "start": None, "end": None}


def _words(treated: int, cost: int) -> str:
    arms = [
        {"arm": "treated", "n": treated, "buyers": 60, "sum": 900.0, "sum_squares": 9000.0},
        {"arm": "holdout", "n": 200, "buyers": 32, "sum": 80.0, "sum_squares": 700.0},
    ]
    key = {"creator_id": "maya", "campaign_id": "spring", "cost_micros": cost}
    (own,) = incremental([key | arm for arm in arms])
    page = campaign.page(campaign.Found(MAYA, SPRING, {}, own))
    if not page.sections:
        return ""
    return " ".join(page.sections[-1].words)


def test_incremental_roi_is_told_with_its_interval() -> None:
    told = _words(1000, 100_000_000)

    assert "1,000 fans whose window is over are compared with 200" in told
    assert "Incremental revenue: €500.00 (95 % interval " in told
    assert "Incremental ROI: +400%" in told


@pytest.mark.parametrize(
    ("treated", "cost", "why"),
    [(1000, 0, "No cost is recorded: no ROI."), (9, 1, "Treated: 9 fans whose window is over")],
)
def test_what_cannot_be_said_is_not_said_and_why(treated: int, cost: int, why: str) -> None:
    told = _words(treated, cost)

    assert "Incremental ROI" not in told
    assert why in told
