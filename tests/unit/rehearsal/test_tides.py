"""Segments over the past, in memory; what live really held is compared in the contract tests."""

from datetime import timedelta

from effort import examples
from hypothesis import given, settings
from hypothesis import strategies as st
from olden import START, happen, past

from huntaze_pipeline.rehearsal import showing, tides
from huntaze_pipeline.rulebook.schema import Segment

DAY = timedelta(days=1)
BUYERS = {"buyers": Segment.model_validate({"name": "Buyers", "where": "fan.purchases >= 1"})}
STAYS = st.sets(st.sampled_from(["maya-0", "maya-1", "zoe-0", "zoe-1"]))


def stay(olden, fan, came, went=None):
    creator = fan.partition("-")[0]
    values = [creator, fan, came, went]
    olden.con.execute("insert into ops.members values (?, 'buyers', ?, ?, ?)", values)


def _whole(fans):
    return [f"{fan.partition('-')[0]}/{fan}" for fan in sorted(fans)]


@settings(max_examples=examples(40), deadline=None)
@given(STAYS, STAYS)
def test_who_is_in_it_is_compared_with_the_stays_of_live_creator_by_creator_or_at_once(
    bought, held
):
    olden = past(2)
    for fan in bought:
        happen(olden, "purchase", fan, 5, 10)
    for fan in held:
        stay(olden, fan, START + timedelta(hours=6))
    olden.open(START + 2 * DAY)
    whole = tides.run(olden, BUYERS, "buyers", START, START + DAY)
    parts = []
    for creator in ("maya", "zoe"):
        olden.creators = [creator]
        parts.append(tides.run(olden, BUYERS, "buyers", START, START + DAY))
    assert tides.together(parts) == whole
    first, last = whole
    assert (first.size, first.live) == (0, None)
    assert last.size == len(bought)
    if held:
        known = {fan.partition("-")[0] for fan in held}
        here = {fan for fan in bought - held if fan.partition("-")[0] in known}
        told = tides.Agreement(len(held & bought), _whole(held - bought), _whole(here))
        assert last.live == told
    else:
        assert last.live is None


def test_a_stay_that_has_ended_is_no_member_and_the_lines_name_who_differs():
    olden = past(2)
    happen(olden, "purchase", "maya-0", 5, 10)
    stay(olden, "maya-0", START, START + timedelta(hours=20))
    stay(olden, "maya-1", START + timedelta(hours=20))
    olden.open(START + 2 * DAY)
    found = tides.summary("buyers", tides.run(olden, BUYERS, "buyers", START, START + DAY))
    told = showing.tides(found)
    assert "against live at last: 0 the same, 1 only live, 1 only here" in told
    assert "only live: maya/maya-1" in told
    assert "only here: maya/maya-0" in told
