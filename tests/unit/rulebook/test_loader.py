"""Rule files: every fault of every file, each with its line, column and the nearest right name."""

import json
import os
import shutil
from pathlib import Path

import pytest

from huntaze_pipeline.errors import RuleError
from huntaze_pipeline.rulebook import loader, report, schemas
from huntaze_pipeline.rulebook.policies import load_policies

RULES = Path(__file__).parents[3] / "rules"


@pytest.fixture
def rules(tmp_path):
    shutil.copytree(RULES, tmp_path / "rules")
    return tmp_path / "rules"


def problems(rules):
    return [str(problem) for problem in loader.drafted(rules).problems]


def write(rules, name, content):
    (rules / name).write_text(content, "utf-8")


def test_the_rules_that_ship_are_right():
    book = loader.load(RULES)
    assert len(book.templates) == 10
    assert len(book.segments) >= 6
    assert len(book.automations) >= 4
    assert "spring_drop" in book.campaigns


def test_the_limits_are_ten_a_minute_on_every_platform():
    policies = load_policies(RULES)
    for platform in ("onlyfans", "instagram", "tiktok", "email"):
        limit = policies.limit(platform)
        assert (limit.count, limit.window_s) == (10, 60)


def test_what_policies_say_of_platforms_is_what_the_adapters_can_do():
    from huntaze_pipeline.delivery.platforms import directory

    for name, can in directory.capabilities().items():
        policy = load_policies(RULES).platform(name)
        window = policy.reply_window.total_seconds() if policy.reply_window else None
        said = (policy.max_length, policy.subject, window)
        assert said == (can.max_length, can.subject, can.reply_window_s)


def test_the_json_schemas_are_current():
    assert schemas.stale(RULES) == []


CASES = [
    ("segments/a.yaml", "name: A\nwehre: fan.purchases > 1\n", "2:1", "did you mean 'where'?"),
    ("segments/a.yaml", "name: A\nwhere: fan.purchase > 1\n", "2:8", "'fan.purchases'?"),
    ("segments/a.yaml", "name: A\nwhere: >-\n  fan.tips = 1 and\n  fan.nam = 'x'\n", "4:3", "name"),
    ("segments/a.yaml", "name: A\nwhere: days_ago(fan.created_at) > 1\n", "2:8", "days_ago"),
    ("segments/a.yaml", "name: A\nwhere: in_segment('vipp')\n", "2:20", "did you mean 'vip'?"),
    ("segments/a.yaml", "name: A\n", "1:1", "either `where`"),
    ("segments/a.yaml", "name: [\n", "2:1", "no valid YAML"),
    ("segments/a.yaml", "name: A\nname: B\nwhere: 1 = 1\n", "2:1", "written twice"),
    ("segments/a.yaml", "- name\n", "1:1", "holds no keys"),
    (
        "segments/a.yaml",
        "name: A\nwhere:\n  all:\n    - {field: fan.tips, op: mor, value: 1}\n",
        "4:29",
        "unknown op 'mor'",
    ),
    (
        "automations/a.yaml",
        "name: A\ntrigger: {event: purchas}\nactions: [{content: hi}]\n",
        "2:18",
        "did you mean 'purchase'?",
    ),
    (
        "automations/a.yaml",
        "name: A\ntrigger: {event: tip, platform: onlyfan}\nactions: [{content: hi}]\n",
        "2:33",
        "did you mean 'onlyfans'?",
    ),
    (
        "automations/a.yaml",
        "name: A\ntrigger: {event: tip}\nactions:\n  - content: hi\n    delay: 86400\n",
        "5:12",
        "number with a unit",
    ),
    (
        "automations/a.yaml",
        "name: A\ntrigger: {event: tip}\nactions:\n  - template: flash_sail\n",
        "4:15",
        "did you mean 'flash_sale'?",
    ),
    (
        "automations/a.yaml",
        "name: A\ntrigger: {event: tip}\nactions:\n  - content: Hi {{ fan.frist_name }}\n",
        "4:24",
        "did you mean 'first_name'?",
    ),
    (
        "automations/a.yaml",
        "name: A\ntrigger: {event: sent}\nactions: [{content: hi}]\n",
        "2:18",
        "each message that it sends itself",
    ),
    (
        "automations/a.yaml",
        "name: A\ntrigger: {event: tip}\nactions: [{template: flash_sale, variables: {cod: X}}]\n",
        "3:46",
        "did you mean 'code'?",
    ),
    (
        "campaigns/a.yaml",
        "name: A\nplatforms: [email]\ntemplate: flash_sale\ntopic: marketting\n",
        "4:8",
        "did you mean 'marketing'?",
    ),
    (
        "campaigns/a.yaml",
        "name: A\nplatforms: email\ntemplate: flash_sale\nschedule: {start: 2026-03-01T10:00}\n",
        "4:19",
        "has no zone",
    ),
    (
        "campaigns/a.yaml",
        'name: A\nplatforms: email\ntemplate: flash_sale\nschedule: {recurring: "61 * * * *"}\n',
        "4:11",
        "cron line",
    ),
    (
        "campaigns/a.yaml",
        'name: A\nplatforms: email\ntemplate: flash_sale\nschedule: {recurring: "0 0 30 2 *"}\n',
        "4:11",
        "never comes",
    ),
    (
        "templates/a.yaml",
        "name: A\ncategory: x\nplatforms: [email]\ncontent: {email: {en: {body: hi}}}\n",
        "4:23",
        "email needs a subject",
    ),
    (
        "templates/a.yaml",
        "name: A\ncategory: x\nplatforms: [instagram]\ncontent:\n  instagram:\n    en:\n"
        f"      body: {'long ' * 220}\n",
        "7:13",
        "instagram takes 1000",
    ),
    ("segments/Bad Name.yaml", "name: A\nwhere: 1 = 1\n", "1:1", "file's name is the id"),
    ("segments/a.txt", "name: A\n", "1:1", "end its name in .yaml"),
]


@pytest.mark.parametrize(("file", "content", "place", "told"), CASES)
def test_a_fault_is_found_in_its_place_and_told_with_the_remedy(rules, file, content, place, told):
    write(rules, file, content)
    found = problems(rules)
    assert len(found) == 1, found
    assert found[0].startswith(f"rules/{file}:{place}: ")
    assert told in found[0]


def test_all_faults_of_all_files_come_at_once_in_order(rules):
    for name in ("a", "b", "c"):
        write(rules, f"segments/{name}.yaml", "nam: x\nwhere: fan.x > 1\n")
    write(rules, "policies.yaml", "topics: {}\n")
    found = problems(rules)
    assert [f.split(":")[0] for f in found] == sorted(f.split(":")[0] for f in found)
    assert len(found) >= 3 * 2 + 2


def test_a_circle_of_segments_is_reported_once(rules):
    write(rules, "segments/a.yaml", "name: A\nwhere: in_segment('b')\n")
    write(rules, "segments/b.yaml", "name: B\nwhere: not in_segment('c')\n")
    write(rules, "segments/c.yaml", "name: C\nwhere: in_segment('a')\n")
    assert problems(rules) == [
        "rules/segments/a.yaml:2:8: segments ask for each other in a circle: a -> b -> c -> a"
    ]


def test_a_reference_to_a_file_with_faults_is_no_second_fault(rules):
    write(rules, "segments/vip.yaml", "name: VIP\nwhere: fan.x > 1\n")
    assert len(problems(rules)) == 1


def test_a_missing_policy_file_and_an_unknown_folder_are_named(rules):
    (rules / "policies.yaml").unlink()
    (rules / "automation").mkdir()
    found = problems(rules)
    assert "rules/policies.yaml:1:1: is missing; `rules/` of the project has one" in found
    assert any("did you mean 'automations'?" in p for p in found)


@pytest.mark.parametrize(
    "content",
    [
        b"\xff\xfe\x00", b"a: &a [*a]", b"a: !!python/object/apply:os.system ['true']",
        b"x: " + b"[" * 3000, b"[" * 100_000, b"- " * 50_000, b"? [a]\n: b", b"name: 2026-99-99",
        b"\x00", b"",
        b"a: &a [x,x,x,x,x,x,x,x,x]\nb: &b [*a,*a,*a,*a,*a,*a,*a,*a]\nc: &c [*b,*b,*b,*b,*b,*b,*b]"
        b"\nd: &d [*c,*c,*c,*c,*c,*c,*c]\ne: [*d,*d,*d,*d,*d,*d,*d,*d,*d]",
    ],
)  # fmt: skip
def test_a_hostile_file_is_a_problem_and_never_a_traceback(rules, content):
    (rules / "segments/a.yaml").write_bytes(content)
    assert problems(rules)


TESTS = """name: A
trigger: {event: new_subscriber}
actions: [{content: hi}]
tests:
  - {name: a, clock: "0001-01-01T00:00:00Z", expect: []}
  - {name: b, clock: "9999-12-31T23:59:59Z", before: [{event: replied, ago: 999999d}], expect: []}
  - {name: c, events: [{event: replied, at: 999999d}], expect: [], until: "9999-12-31"}
"""


def test_a_test_keeps_clear_of_the_ends_of_the_calendar(rules):
    write(rules, "automations/a.yaml", TESTS)
    found = [p.removeprefix("rules/automations/a.yaml:") for p in problems(rules)]
    assert found[0].startswith("2:18: event: unknown event 'new_subscriber'; did you mean 'subscr")
    assert [p.split(": ")[0] for p in found[1:]] == ["5:22", "6:22", "6:77", "7:45", "7:75"]


WHOLE = [
    (
        "automations/a.yaml",
        "name: A\ntrigger: {event: purchase}\nconditions: fan.nosuch > 3\nactions:\n"
        "  - {template: nosuch, delay: 3}\n  - {content: 'Hi {{ fan.frist_name }}', topic: x}\n",
        ["3:13: unknown field 'fan.nosuch'", "5:16: unknown template 'nosuch'", "5:31: delay: 3",
         "6:26: unknown word", "6:49: unknown topic 'x'"],
    ),
    (
        "automations/a.yaml",
        "name: A\ntrigger: {event: purchase}\nconditions:\n  all:\n"
        "    - {field: fan.purchases, op: '>', value: abc}\n    - {field: fan.tips, op: mor}\n"
        "steps: [{send: nosuch}, {waits: 3d}, {wait: {event: tip, timeout: 1d}, els: []}]\n",
        ["5:15: 'fan.purchases > 'abc'' compares", "6:29: unknown op 'mor'",
         "7:16: unknown template 'nosuch'", "7:26: unknown key 'waits'", "7:72: unknown key 'els'"],
    ),
    (
        "campaigns/a.yaml",
        "name: A\nplatforms: [email]\ntemplate: flash_sale\nvariables: {percnt: 3}\n"
        "schedule: {start: 2027-02-29}\ntargeting: {segments: [vipp]}\n"
        "variants: [{id: a}, {id: b}, {id: a}]\nexperiment: {metric: click, window: 48}\n",
        ["4:13: template 'flash_sale' has no variable 'percnt'",
         "5:19: '2027-02-29' cannot be read: day is out of range", "6:24: unknown segment 'vipp'",
         "7:35: id: variants have different ids, not a, b, a", "8:22: metric: ", "8:37: window: "],
    ),
]  # fmt: skip


@pytest.mark.parametrize(("file", "content", "told"), WHOLE)
def test_faults_of_its_shape_hide_no_other_fault_of_a_file(rules, file, content, told):
    write(rules, file, content)
    found = [p.removeprefix(f"rules/{file}:").replace('"', "'") for p in problems(rules)]
    assert [f[: len(t)] for f, t in zip(found, told, strict=False)] == told
    assert len(found) == len(told), found


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"name: A\nwhere: fan.name = '\xe9'\n", "2:20: is no UTF-8 text: the byte 0xe9"),
        (b"name: A\nwhere: a\x07b\n", "2:9: holds the control character U+0007"),
        (b"name: A\nwhere: &a [*a]\n", "1:1: is no valid YAML: nested too deeply, or in itself"),
    ],
)
def test_what_cannot_be_read_is_told_where_it_stands(rules, content, told):
    (rules / "segments/a.yaml").write_bytes(content)
    assert problems(rules)[0].startswith(f"rules/segments/a.yaml:{told}")


def test_what_is_no_file_is_named_and_not_waited_for(rules):
    os.mkfifo(rules / "automations/pipe.yaml")
    (rules / "automations/d.yaml").mkdir()
    (rules / "automations/x").mkdir()
    write(rules, "automations/x/y.yaml", "garbage")
    (rules / "segments/lists").mkdir()
    write(rules, "segments/lists/press.csv", "fan-1\n")
    write(rules, "segments/press.yaml", "name: Press\nfile: lists/press.csv\n")
    folder = "is a folder, and no rule in it is read; rules lie in automations/ itself"
    assert problems(rules) == [
        f"rules/automations/d.yaml:1:1: {folder}",
        "rules/automations/pipe.yaml:1:1: is no ordinary file; nothing is read from it",
        f"rules/automations/x:1:1: {folder}",
    ]


def test_load_raises_with_everything(rules):
    write(rules, "segments/a.yaml", "name: A\n")
    with pytest.raises(RuleError, match="either `where`"):
        loader.load(rules)


def test_the_seeds_json_is_the_same_automation(rules):
    seed = {
        "name": "Welcome",
        "trigger": {"event": "subscribed", "platform": "onlyfans"},
        "conditions": {},
        "actions": [
            {"type": "send_message", "delay": 0, "content": "Welcome!"},
            {"type": "send_message", "delay": 86400, "content": "How is it going?"},
        ],
        "isActive": True,
    }
    yaml = (
        "name: Welcome\ntrigger: {event: subscribed, platform: onlyfans}\nconditions: {}\n"
        "actions: [{content: Welcome!}, {content: 'How is it going?', delay: 24h}]\n"
    )
    write(rules, "automations/one.json", json.dumps(seed))
    write(rules, "automations/two.yaml", yaml)
    book = loader.load(rules)
    assert book.automations["one"] == book.automations["two"]
    assert book.hash("automations", "one") == book.hash("automations", "two")


def test_the_seeds_segment_and_campaign_are_read_too(rules):
    segment = {"name": "S", "isDynamic": True}
    segment["criteria"] = [{"field": "lifetime_spend", "operator": ">", "value": 100}]
    campaign = {
        "name": "C",
        "type": "broadcast",
        "platforms": ["email"],
        "templateId": "flash_sale",
    }
    campaign["schedule"] = {"startDate": "2026-03-02T12:00:00Z", "recurring": "daily"}
    campaign["targeting"] = {"segmentIds": ["vip"]}
    write(rules, "segments/s.json", json.dumps(segment))
    write(rules, "campaigns/c.json", json.dumps(campaign))
    book = loader.load(rules)
    assert book.campaigns["c"].targeting.segments == ("vip",)
    assert book.segments["s"].where == segment["criteria"]


def test_reading_a_rule_back_from_its_plain_form_changes_nothing():
    book = loader.load(RULES)
    for kind in ("segments", "automations", "campaigns", "templates"):
        for rule in getattr(book, kind).values():
            bare = rule.model_copy(update={"tests": ()} if hasattr(rule, "tests") else {})
            assert type(rule).model_validate(rule.plain()) == bare


def test_a_changed_template_changes_the_hash_of_what_sends_it(rules):
    before = loader.load(rules)
    path = rules / "templates/welcome_new_subscriber.yaml"
    path.write_text(path.read_text("utf-8").replace("so happy", "very happy"), "utf-8")
    after = loader.load(rules)
    assert before.hash("automations", "welcome") != after.hash("automations", "welcome")
    assert before.hash("automations", "win_back") == after.hash("automations", "win_back")


def test_github_annotations_cannot_be_broken_out_of(rules):
    write(rules, "segments/a.yaml", 'name: A\nwhere: "fan.x\\n::set-env name=A::b > 1"\n')
    text = report.render(loader.drafted(rules).problems, "github")
    assert all(line.startswith("::error file=rules/segments/a.yaml,") for line in text.splitlines())


def test_policies_hold_single_accounts_to_their_own_limit_and_caps_to_the_calendar(rules):
    path = rules / "policies.yaml"
    own = "accounts:\n  maya-new: {limit: {count: 3, per: 60s}}\n"
    text = path.read_text("utf-8").replace("{count: 3, per: 24h}", "{count: 1, per: day}")
    path.write_text(own + text, "utf-8")
    policies = load_policies(rules)
    assert policies.limit("onlyfans", "maya-new").count == 3
    assert policies.limit("onlyfans", "maya-old").count == 10
    assert policies.file.caps[0].per == "day"
    path.write_text(text.replace("per: day", "per: dya"), "utf-8")
    with pytest.raises(RuleError, match="'dya': write a duration"):
        load_policies(rules)
