"""Tests that live in rule files: what holds, what fails and how it is told."""

import json
import shutil
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

from huntaze_pipeline.errors import NotFoundError
from huntaze_pipeline.rehearsal import account, coverage, trial
from huntaze_pipeline.rulebook import loader

RULES = Path(__file__).parents[3] / "rules"
HELLO = """\
name: Hello
trigger: {event: subscribed}
entry: once
actions:
  - content: "Hello {{ fan.first_name }}"
  - content: "Still there?"
    delay: 24h
    conditions: fan.purchases = 0
"""


@pytest.fixture
def rules(tmp_path):
    folder = tmp_path / "rules"
    (folder / "automations").mkdir(parents=True)
    shutil.copy(RULES / "policies.yaml", folder)
    return folder


def written(rules, text, where="automations/hello.yaml"):
    path = rules / where
    path.parent.mkdir(exist_ok=True)
    path.write_text(text, "utf-8")
    return loader.drafted(rules)


def ran(rules, tests, rule=HELLO):
    draft = written(rules, f"{rule}tests:\n{tests}")
    return draft, trial.run(draft)


def told(results):
    return [str(problem) for result in results for problem in result.problems]


@pytest.mark.slow
def test_the_shipped_rules_pass_their_tests_and_every_way_through_them_is_tried():
    draft = loader.drafted(RULES)
    results = trial.run(draft)
    covered = coverage.measure(draft, [result.story for result in results])
    assert told(results) == []
    assert [way.what for row in covered for way, _ in row.missed] == []


def test_a_message_that_nobody_expects_is_a_failure_with_its_story(rules):
    _, results = ran(rules, "  - {name: silent, events: [{event: subscribed}], expect: []}\n")
    assert told(results) == [
        "rules/automations/hello.yaml:10:59: silent: not expected: "
        "send Hello Ada · ada · hello · 0s (2027-03-01 12:00:00Z)",
        "rules/automations/hello.yaml:10:59: silent: not expected: "
        "send Still there? · ada · hello · 1d (2027-03-02 12:00:00Z)",
    ]
    assert [line.split(" · ")[0] for line in results[0].lines] == [
        "enter", "wait 1d", "send Hello Ada", "send Still there?", "complete",
    ]  # fmt: skip


def test_a_difference_names_the_field_what_was_expected_and_what_was(rules):
    tests = """\
  - name: late
    events: [{event: subscribed}]
    expect:
      - {send: true, at: 0s, says: Bob}
      - {send: true, at: 23h, priority: high}
"""
    _, results = ran(rules, tests)
    first, second = told(results)
    assert first.startswith("rules/automations/hello.yaml:13:9: late: send Hello Ada")
    assert first.endswith("does not say 'Bob' in 'Hello Ada'")
    assert "priority: expected 'high', was 'medium'" in second
    assert "at: expected 23h (2027-03-02 11:00:00Z), was 1d (2027-03-02 12:00:00Z)" in second


def test_what_did_not_happen_is_told(rules):
    tests = "  - {name: buyer, events: [{event: purchase, value: 5}], expect: [{send: true}]}\n"
    _, results = ran(rules, tests)
    assert told(results)[0].endswith("buyer: did not happen: send: True")


def test_what_was_never_tried_is_listed_with_its_line(rules):
    tests = """\
  - name: enters
    events: [{event: subscribed}]
    expect: [{send: true, at: 0s}, {send: true, at: 24h}]
"""
    draft, results = ran(rules, tests)
    (row,) = coverage.measure(draft, [result.story for result in results])
    assert [(way.what, where) for way, where in row.missed] == [
        ("nobody is kept from entering again", "rules/automations/hello.yaml:3:8"),
        ("this send is never passed over", "rules/automations/hello.yaml:8:17"),
    ]
    assert row.share == 0.6


def test_consent_that_is_withdrawn_stops_the_next_step(rules):
    tests = """\
  - name: says no
    events:
      - {event: subscribed}
      - {consents: {marketing: false}, at: 2h}
    expect:
      - {send: true, at: 0s}
      - {skip: consent_withdrawn, at: 24h}
"""
    assert told(ran(rules, tests)[1]) == []


def test_a_fan_without_an_address_exits_and_may_enter_again(rules):
    tests = """\
  - name: nowhere to write
    fans: {ada: {platforms: []}}
    events: [{event: subscribed}, {event: subscribed, at: 3d}]
    expect: [{enter: true, at: 0s}, {enter: true, at: 3d}, {exit: no_address, at: 1d},
             {exit: no_address, at: 4d}]
"""
    assert told(ran(rules, tests)[1]) == []


ROUND = """\
name: All kinds of steps
trigger: {event: subscribed}
entry: once
exit: {event: purchase}
steps:
  - set: {tier: new}
  - tag: fresh
  - wait: {event: replied, timeout: 2d}
    then:
      - emit: {event: "custom:warm"}
    else:
      - if: fan.attributes.tier = 'new' and has_tag('fresh')
        then: [{send: {content: "Hello?"}}]
  - wait: {until: "18:00"}
  - split:
      - {id: a, steps: [{join: friends}]}
      - {id: b, steps: [{webhook: {url: "https://example.com/hook"}}]}
  - exit: fan.tips >= 1
  - send: {content: "The end"}
tests:
  - name: nobody answers
    fans: {ada: {zone: Europe/Paris}}
    events: [{event: subscribed}]
    expect:
      - {set: {tier: new}, at: 0s}
      - {tag: fresh, at: 0s}
      - {wait: 2d}
      - {wait: 5h, at: 2d}
      - {way: timeout, at: 2d}
      - {way: then, at: 2d}
      - {send: true, says: "Hello?", at: 2d}
      - {way: b}
      - {way: stays}
      - {webhook: "https://example.com", at: "2027-03-03T18:00"}
      - {send: true, says: The end}
      - {complete: true, at: "2027-03-03T18:00"}
  - name: answers, and tips
    fans: {dan: {}}
    events: [{event: subscribed}, {event: replied, at: 1h}, {event: tip, value: 1, at: 2h}]
    expect:
      - {way: event, at: 1h}
      - {emit: "custom:warm", at: 1h}
      - {way: a, at: 6h}
      - {join: friends, at: 6h}
      - {way: exit}
      - {exit: exit, at: 6h}
  - name: buys
    events: [{event: subscribed}, {event: purchase, value: 9, at: 1h}]
    expect: [{exit: goal, at: 1h}]
"""


def test_every_kind_of_step_can_be_expected(rules):
    written(rules, "name: Friends\nfans: []\n", "segments/friends.yaml")
    draft = written(rules, ROUND)
    results = trial.run(draft)
    assert told(results) == []
    (row,) = coverage.measure(draft, [result.story for result in results])
    assert [way.what for way, _ in row.missed] == [
        "nobody is kept from entering again", "this if never goes the way 'else'",
    ]  # fmt: skip


TIMED = {
    "friday": ("{schedule: '0 18 * * 5', segment: buyers}", """\
  - name: every Friday evening on the fan's clock, for whoever has bought
    fans: {ada: {zone: Europe/Paris}, bob: {}}
    before: [{event: purchase, value: 5, fan: ada, ago: 1d}]
    until: 14d
    expect:
      - {send: true, fan: ada, at: "2027-03-05T18:00"}
      - {send: true, fan: ada, at: "2027-03-12T18:00"}
"""),
    "birthday": ("{anniversary: birthday, at: '09:30'}", """\
  - name: the leap day is the 28th
    clock: 2027-02-20T12:00:00Z
    fans: {ada: {birthday: 2000-02-29, zone: Europe/Paris}}
    until: 400d
    expect:
      - {send: true, at: "2027-02-28T09:30"}
      - {send: true, at: "2028-02-29T09:30"}
"""),
    "silence": ("{silence: {event: opened, for: 30d}}", """\
  - name: each silence once
    before: [{event: opened, ago: 20d, message: m-1}]
    events: [{event: opened, at: 15d, message: m-2}]
    expect: [{send: true, at: 10d}, {send: true, at: 45d}]
"""),
    "entered": ("{entered: buyers}", """\
  - name: within the hour
    events: [{event: purchase, value: 5, at: 30m}]
    expect: [{send: true, at: 1h}]
"""),
}  # fmt: skip


@pytest.mark.parametrize("kind", TIMED)
def test_what_the_clock_sets_off_comes_by_itself(rules, kind):
    trigger, tests = TIMED[kind]
    segment = "name: Buyers\nwhere: performed('purchase', within => '60d')\n"
    written(rules, segment, "segments/buyers.yaml")
    rule = f"name: Timed\ntrigger: {trigger}\nactions: [{{content: Now}}]\ntests:\n{tests}"
    assert told(trial.run(written(rules, rule))) == []


def test_conditions_on_what_a_fan_did_see_the_whole_story(rules):
    rule = """\
name: Third in a week
trigger: {event: purchase}
conditions: performed('purchase', within => '7d', at_least => 3)
actions: [{content: "Three!"}]
tests:
  - name: two in the week, one before
    before: [{event: purchase, value: 1, ago: 8d}, {event: purchase, value: 1, ago: 2d}]
    events: [{event: purchase, value: 1}, {event: purchase, value: 1, at: 1d}]
    expect: [{out: conditions, at: 0s}, {send: true, at: 1d}]
"""
    assert told(trial.run(written(rules, rule))) == []


def test_the_cap_counts_the_messages_of_all_rules_of_a_story(rules):
    written(rules, HELLO)
    tip = 'name: Tip\ntrigger: {event: tip}\nactions: [{content: "Thanks!"}]\n'
    written(rules, tip, "automations/tip.yaml")
    suite = """\
rules: [hello, tip]
tests:
  - name: the fourth message of a day is one too many
    events:
      - {event: subscribed}
      - {event: tip, value: 5, at: 1m}
      - {event: tip, value: 5, at: 2m}
      - {event: tip, value: 5, at: 3m}
    expect:
      - {send: true, rule: hello, at: 0s}
      - {send: true, rule: tip, at: 1m}
      - {send: true, rule: tip, at: 2m}
      - {skip: frequency_cap, rule: tip, at: 3m, until: 24h}
      - {send: true, rule: hello, at: 24h}
"""
    assert told(trial.run(written(rules, suite, "tests/caps.yaml"))) == []


def test_a_segment_is_left_by_time_alone(rules):
    segment = """\
name: Recent
where: days_since(fan.last_purchase_at) <= 30
tests:
  - name: thirty days
    fans: {ada: {}, bob: {}}
    events: [{event: purchase, fan: ada, value: 5, at: 1h}]
    expect:
      - {members: []}
      - {at: 2h, members: [ada]}
      - {at: 31d, members: [bob]}
"""
    results = trial.run(written(rules, segment, "segments/recent.yaml"))
    assert told(results) == [
        "rules/segments/recent.yaml:10:28: thirty days: at 31d (2027-04-01 12:00:00Z): "
        "bob not in it"
    ]


def test_a_template_is_read_in_a_language_on_a_platform(rules):
    template = """\
name: Note
category: test
platforms: [onlyfans]
variables: [{name: gift}]
content: {onlyfans: {en: {body: "{{ gift }} for you"}, fr: {body: "{{ gift }} pour toi"}}}
tests:
  - {name: french, platform: onlyfans, fan: {locale: fr}, variables: {gift: Un mot},
     expect: {says: Un mot pour toi, locale: fr}}
  - {name: lacking, platform: onlyfans, expect: {fails: gift}}
  - {name: wrong, platform: onlyfans, variables: {gift: A}, expect: {says: B}}
"""
    results = trial.run(written(rules, template, "templates/note.yaml"))
    assert [result.passed for result in results] == [True, True, False]


def test_names_in_tests_are_checked_like_everything_else(rules):
    tests = """\
  - name: wrong names
    fans: {ada: {segments: [nobody], consents: {marketting: true}}, bob: {}}
    events: [{event: subscribed}, {event: subscribed, fan: adda}]
    expect: [{send: helo}]
"""
    draft = written(rules, f"{HELLO}tests:\n{tests}")
    assert [str(problem) for problem in draft.problems] == [
        "rules/automations/hello.yaml:11:29: unknown segment 'nobody'; there are none",
        "rules/automations/hello.yaml:11:61: unknown topic 'marketting'; did you mean 'marketing'?",
        "rules/automations/hello.yaml:12:14: `fan` is missing; this test has ada, bob",
        "rules/automations/hello.yaml:12:60: unknown fan 'adda'; did you mean 'ada'?",
        "rules/automations/hello.yaml:13:21: unknown template 'helo'; there are none",
    ]


def test_a_test_changes_neither_the_rule_nor_its_hash(rules):
    bare = loader.book(written(rules, HELLO))
    draft, _ = ran(rules, "  - {name: silent, expect: []}\n")
    tested = loader.book(draft)
    assert tested.hash("automations", "hello") == bare.hash("automations", "hello")
    assert "tests" not in tested.automations["hello"].plain()


def test_results_are_read_by_machines(rules):
    draft, results = ran(rules, '  - {name: "a < b & \\"c\\"", expect: [{send: true}]}\n')
    covered = coverage.measure(draft, [])
    suite = ET.fromstring(account.render(results, covered, "junit"))
    assert (suite.get("tests"), suite.get("failures")) == ("1", "1")
    assert [case.get("name") for case in suite] == ['a < b & "c"']
    data = json.loads(account.render(results, covered, "json"))
    assert (data["passed"], data["coverage"]) == (False, 0.0)
    assert data["tests"][0]["problems"][0]["where"] == "rules/automations/hello.yaml:10:38"


def test_a_word_that_means_no_test_is_a_fault_and_no_success(rules):
    case = "tests:\n  - {name: silent, events: [{event: subscribed}], expect: []}\n"
    written(rules, HELLO)
    draft = written(rules, HELLO + case, "automations/greeting.yaml")
    assert [t.owner for t in trial.trials(draft, ["greeting"])] == ["automations/greeting"]
    with pytest.raises(NotFoundError, match="did you mean 'greeting'"):
        trial.trials(draft, ["greting"])
    with pytest.raises(NotFoundError, match="'hello' is no test: that rule has none"):
        trial.run(draft, ["greeting", "hello"])
