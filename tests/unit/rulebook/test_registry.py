"""Making rule files live: by content, in one transaction, and nothing running is restarted."""

import shutil
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import func, select, text, update

from huntaze_pipeline.errors import RuleError
from huntaze_pipeline.rulebook import live, loader, registry
from huntaze_pipeline.store.automations import Automation, AutomationVersion
from huntaze_pipeline.store.planning import Campaign, Variant

RULES = Path(__file__).parents[3] / "rules"
NOW = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)


@pytest.fixture
def rules(tmp_path):
    shutil.copytree(RULES, tmp_path / "rules")
    return tmp_path / "rules"


def apply(store, creator, rules, now=NOW):
    with store.tenant(creator) as connection:
        return registry.apply(connection, creator, loader.load(rules), now)


def edit(rules, name, old, new):
    path = rules / name
    content = path.read_text("utf-8")
    assert old in content
    path.write_text(content.replace(old, new), "utf-8")


def test_the_first_apply_makes_everything_and_the_second_changes_nothing(store, creator, rules):
    first = apply(store, creator, rules)
    assert len(first.created) == 29
    second = apply(store, creator, rules, NOW + timedelta(days=1))
    assert (second.created, second.updated, second.stopped) == ([], [], [])
    assert len(second.unchanged) == 29


def test_what_is_live_reads_back_as_the_same_rules(store, creator, rules):
    apply(store, creator, rules)
    book = loader.load(rules)
    with store.tenant(creator) as c:
        for automation in live.automations(c, [creator]):
            file = book.automations[automation.id]
            assert automation.rule.trigger == file.trigger
            assert automation.rule.entry == file.entry
            assert automation.rule.actions == file.actions
            assert automation.rule_hash == book.hash("automations", automation.id)
        found = live.templates(c, [creator])[creator]
        assert {n: t.content for n, t in found.items()} == {
            n: t.content for n, t in book.templates.items()
        }
        assert {s.id: s.rule.where for s in live.segments(c, [creator])} == {
            n: s.where for n, s in book.segments.items()
        }


def test_a_changed_file_becomes_a_new_version_and_the_old_text_stays(store, creator, rules):
    apply(store, creator, rules)
    edit(rules, "automations/welcome.yaml", "delay: 24h", "delay: 36h")
    changed = apply(store, creator, rules)
    assert changed.updated == ["automations/welcome"]
    with store.worker() as c:
        mine = AutomationVersion.automation_id == "welcome"
        assert c.scalar(select(func.count()).select_from(AutomationVersion).where(mine)) == 2


def test_an_automation_whose_file_is_gone_stops_and_comes_back_with_it(store, creator, rules):
    apply(store, creator, rules)
    (rules / "tests/first_week.yaml").unlink()  # it speaks of that automation
    moved = (rules / "automations/welcome.yaml").rename(rules / "welcome.yaml")
    assert apply(store, creator, rules).stopped == ["automations/welcome"]
    moved.rename(rules / "automations/welcome.yaml")
    assert apply(store, creator, rules).updated == ["automations/welcome"]


def test_an_automation_from_the_api_is_left_alone(store, creator, rules):
    values = {"creator_id": creator, "id": "mine", "name": "Mine", "rule_hash": "x"}
    values |= {"trigger": {"event": "tip"}, "actions": [{"type": "send_message", "delay": 5}]}
    values["actions"][0]["content"] = "Thanks"
    with store.worker() as c:
        c.execute(Automation.__table__.insert().values(values))
    assert apply(store, creator, rules).stopped == []
    with store.worker() as c:
        (mine,) = [a for a in live.automations(c) if a.id == "mine"]
    assert mine.rule.actions[0].delay == timedelta(seconds=5)


def test_a_campaign_that_runs_is_kept_as_it_is(store, creator, rules):
    apply(store, creator, rules)
    with store.worker() as c:
        c.execute(update(Campaign).where(Campaign.id == "spring_drop").values(status="active"))
    edit(rules, "campaigns/spring_drop.yaml", "holdout: 0.05", "holdout: 0.5")
    assert apply(store, creator, rules).kept == ["campaigns/spring_drop"]
    with store.worker() as c:
        row = c.execute(select(Campaign).where(Campaign.id == "spring_drop")).one()
    assert (row.status, row.settings["holdout"]) == ("active", 0.05)


def test_a_draft_campaign_gets_its_new_arms(store, creator, rules):
    apply(store, creator, rules)
    edit(rules, "campaigns/spring_drop.yaml", "last_call", "last_chance")
    apply(store, creator, rules)
    with store.worker() as c:
        arms = c.scalars(select(Variant.id).order_by(Variant.position)).all()
    assert arms == ["early_access", "last_chance"]


def test_broken_files_change_nothing(store, creator, rules):
    edit(rules, "segments/vip.yaml", "has_tag", "has_tagg")
    with pytest.raises(RuleError, match="did you mean 'has_tag'"):
        apply(store, creator, rules)
    with store.worker() as c:
        assert c.scalar(text("select count(*) from segments")) == 0


def test_one_broken_row_in_the_database_is_noted_and_stops_nobody_else(store, creator, rules):
    apply(store, creator, rules)
    with store.worker() as c:
        broken = update(Automation).where(Automation.id == "welcome")
        c.execute(broken.values(conditions={"expression": "fan.x > 1"}))
        faults = []
        found = live.automations(c, faults=faults)
    assert "welcome" not in {a.id for a in found}
    assert len(found) == 5
    assert "maya/welcome" in str(faults[0])
