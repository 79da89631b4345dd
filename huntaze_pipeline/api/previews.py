"""What a forecast looks like on the way out. Making one is `campaigns.forecast`."""

from huntaze_pipeline.api.shapes import Moment, Response
from huntaze_pipeline.campaigns.forecast import Forecast


class OutcomeView(Response):
    """What would become of so many fans, for the same reason."""

    state: str
    """decided | held | skipped"""
    reason: str | None
    fans: int
    examples: list[str]
    earliest_at: Moment | None


class PriceView(Response):
    """What a declared cost comes to; no total while nobody can know it."""

    kind: str
    amount: float
    currency: str
    times: int | None
    total: float | None


class SampleView(Response):
    """One message as it would go out."""

    fan_id: str
    platform: str
    subject: str | None
    content: str
    not_before: Moment


class PreviewView(Response):
    """What would come of one occurrence of a campaign; nothing of it is written."""

    campaign_id: str
    at: Moment
    audience: int
    messages: int
    outcomes: list[OutcomeView]
    platforms: dict[str, int]
    first_at: Moment | None
    last_at: Moment | None
    eta: str
    """5,000 messages on 1 account at 10 a minute: about 8 h 25 min"""
    eta_seconds: float
    costs: list[PriceView]
    totals: dict[str, float]
    """What is known to be paid, by currency."""
    samples: list[SampleView]


def preview(campaign_id: str, forecast: Forecast) -> PreviewView:
    """Return a forecast as it goes out."""
    known = forecast.told()
    return PreviewView(
        **{
            name: known[name]
            for name in PreviewView.model_fields
            if name in known and name not in ("outcomes", "costs", "samples")
        },
        campaign_id=campaign_id,
        outcomes=[OutcomeView(**outcome) for outcome in known["outcomes"]],
        costs=[PriceView(**price) for price in known["costs"]],
        samples=[SampleView(**sample) for sample in known["samples"]],
    )
