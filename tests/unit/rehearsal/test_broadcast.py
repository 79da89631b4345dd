"""Campaigns in the world in memory: decided as in the real store, told and covered like rules."""

import shutil
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import insert, update

from huntaze_pipeline.campaigns import launch, lifecycle, rest
from huntaze_pipeline.delivery import outbox
from huntaze_pipeline.rehearsal import coverage, trial
from huntaze_pipeline.rehearsal.cast import CREATOR, address
from huntaze_pipeline.rehearsal.scene import Scene
from huntaze_pipeline.rulebook import loader, registry
from huntaze_pipeline.rulebook.cases import Case
from huntaze_pipeline.store.people import PLATFORMS, Account, Consent, Creator, Fan, Identity
from huntaze_pipeline.store.planning import Experiment
from huntaze_pipeline.store.segments import Member

RULES = Path(__file__).parents[3] / "rules"
START = datetime(2027, 3, 1, 12, tzinfo=UTC)
DROP = """\
name: Drop
platforms: [onlyfans, email, instagram]
template: flash_sale
schedule: {start: "2027-03-01T20:00:00Z", end: "2027-03-20T20:00:00Z"}
targeting: {segments: [vip, engaged], exclude: [lapsed], cap: 45}
holdout: 0.1
expires_after: 48h
variants: [{id: left, variables: {hook: L}}, {id: right, weight: 2, variables: {hook: R}}]
experiment: {share: 0.5, window: 1h, fallback: left}
"""
PEOPLE = {
    "crowd": {"times": 40, "zone": "Europe/Paris", "segments": ["vip"]},
    "night": {"times": 6, "zone": "America/Los_Angeles", "segments": ["engaged"]},
    "mute": {"times": 3, "segments": ["engaged"], "consents": {"marketing": False}},
    "cold": {"times": 3, "segments": ["vip"], "platforms": ["instagram"], "last_inbound": "30h"},
    "mail": {"times": 3, "segments": ["vip"], "platforms": ["email"], "locale": "fr"},
    "gone": {"segments": ["vip", "lapsed"]},
    "new": {"segments": []},
}


@pytest.fixture
def rules(tmp_path):
    folder = tmp_path / "rules"
    shutil.copytree(RULES, folder, ignore=shutil.ignore_patterns("tests"))
    (folder / "campaigns" / "drop.yaml").write_text(DROP, "utf-8")
    return folder


def case(**more):
    return Case.model_validate({"name": "x", "clock": START, "expect": [], **more})


def peopled(store, scene):
    """Put the fans of a scene into the real store."""
    base = {"creator_id": CREATOR}
    with store.worker() as c:
        c.execute(insert(Creator).values(id=CREATOR, name="Maya", zone="UTC"))
        c.execute(insert(Account), [
            base | {"id": f"{CREATOR}-{p}", "platform": p, "handle": "maya"} for p in PLATFORMS
        ])  # fmt: skip
        registry.apply(c, CREATOR, scene.rulebook, START)
        for name, person in scene.test.fans.items():
            for fan in scene.those(name):
                _fan(c, base | {"fan_id": fan}, person)


def _fan(c, key, person):
    row = {"creator_id": CREATOR, "id": key["fan_id"], "name": person.name, "zone": person.zone}
    c.execute(insert(Fan).values(row | {"locale": person.locale}))
    wrote = person.last_inbound and START - person.last_inbound
    for p in person.platforms:
        where = address(key["fan_id"], p)
        c.execute(insert(Identity).values(key | {
            "platform": p, "account_id": f"{CREATOR}-{p}", "address": where,
            "normalised": where.lower(), "last_inbound_at": wrote,
        }))  # fmt: skip
    for segment in person.segments or ():
        c.execute(insert(Member).values(key | {"segment_id": segment, "entered_at": START}))
    granted = person.consents.get("marketing", True)
    c.execute(insert(Consent).values(
        key | {"topic": "marketing", "granted": granted, "source": "test", "changed_at": START}
    ))  # fmt: skip


def ticked(store, book, moments, winner):
    """Decide in the real store what is due at each moment; the test is over before the last."""
    found = []
    for now in moments:
        with store.worker() as c:
            if now == moments[-1]:
                won = {"decided_at": now, "winner_variant_id": winner}
                c.execute(update(Experiment).where(Experiment.campaign_id == "drop").values(won))
            done = []
            for campaign in launch.due(c, now):
                done += launch.plan(c, campaign, now, book.policies)
                launch.advance(c, campaign, now)
            outbox.record(c, done)
            for campaign in rest.ready(c):
                late = rest.plan(c, campaign, now, book.policies)
                outbox.release(c, late)
                done += late
            found += done
    return found


def seen(decision):
    if decision.state == "held":
        return (decision.fan_id, "wait", decision.decided_at, None, "")
    if decision.state == "skipped":
        kind = "hold" if decision.reason == "holdout" else "skip"
        return (decision.fan_id, kind, decision.decided_at, None, decision.reason)
    arm = decision.variant_id or decision.followed_variant_id
    return (decision.fan_id, "send", decision.not_before, arm, decision.content)


def told(outcome):
    arm = outcome.detail.get("variant") if outcome.kind == "send" else None
    text = outcome.detail.get("content") if outcome.kind == "send" else outcome.detail["reason"]
    return (outcome.fan, outcome.kind, outcome.at, arm, "" if outcome.kind == "wait" else text)


@pytest.mark.slow
def test_a_campaign_with_a_test_comes_out_as_in_the_real_store(store, rules):
    book = loader.load(rules)
    events = [{"winner": "right", "at": "10h"}]
    scene = Scene(case(fans=PEOPLE, events=events), book, [], ["drop"])
    story = [o for o in scene.play().story if o.kind != "out"]
    peopled(store, scene)
    with store.worker() as c:
        lifecycle.start(c, CREATOR, "drop", now=START, actor="test")
    moments = [START, START + timedelta(hours=8), START + timedelta(hours=10)]
    real = ticked(store, book, moments, "right")
    assert sorted(map(told, story)) == sorted(map(seen, real))
    assert {o.kind for o in story} == {"send", "skip", "hold", "wait"}
    assert {o.detail["reason"] for o in story if o.kind == "skip"} >= {
        "consent_withdrawn", "outside_window",
    }  # fmt: skip


def test_who_is_not_in_the_audience_is_told_with_the_reason(rules):
    scene = Scene(case(fans=PEOPLE), loader.load(rules), [], ["drop"])
    out = {o.fan: o.detail["reason"] for o in scene.play().story if o.kind == "out"}
    assert out.pop("gone") == "excluded"
    assert out.pop("new") == "audience"
    assert set(out.values()) == {"cap"}
    assert len(out) == 10


def test_a_fans_own_clock_decides_when_and_a_repetition_goes_on_as_long_as_the_test(rules):
    text = DROP.split("schedule")[0] + (
        'schedule: {recurring: weekly, local: "18:00", start: 2027-03-24}\ntargeting: {}\n'
    )
    (rules / "campaigns" / "drop.yaml").write_text(text, "utf-8")
    fans = {"east": {"zone": "Asia/Tokyo"}, "west": {"zone": "America/New_York"},
            "paris": {"zone": "Europe/Paris"}}  # fmt: skip
    scene = Scene(case(fans=fans, until="33d"), loader.load(rules), [], ["drop"])
    went = [(o.fan, o.at.strftime("%m-%d %H:%M")) for o in scene.play().story]
    assert sorted(went) == [
        ("east", "03-24 09:00"), ("east", "03-31 09:00"),
        ("paris", "03-24 17:00"), ("paris", "03-31 16:00"),
        ("west", "03-24 22:00"), ("west", "03-31 22:00"),
    ]  # fmt: skip


def ran(rules, tests):
    path = rules / "campaigns" / "drop.yaml"
    path.write_text(DROP + "tests:\n" + tests, "utf-8")
    draft = loader.drafted(rules)
    return draft, ["drop" in str(p) and str(p).partition(": ")[2] for p in draft.problems]


def test_segments_are_computed_while_the_test_goes_on_and_automations_meet_the_campaign(rules):
    suite = rules / "tests" / "both.yaml"
    suite.parent.mkdir(exist_ok=True)
    suite.write_text(
        "rules: [tip_thanks]\ncampaigns: [drop]\ntests:\n"
        "  - name: both\n    fans: {cleo: {}, dan: {}}\n"
        "    events: [{event: tip, value: 3, at: 1h, fan: cleo}]\n"
        "    expect:\n"
        "      - {send: true, rule: tip_thanks, fan: cleo, at: 1h}\n"
        "      - {send: flash_sale, rule: drop, fan: cleo, at: 8h}\n"
        "      - {out: audience, rule: drop, fan: dan}\n",
        "utf-8",
    )
    draft = loader.drafted(rules)
    assert draft.problems == []
    assert [str(p) for r in trial.run(draft, ["tests/both"]) for p in r.problems] == []


def test_nobody_who_waited_gets_anything_when_nothing_won_and_who_left_gets_nothing(rules):
    fans = {"all": {"times": 30, "segments": ["vip"]}}
    events = [{"winner": "none", "at": "9h"}]
    story = Scene(case(fans=fans, events=events), loader.load(rules), [], ["drop"]).play().story
    waited = {o.fan for o in story if o.kind == "wait"}
    lost = {o.fan for o in story if o.kind == "skip" and o.detail["reason"] == "no_winner"}
    assert waited == lost
    assert waited


def test_names_that_the_campaign_does_not_have_are_faults_of_its_tests(rules):
    _, problems = ran(
        rules,
        "  - name: a\n    events: [{winner: lft, at: 1h}]\n    expect:\n"
        "      - {send: flash_sale, variant: rigth}\n",
    )
    assert problems == [
        "unknown variant 'lft'; did you mean 'left'?",
        "unknown variant 'rigth'; did you mean 'right'?",
    ]


def test_a_suite_names_campaigns_that_exist_and_at_least_one_rule(rules):
    suite = rules / "tests" / "both.yaml"
    suite.parent.mkdir(exist_ok=True)
    suite.write_text("campaigns: [dorp]\ntests: [{name: a, expect: []}]\n", "utf-8")
    assert [str(p) for p in loader.drafted(rules).problems] == [
        "rules/tests/both.yaml:1:13: unknown campaign 'dorp'; did you mean 'drop'?"
    ]
    suite.write_text("tests: [{name: a, expect: []}]\n", "utf-8")
    assert "at least one automation" in str(loader.drafted(rules).problems[0])


def test_a_campaign_that_is_over_when_the_test_begins_says_so(rules):
    draft, problems = ran(rules, "  - {name: late, clock: 2027-04-01T00:00:00Z, expect: []}\n")
    assert problems == []
    (problem,) = (p for r in trial.run(draft, ["drop"]) for p in r.problems)
    assert str(problem).endswith("late: drop is over when the test begins: give the test a `clock`")


def test_what_no_test_of_a_campaign_tried_is_listed(rules):
    draft, _ = ran(
        rules,
        "  - name: one\n    fans: {a: {segments: [vip], platforms: [email]}}\n"
        "    events: [{winner: left, at: 9h}]\n"
        "    expect: [{wait: true}, {send: flash_sale, at: 9h}]\n",
    )
    results = trial.run(draft, ["campaigns/drop"])
    covered = coverage.measure(draft, [r.story for r in results])
    (row,) = (row for row in covered if row.rule == "drop")
    assert {way.what for way, _ in row.missed} >= {
        "nobody is outside its segments", "nobody is excluded", "nobody is held out",
        "nobody is one too many for the cap", "nobody gets it on onlyfans",
        "nobody is refused for lack of consent", "nobody is in the quiet hours",
        "nobody has had too many messages", "nobody is outside a platform's window",
    }  # fmt: skip
    assert {where.split(":")[1] for way, where in row.missed if "held out" in way.what} == {"6"}
