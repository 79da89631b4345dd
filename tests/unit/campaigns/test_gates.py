"""The gates: their order, the instants they name, and quiet hours in every zone of the world."""

from dataclasses import replace
from datetime import UTC, datetime, time, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo, available_timezones

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import text

from huntaze_pipeline.campaigns import caps, gates, quiet
from huntaze_pipeline.rulebook.policies import Cap, Policies, QuietHours, load_policies

POLICIES = load_policies(Path(__file__).parents[3] / "rules")
NOON = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)
NIGHT = datetime(2026, 3, 2, 23, 0, tzinfo=UTC)
PARIS = ZoneInfo("Europe/Paris")
GOOD = gates.Facts(
    platform="email", topic="marketing", zone=PARIS, expires_at=NOON + timedelta(days=3),
    not_before=NOON, consent=True, account="active",
)  # fmt: skip
HOURS = QuietHours(start=time(21, 30), end=time(8, 30))


def verdict(now=NOON, policies=POLICIES, **changes):
    return gates.judge(replace(GOOD, **changes), policies, now)


def with_caps(*caps):
    return Policies(POLICIES.file.model_copy(update={"caps": caps}))


def test_a_recipient_with_nothing_against_passes():
    assert verdict() == gates.PASS


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"account": None}, "no_account"),
        ({"account": "banned"}, "account_banned"),
        ({"account": "paused"}, "account_paused"),
        ({"consent": None}, "no_consent"),
        ({"consent": False}, "consent_withdrawn"),
        ({"suppressed": "complained"}, "suppressed: complained"),
        ({"platform": "instagram"}, "outside_window"),
        ({"expires_at": NOON}, "expired"),
    ],
)
def test_each_gate_says_no_with_its_reason(changes, reason):
    assert (verdict(**changes).outcome, verdict(**changes).reason) == ("skip", reason)


def test_the_first_gate_that_says_no_is_the_one_that_is_named():
    wrong = {"consent": False, "platform": "instagram", "expires_at": NOON, "now": NIGHT}
    assert verdict(**wrong).reason == "consent_withdrawn"
    assert verdict(**wrong | {"consent": True}).reason == "outside_window"


def test_the_instagram_window_is_open_for_24_hours_to_the_second():
    last = NOON - timedelta(hours=24)
    assert verdict(platform="instagram", last_inbound_at=last).outcome == "pass"
    later = verdict(now=NOON + timedelta(seconds=1), platform="instagram", last_inbound_at=last)
    assert later.reason == "outside_window"


def test_a_hold_for_quiet_hours_must_not_outlive_the_platform_window():
    at = datetime(2026, 3, 2, 22, 0, tzinfo=UTC)
    facts = {"platform": "instagram", "last_inbound_at": at - timedelta(hours=20)}
    assert verdict(now=at, **facts).reason == "outside_window"


def test_quiet_hours_hold_until_the_morning_where_the_fan_lives():
    held = verdict(now=NIGHT)
    assert (held.outcome, held.reason) == ("hold", "quiet_hours")
    assert held.earliest_at.astimezone(PARIS).time() == time(8, 30)


def test_a_message_that_would_expire_before_the_morning_is_skipped_with_the_earliest_instant():
    held = verdict(now=NIGHT, expires_at=NIGHT + timedelta(hours=1))
    assert (held.outcome, held.reason) == ("skip", "quiet_hours")
    assert held.earliest_at > NIGHT


def test_a_later_step_is_judged_at_its_own_time():
    assert verdict(not_before=NIGHT).outcome == "hold"


def test_the_cap_is_rolling_and_names_when_the_next_may_go():
    capped_by = with_caps(Cap(count=2, per=timedelta(hours=24)))
    contacts = [NOON - timedelta(hours=23), NOON - timedelta(hours=2)]
    capped = verdict(policies=capped_by, contacts=contacts)
    assert (capped.outcome, capped.reason) == ("skip", "frequency_cap")
    assert capped.earliest_at == NOON + timedelta(hours=1)
    assert (
        verdict(policies=capped_by, contacts=[NOON - timedelta(hours=24), contacts[1]])
        == gates.PASS
    )


def test_a_calendar_cap_counts_the_fans_own_days():
    capped_by = with_caps(Cap(count=1, per="day"))
    yesterday = datetime(2026, 3, 1, 22, 30, tzinfo=UTC)  # 23:30 in Paris
    assert verdict(policies=capped_by, contacts=[yesterday]) == gates.PASS
    assert verdict(policies=capped_by, contacts=[NOON]).reason == "frequency_cap"
    early = yesterday + timedelta(hours=1)  # today in Paris, yesterday still in London
    capped = verdict(policies=capped_by, contacts=[early])
    assert (capped.outcome, capped.reason) == ("skip", "frequency_cap")
    assert capped.earliest_at == datetime(2026, 3, 3, 7, 30, tzinfo=UTC)  # when the night is over
    assert (
        verdict(policies=capped_by, contacts=[early], zone=ZoneInfo("Europe/London")) == gates.PASS
    )


def test_what_is_planned_for_later_does_not_block_what_goes_now():
    capped_by = with_caps(Cap(count=1, per=timedelta(hours=24)))
    assert verdict(policies=capped_by, contacts=[NOON + timedelta(days=5)]) == gates.PASS
    assert (
        verdict(policies=capped_by, contacts=[NOON + timedelta(hours=23)]).reason == "frequency_cap"
    )


LIMITS = [Cap(count=2, per=timedelta(hours=24)), Cap(count=3, per="week"), Cap(count=1, per="day")]
HOURS_ON = st.lists(st.integers(-200, 200).map(lambda h: NOON + timedelta(hours=h)), max_size=8)


@settings(max_examples=150, deadline=None)
@given(st.lists(st.sampled_from(LIMITS), min_size=1, max_size=3, unique=True), HOURS_ON)
def test_the_earliest_yes_is_the_first_hour_that_breaks_no_cap(limits, contacts):
    earliest = caps.first(limits, NOON, contacts, PARIS)
    assert not caps.broken(limits, earliest, contacts, PARIS)
    hours = int((earliest - NOON).total_seconds() // 3600)
    assert all(
        caps.broken(limits, NOON + timedelta(hours=n), contacts, PARIS)
        for n in range(hours)
        if NOON + timedelta(hours=n) < earliest
    )


def test_a_cap_may_hold_instead_and_then_the_night_counts_too():
    capped_by = with_caps(Cap(count=1, per=timedelta(hours=9), then="hold"))
    held = verdict(policies=capped_by, contacts=[NOON])
    assert (held.outcome, held.reason) == ("hold", "frequency_cap")
    assert held.earliest_at.astimezone(PARIS).hour == 8


def test_service_messages_need_no_consent_and_are_not_capped():
    capped_by = with_caps(Cap(count=1, per=timedelta(hours=9)))
    facts = {"topic": "service", "consent": None, "contacts": [NOON]}
    assert verdict(policies=capped_by, **facts).outcome == "pass"
    assert verdict(topic="service", consent=False).reason == "consent_withdrawn"


def test_the_demo_can_run_at_any_hour():
    assert verdict(now=NIGHT, policies=POLICIES.without_quiet_hours()) == gates.PASS


ZONES = sorted(available_timezones() - {"localtime", "Factory"})


def test_a_fans_messages_are_found_by_the_fan_in_a_table_that_was_never_analyzed(store, creator):
    with store.worker() as c:
        c.execute(text(
            "insert into messages (creator_id, id, source, source_id, fan_id, occurrence, platform,"
            " account_id, address, content, state, not_before, idempotency_key, decided_at)"
            f" select '{creator}', n::text, 'campaign', 'c', 'fan-' || n % 900, n::text, 'email',"
            f" '{creator}-email', 'a', 'Hi', 'decided', now(), n::text, now()"
            " from generate_series(1, 30000) n"
        ))  # fmt: skip
        fans = [f"fan-{n}" for n in range(100)]
        names = {"creators": [creator] * 100, "fans": fans, "since": NOON}
        plan = c.execute(text(f"explain {gates._CONTACTS.text}"), names).scalars().all()
        assert any("ix_messages_fan" in line for line in plan), plan


@pytest.mark.slow
@pytest.mark.parametrize("hours", [HOURS, QuietHours(start=time(1, 0), end=time(2, 30))])
def test_no_zone_and_no_change_of_clocks_ever_lets_a_message_into_the_quiet_hours(hours):
    for name in ZONES:
        where = ZoneInfo(name)
        for at in _edges(where):
            opens = quiet.next_open(at, where, hours)
            assert not quiet.is_quiet(opens, where, hours), (name, at)
            assert timedelta(0) <= opens - at <= timedelta(hours=13)


def _edges(where):
    """Two years: around each change of the clock every 20 minutes, else one night a quarter."""
    day, found = datetime(2026, 1, 1, tzinfo=UTC), []
    offset = day.astimezone(where).utcoffset()
    for number in range(730):
        at = day + timedelta(days=number)
        if at.astimezone(where).utcoffset() != offset:
            offset = at.astimezone(where).utcoffset()
            found += [at - timedelta(hours=30) + timedelta(minutes=20 * n) for n in range(96)]
        elif number % 91 == 0:
            found += [at + timedelta(hours=n) for n in range(0, 24, 5)]
    return found


CHANGES = st.sampled_from(["2026-03-29", "2026-10-25", "2026-03-08", "2026-11-01", "2026-04-05"])
NAMES = st.sampled_from(["Europe/Paris", "America/New_York", "Australia/Lord_Howe", "Asia/Tokyo"])
CLOCK = st.times().map(lambda t: t.replace(second=0, microsecond=0))


@settings(max_examples=150, deadline=None)
@given(CHANGES, NAMES, CLOCK, CLOCK, st.integers(0, 2880))
def test_next_open_is_the_first_minute_that_is_not_quiet(day, name, start, end, minute):
    hours, where = QuietHours(start=start, end=end), ZoneInfo(name)
    at = datetime.fromisoformat(f"{day}T00:00:00+00:00") + timedelta(minutes=minute - 1440)
    opens = quiet.next_open(at, where, hours)
    minutes = int((opens - at).total_seconds() // 60)
    assert not quiet.is_quiet(opens, where, hours)
    assert all(quiet.is_quiet(at + timedelta(minutes=m), where, hours) for m in range(minutes))
