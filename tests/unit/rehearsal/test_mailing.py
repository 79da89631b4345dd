"""Campaigns over the past, in memory; what live really sent is compared in the contract tests."""

from dataclasses import replace
from datetime import time, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

from olden import START, ZONES, past

from huntaze_pipeline.rehearsal import mailing
from huntaze_pipeline.rehearsal.mailing import Script
from huntaze_pipeline.rulebook import loader
from huntaze_pipeline.rulebook.policies import Cap, Policies, QuietHours
from huntaze_pipeline.rulebook.schema import Campaign

SHIPPED = loader.load(Path(__file__).parents[3] / "rules")
SALE = Campaign.model_validate(
    {"name": "Sale", "platforms": ["onlyfans"], "template": "content_teaser"}
)
BOOK = replace(SHIPPED, campaigns={"sale": SALE})


def decided(olden, book=BOOK):
    """Decide the sale for both creators."""
    olden.open(START + timedelta(days=1))
    found = [
        mailing.at(Script.filed(book, "sale", creator, START), START) for creator in olden.people()
    ]
    return mailing.run(olden, found, book.policies, START, START + timedelta(days=1)).decisions


def test_each_creators_fans_are_asked_in_their_own_zone():
    day = QuietHours(start=time(9), end=time(20))
    file = BOOK.policies.file.model_copy(update={"caps": (), "quiet_hours": day})
    found = decided(past(), replace(BOOK, policies=Policies(file)))
    assert {(d.creator_id, d.reason) for d in found} == {
        ("maya", "quiet_hours"), ("zoe", "quiet_hours")
    }  # fmt: skip
    for d in found:
        assert d.not_before.astimezone(ZoneInfo(ZONES[d.creator_id])).hour == 20


def test_what_each_creators_fans_really_got_counts_for_their_caps():
    olden = past()
    for creator in ZONES:
        olden.con.execute(
            "insert into ops.messages select ?, 'm', ?, 'api', 'x', '', 'marketing', 'sent', null,"
            " 'onlyfans', 'of', '', null, t, t, t, t from (select ?::timestamptz as t)",
            [creator, f"{creator}-1", START - timedelta(hours=1)],
        )
    caps = (Cap(count=1, per=timedelta(days=1)),)
    file = BOOK.policies.file.model_copy(update={"caps": caps, "quiet_hours": None})
    found = decided(olden, replace(BOOK, policies=Policies(file)))
    refused = {d.fan_id for d in found if d.reason == "frequency_cap"}
    assert refused == {"maya-1", "zoe-1"}
    assert len(found) == 6
