"""What a campaign would do, asked before it is started, against the real store."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import func, insert, select, update

from huntaze_pipeline.campaigns import forecast, launch, lifecycle, lookup, readiness
from huntaze_pipeline.delivery import outbox
from huntaze_pipeline.errors import ConflictError, Problems
from huntaze_pipeline.rulebook import loader, registry
from huntaze_pipeline.store.outflow import Message
from huntaze_pipeline.store.people import Consent, Fan, Identity
from huntaze_pipeline.store.planning import Campaign, CampaignTemplate

BOOK = loader.load(Path(__file__).parents[3] / "rules")
NOON = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)


@pytest.fixture
def live(store, creator):
    """Forty fans on e-mail besides the three, every fourth without a size; the rules applied."""
    names = [f"many-{i:02d}" for i in range(40)]
    base = {"creator_id": creator}
    agreed = {"topic": "marketing", "granted": True, "source": "test"}
    with store.worker() as c:
        registry.apply(c, creator, BOOK, NOON)
        sizes = [{} if i % 4 == 0 else {"size": "M"} for i in range(40)]
        fans = [{"id": n, "attributes": s} for n, s in zip(names, sizes, strict=True)]
        c.execute(insert(Fan), [base | fan for fan in fans])
        address = {"platform": "email", "account_id": "maya-email"}
        mails = [{"fan_id": n, "address": f"{n}@x.org", "normalised": f"{n}@x.org"} for n in names]
        c.execute(insert(Identity), [base | address | mail for mail in mails])
        c.execute(insert(Consent), [base | agreed | {"fan_id": n} for n in names])
        plain = {"targeting": {}, "settings": {}, "platforms": ["email"]}
        c.execute(update(Campaign).where(Campaign.id == "spring_drop").values(**plain))
    return store


def foretold(store, name="spring_drop", now=NOON, **more):
    with store.tenant("maya") as c:
        row = lookup.get(c, "maya", name)
        return forecast.of(c, row, BOOK.policies, now, lambda *_: (10, 60.0), **more)


def says(store, body):
    """Let flash_sale's English e-mail say this."""
    with store.worker() as c:
        flash = CampaignTemplate.id == "flash_sale"
        content = c.scalar(select(CampaignTemplate.content).where(flash))
        content["email"]["en"]["body"] = body
        c.execute(update(CampaignTemplate).where(flash).values(content=content))


def test_it_tells_what_then_happens_and_writes_nothing(live):
    found = foretold(live)
    with live.worker() as c:
        assert c.scalar(select(func.count()).select_from(Message)) == 0
        lifecycle.start(c, "maya", "spring_drop", now=NOON, actor="test")
        (campaign,) = launch.due(c, NOON)
        decisions = launch.plan(c, campaign, NOON, BOOK.policies)
        assert outbox.record(c, decisions).new == found.audience == 43
    assert found.outcomes == forecast.outcomes(decisions)
    assert found.messages == sum(d.state == "decided" for d in decisions)


def test_the_time_is_counted_from_the_accounts_limit_and_what_waits_before(live):
    alone = foretold(live)
    assert alone.told()["eta"] == "43 messages on 1 account at 10 a minute: about 5 min"
    with live.worker() as c:
        lifecycle.start(c, "maya", "spring_drop", now=NOON, actor="test")
        (campaign,) = launch.due(c, NOON)
        outbox.record(c, launch.plan(c, campaign, NOON, BOOK.policies))
    change = {"template_id": "content_teaser", "targeting": {}, "recurring": None}
    with live.worker() as c:
        c.execute(update(Campaign).where(Campaign.id == "friday_teaser").values(**change))
    assert foretold(live, "friday_teaser").eta_s > 1.8 * alone.eta_s


def test_what_is_out_by_then_is_in_nobodys_way(live):
    alone = foretold(live).eta_s
    with live.worker() as c:
        lifecycle.start(c, "maya", "spring_drop", now=NOON, actor="test")
        (campaign,) = launch.due(c, NOON)
        outbox.record(c, launch.plan(c, campaign, NOON, BOOK.policies))
        later = {"start_at": NOON + timedelta(hours=3), "recurring": None, "targeting": {}}
        c.execute(update(Campaign).where(Campaign.id == "friday_teaser").values(**later))
    found = foretold(live, "friday_teaser")
    assert found.at == NOON + timedelta(hours=3)
    assert found.eta_s <= alone + 60


def test_declared_costs_are_summed_by_currency_and_the_unknowable_is_left_open(live):
    costs = [
        {"kind": "fixed", "amount": 20, "currency": "EUR"},
        {"kind": "per_message", "amount": 0.05, "currency": "EUR"},
        {"kind": "discount", "amount": 9, "currency": "USD"},
    ]
    with live.worker() as c:
        mine = update(Campaign).where(Campaign.id == "spring_drop")
        c.execute(mine.values(settings={"costs": costs}))
    found = foretold(live)
    assert found.totals == {"EUR": pytest.approx(20 + 0.05 * found.messages), "USD": 0.0}
    assert [price.total is None for price in found.prices] == [False, False, True]
    told = "\n".join(forecast.lines(found))
    assert "discount: 9.00 USD for each goal that is credited to it" in told


def test_a_fans_own_message_is_shown(live):
    (sample,) = foretold(live, fans=["fan-1"]).samples
    assert "Fan-1" in sample.content
    assert len(foretold(live).samples) == 2  # without a wish, one for each arm


def test_fans_who_lack_a_word_are_named_before_the_start_and_skipped_after_it(live):
    says(live, "Your size {{ fan.attributes.size }}")
    with live.tenant("maya") as c, pytest.raises(Problems) as told:
        readiness.require(c, "maya", "spring_drop", BOOK.policies, NOON)
    what = "audience: fan.attributes.size has no value for 13 of the audience (fan-1, fan-2, fan-3"
    assert str(told.value).startswith(what)
    lacks = [o for o in foretold(live).outcomes if o.state == "skipped"]
    assert [(o.reason, o.fans) for o in lacks] == [
        ("render_error: fan.attributes.size has no value", 13)
    ]


def test_a_word_with_a_fallback_lets_it_start(live):
    says(live, "Your size {{ fan.attributes.size or 'any' }}")
    with live.tenant("maya") as c:
        readiness.require(c, "maya", "spring_drop", BOOK.policies, NOON)
    assert [o for o in foretold(live).outcomes if o.state == "skipped"] == []


def test_what_is_over_has_nothing_to_foretell(live):
    with live.worker() as c:
        c.execute(update(Campaign).where(Campaign.id == "spring_drop").values(status="completed"))
    with pytest.raises(ConflictError, match="is completed"):
        foretold(live)
