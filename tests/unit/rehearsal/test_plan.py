"""Plan, then apply, then reality: they agree, and a plan that no longer holds is refused."""

import json
import shutil
from datetime import UTC, datetime, timedelta
from pathlib import Path

import duckdb
import pytest
from sqlalchemy import insert, select, text

from huntaze_pipeline.campaigns import reactions
from huntaze_pipeline.delivery import outbox
from huntaze_pipeline.errors import RuleError, StalePlanError
from huntaze_pipeline.events import inbox
from huntaze_pipeline.events.envelope import Event
from huntaze_pipeline.rehearsal import forecast, proposal, release, rulings, sheet, standing
from huntaze_pipeline.rehearsal.origin import Origin
from huntaze_pipeline.rulebook import loader
from huntaze_pipeline.store.automations import AutomationVersion, Release
from huntaze_pipeline.store.people import Creator
from huntaze_pipeline.store.segments import Member

RULES = Path(__file__).parents[3] / "rules"
NOW = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)
LATER = NOW + timedelta(hours=1)
STEPS = """\
name: Steps
trigger: {event: subscribed}
on_change: follow
steps:
  - send: {content: "One"}
  - wait: 2d
  - send: {content: "Two"}
  - wait: 3d
  - send: {content: "Three"}
"""


SHORT = """\
name: Short
trigger: {event: purchase}
actions:
  - content: "Thanks"
    topic: service
  - content: "And more"
    delay: 24h
"""


@pytest.fixture
def rules(tmp_path):
    folder = tmp_path / "rules"
    for kind in ("automations", "segments"):
        (folder / kind).mkdir(parents=True)
    shutil.copy(RULES / "policies.yaml", folder)
    for name in ("lapsed", "big_spenders", "vip"):
        shutil.copy(RULES / f"segments/{name}.yaml", folder / "segments")
    for name, content in {"steps": STEPS, "short": SHORT, "gone": SHORT}.items():
        (folder / f"automations/{name}.yaml").write_text(content, "utf-8")
    return folder


def edit(rules, name, old, new):
    path = rules / name
    content = path.read_text("utf-8")
    assert old in content
    path.write_text(content.replace(old, new), "utf-8")


def planned(store, creators, rules, now=NOW, lake=None):
    book = loader.load(rules)
    with store.worker() as connection:
        found = [forecast.forecast(connection, lake, name, book, now) for name in creators]
    return proposal.made(found, book, Origin("abc123"), now)


def applied(store, plan, rules, now=NOW):
    book = loader.load(rules)
    proposal.fresh(plan, book)
    with store.worker() as connection:
        names = sorted(plan.live)
        return release.apply(connection, names, book, plan.origin, now, plan.live)


def live(store, creator="maya"):
    with store.worker() as connection:
        return standing.rules(connection, creator)


def entered(store, book, *fans):
    """Let fans subscribe, in the real store."""
    with store.worker() as connection:
        events = [
            Event(creator_id="maya", event_id=f"e-{fan}", name="subscribed", fan_id=fan,
                  occurred_at=NOW, source="api", platform="onlyfans")
            for fan in fans
        ]  # fmt: skip
        inbox.append(connection, events)
        done = reactions.react(connection, None, events, book.policies, NOW)
        outbox.record(connection, done.decisions)


def ways(store):
    with store.worker() as connection:
        return connection.execute(
            text("select state, count(*) from executions where automation_id = 'steps' group by 1")
        ).all()


def test_a_plan_promises_what_the_apply_does_and_changes_nothing_itself(store, creator, rules):
    plan = planned(store, [creator], rules)
    assert plan.changed
    assert live(store) == {}
    done = applied(store, plan, rules)[creator]
    promised = {f"{c.kind}/{c.id}": c.after for c in plan.forecasts[0].changes}
    with store.worker() as connection:
        noted = rulings.noted(connection, creator)
    assert noted is not None
    assert promised.pop("policies/policies") == noted.hash
    assert promised == {label: rule.hash for label, rule in live(store).items()}
    assert sorted(promised) == sorted(done.created)
    again = planned(store, [creator], rules)
    assert (again.changed, again.forecasts[0].changes) == (False, [])
    assert "nothing changes" in sheet.text(again)


def test_who_is_in_a_segment_already_does_not_set_off_a_new_rule_and_the_plan_says_so(
    store, creator, rules
):
    applied(store, planned(store, [creator], rules), rules)
    stay = {"creator_id": creator, "segment_id": "vip", "fan_id": "fan-1", "entered_at": NOW}
    with store.worker() as connection:
        connection.execute(insert(Member), [stay])
    text = SHORT.replace("{event: purchase}", "{entered: vip}")
    (rules / "automations/vips.yaml").write_text(text, "utf-8")
    text = SHORT.replace("{event: purchase}", "{entered: lapsed}")
    (rules / "automations/others.yaml").write_text(text, "utf-8")
    edit(rules, "automations/short.yaml", "{event: purchase}",
         "{event: entered_segment, properties: {segment: vip}}")  # fmt: skip
    plan = planned(store, [creator], rules)
    notes = {c.id: c.note for c in plan.forecasts[0].changes if c.kind == "automations"}
    told = "1 fan is in vip already: no entry for whoever does not leave it first"
    assert notes == {"vips": told, "others": None, "short": told}
    assert told in sheet.text(plan)


def test_each_change_is_told_with_the_values_that_differ(store, creator, rules):
    applied(store, planned(store, [creator], rules), rules)
    edit(rules, "automations/short.yaml", "delay: 24h", "delay: 2d")
    edit(rules, "segments/lapsed.yaml", "> 56", "> 70")
    (rules / "automations/gone.yaml").unlink()
    changes = {f"{c.kind}/{c.id}": c for c in planned(store, [creator], rules).forecasts[0].changes}
    assert {name: change.action for name, change in changes.items()} == {
        "automations/gone": "stop", "automations/short": "change",
        "segments/lapsed": "change", "segments/vip": "follow",
    }  # fmt: skip
    (difference,) = changes["automations/short"].differences
    assert (difference.path, difference.before, difference.after) == (
        "actions[1].delay",
        "1d",
        "2d",
    )


def test_fans_on_their_way_meet_the_fate_that_the_plan_foretold(store, creator, rules):
    applied(store, planned(store, [creator], rules), rules)
    entered(store, loader.load(rules), "fan-1", "fan-2")
    edit(rules, "automations/steps.yaml", '  - wait: 3d\n  - send: {content: "Three"}\n', "")
    (change,) = planned(store, [creator], rules, LATER).forecasts[0].changes
    assert change.fate is not None
    assert (change.fate.fans, change.fate.follow, change.fate.dropped) == (2, 2, 2)
    (rules / "automations/steps.yaml").unlink()
    plan = planned(store, [creator], rules, LATER)
    (change,) = plan.forecasts[0].changes
    assert (change.action, change.fate.cancelled, change.fate.dropped) == ("stop", 2, 4)
    assert (change.unsent, change.withdrawn) == (0, 2)
    assert "2 messages are decided and not gone yet; they are cancelled" in sheet.text(plan)
    applied(store, plan, rules, LATER)
    assert ways(store) == [("cancelled", 2)]
    with store.worker() as connection:
        states = connection.execute(text("select state, reason from messages")).all()
    assert states == [("cancelled", "automation_inactive")] * 2


def test_a_plan_is_stale_once_something_else_is_live_and_then_nothing_is_applied(
    store, creator, rules
):
    with store.worker() as connection:
        connection.execute(insert(Creator).values(id="zoe", name="Zoe", zone="UTC"))
    plan = planned(store, ["maya", "zoe"], rules)
    first = planned(store, ["zoe"], rules)
    applied(store, first, rules)
    with pytest.raises(StalePlanError, match="for zoe; nothing was applied"):
        applied(store, plan, rules)
    assert live(store, "maya") == {}


def test_a_plan_is_stale_once_a_file_changed(store, creator, rules):
    plan = planned(store, [creator], rules)
    edit(rules, "automations/short.yaml", "delay: 24h", "delay: 2d")
    with pytest.raises(StalePlanError, match="automations/short changed since"):
        applied(store, plan, rules)
    assert live(store) == {}


def test_a_plan_survives_its_file_and_nonsense_is_no_plan(store, creator, rules, tmp_path):
    plan = planned(store, [creator], rules)
    path = tmp_path / "plan.json"
    path.write_text(plan.text(), "utf-8")
    again = proposal.read(path)
    assert (again.live, again.files, again.origin) == (plan.live, plan.files, plan.origin)
    assert json.loads(plan.text())["creators"]["maya"][0]["action"] == "create"
    for content in ("", "[]", "{}", '{"form": 99}'):
        path.write_text(content, "utf-8")
        with pytest.raises(RuleError):
            proposal.read(path)


def test_the_commit_is_kept_with_each_version_and_each_release(store, creator, rules):
    applied(store, planned(store, [creator], rules), rules)
    applied(store, planned(store, [creator], rules), rules, LATER)
    with store.tenant(creator) as connection:
        versions = connection.execute(select(AutomationVersion.git_commit).distinct()).all()
        (row,) = connection.execute(select(Release)).all()
    assert versions == [("abc123",)]
    assert (row.git_commit, row.dirty, row.applied_at) == ("abc123", False, NOW)
    assert {c["after"] for c in row.changes if c["kind"] != "policies"} == {
        rule.hash for rule in live(store).values()
    }


@pytest.fixture
def lake():
    """Three fans who spent 50, 150 and 250, as the models would have built them."""
    with duckdb.connect() as con:
        con.execute("attach ':memory:' as lake")
        con.execute("create schema lake.marts; create schema lake.raw")
        con.execute(
            "create table lake.raw.fans as select 'maya' as creator_id, 'fan-' || i as id,"
            " now() as created_at, '{}' as attributes, '[]' as tags from range(1, 4) t(i)"
        )
        con.execute(
            "create table lake.marts.fan_facts as select creator_id, id as fan_id,"
            " 100.0 * right(id, 1)::int - 50 as lifetime_spend, 1 as purchases,"
            " now() as last_purchase_at from lake.raw.fans"
        )
        yield con


def test_who_enters_and_leaves_a_changed_segment_and_those_that_name_it(
    store, creator, rules, lake
):
    applied(store, planned(store, [creator], rules), rules)
    stay = {"creator_id": creator, "fan_id": "fan-1", "entered_at": NOW}
    with store.worker() as connection:
        for name in ("big_spenders", "vip"):
            connection.execute(insert(Member).values(**stay, segment_id=name))
    edit(rules, "segments/big_spenders.yaml", ">= 4000 and fan.purchases >= 10", "> 100")
    plan = planned(store, [creator], rules, lake=lake)
    moved = {c.id: c.movement.plain() for c in plan.forecasts[0].changes}
    expected = {"before": 1, "after": 2, "entered": 2, "left": 1,
                "entered_sample": ["fan-2", "fan-3"], "left_sample": ["fan-1"]}  # fmt: skip
    assert moved == {"big_spenders": expected, "vip": expected}
    assert "1 → 2 fans: 2 enter, 1 leave" in sheet.text(plan)


def test_the_plan_of_many_creators_is_told_once_and_fits_a_pull_request(store, creator, rules):
    with store.worker() as connection:
        connection.execute(insert(Creator).values(id="zoe", name="Zoe", zone="UTC"))
    applied(store, planned(store, ["maya", "zoe"], rules), rules)
    edit(rules, "segments/lapsed.yaml", "> 56", "> 70 or fan.name = 'a|b'")
    plan = planned(store, ["maya", "zoe"], rules)
    assert sheet.text(plan).count("segment lapsed: changed") == 1
    assert "maya, zoe" in sheet.text(plan)
    page = sheet.markdown(plan)
    assert page.startswith("## Rules plan: 2 changed, 2 changes along (2 creators)")
    assert "| segment `lapsed` | changed | who is in it is not known: there is no lake |" in page
    assert "+ fan.purchases >= 1 and days_since(fan.last_purchase_at) > 70 or" in page


def test_changed_policies_are_planned_with_what_differs_and_noted_by_the_apply(
    store, creator, rules
):
    path = rules / "policies.yaml"
    with store.worker() as connection:
        release.apply(connection, [creator], loader.load(rules), Origin(None), NOW)
        path.write_text(path.read_text("utf-8").replace("21:30", "20:15"), "utf-8")
        book = loader.load(rules)
        plan = forecast.forecast(connection, None, creator, book, LATER)
        told = sheet.text(proposal.made([plan], book, Origin(None), LATER))
        release.apply(connection, [creator], book, Origin(None), LATER)
        after = forecast.forecast(connection, None, creator, book, LATER)

    assert [(c.kind, c.action) for c in plan.changes] == [("policies", "change")]
    assert "~ policies: changed" in told
    assert "20:15" in told
    assert not after.changed
