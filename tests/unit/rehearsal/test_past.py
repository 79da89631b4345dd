"""The past as relations, in memory; what live really did is compared in the contract tests."""

from datetime import timedelta

import pytest
from effort import examples
from hypothesis import given, settings
from hypothesis import strategies as st
from olden import START, happen, past

from huntaze_pipeline.rehearsal import meaning

FANS = ("maya-0", "maya-1", "zoe-0")
SALES = st.lists(
    st.tuples(st.sampled_from(FANS), st.integers(0, 300), st.integers(1, 50)), max_size=12
)
MESSAGES = st.lists(st.tuples(st.sampled_from(FANS), st.integers(0, 200)), max_size=6)


def sent(past, messages):
    """Say what would have gone, as a summary does."""
    past.con.execute(
        "create or replace temp table went (creator_id varchar, fan_id varchar,"
        ' message_id varchar, "at" timestamptz)'
    )
    for n, (fan, hours) in enumerate(messages):
        values = [fan.partition("-")[0], fan, f"m{n}", START + timedelta(hours=hours)]
        past.con.execute("insert into went values (?, ?, ?, ?)", values)


@settings(max_examples=examples(40), deadline=None)
@given(SALES, MESSAGES)
def test_purchases_remembered_for_the_fans_are_those_that_all_events_tell_of(sales, messages):
    olden = past()
    for fan, hours, dollars in sales:
        happen(olden, "purchase", fan, hours, dollars)
    olden.open(START + timedelta(hours=250))
    sent(olden, messages)
    everything = meaning.bought(olden)["purchases"]
    olden.number("went")
    olden.remember(["tips"], bought=True)
    assert meaning.bought(olden)["purchases"] == everything
    week = timedelta(hours=168)
    counting = [
        (fan, dollars) for fan, hours, dollars in sales
        if hours < 250 and any(
            fan == to and timedelta(0) < timedelta(hours=hours - at) <= week for to, at in messages
        )
    ]  # fmt: skip
    told = [(p["purchases"], p["fans"], p["value"]) for p in everything]
    count = (len(counting), len({f for f, _ in counting}), float(sum(d for _, d in counting)))
    assert told == ([count] if counting else [])


@pytest.mark.parametrize("name", ["maya-0", "zoe-0"])
def test_profiles_are_read_once_and_anew_for_other_fans(name):
    olden = past()
    olden.open(START)
    for fan in ("maya-1", name):
        creator = fan.partition("-")[0]
        olden.con.execute(
            "create or replace temp table asking as select 0 as position, 1 as num,"
            f" '{creator}' as creator_id, '{fan}' as fan_id, timestamptz '{START}' as seen_at,"
            " false as imported"
        )
        olden.number("asking")
        for _ in range(2):
            found = olden.con.execute(olden.profile("asking")).pl().to_dicts()
            assert [row["known"] for row in found] == [True]
            assert found[0]["zone"] == {"maya": "Asia/Tokyo", "zoe": "Europe/Paris"}[creator]
