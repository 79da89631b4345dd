"""The commands as a person runs them: exit codes, text, and never a traceback."""

import json
import shutil
from pathlib import Path

import pytest
from terminal import run

from huntaze_pipeline.local import stack

RULES = Path(__file__).parents[2] / "rules"


@pytest.fixture
def rules(tmp_path):
    shutil.copytree(RULES, tmp_path / "rules")
    return tmp_path / "rules"


def test_right_rules_are_all_right(rules):
    done = run("rules", "check", "--rules", rules)
    assert (done.returncode, done.stdout) == (
        0,
        "all right: 10 segments, 6 automations, 3 campaigns, 10 templates\n",
    )


def test_wrong_rules_name_file_line_and_remedy_in_all_forms(rules):
    (rules / "segments/vip.yaml").write_text("name: VIP\nwhere: fan.lifetime_spent > 1\n")
    place = "rules/segments/vip.yaml"
    done = run("rules", "check", "--rules", rules)
    assert done.returncode == 2
    assert done.stdout.startswith(f"{place}:2:8: unknown field 'fan.lifetime_spent'; did you mean")
    assert "Traceback" not in done.stderr
    listed = json.loads(run("rules", "check", "--rules", rules, "--format", "json").stdout)
    assert (listed[0]["file"], listed[0]["line"], listed[0]["column"]) == (place, 2, 8)
    marked = run("rules", "check", "--rules", rules, "--format", "github").stdout
    assert marked.startswith(f"::error file={place},line=2,col=8::")


def test_goals_alarms_and_stray_files_are_checked_too(rules):
    (rules / "goals.yaml").write_text(
        "goals:\n  purchase:\n    events: [purchase]\n    windows: {telegram: {clicked: 1d}}\n"
    )
    alarms = (rules / "alarms.yaml").read_text()
    (rules / "alarms.yaml").write_text(alarms.replace("metric: ", "metric: X", 1))
    (rules / "policy.yaml").write_text("{}")
    done = run("rules", "check", "--rules", rules)
    assert done.returncode == 2
    assert "rules/goals.yaml:4:25: goals.purchase.windows.telegram: 'telegram' is no" in done.stdout
    assert "did you mean" in next(x for x in done.stdout.splitlines() if "alarms.yaml:" in x)
    assert "rules/policy.yaml:1:1: nothing reads this file; did you mean" in done.stdout
    assert done.stderr == "3 problems\n"


def test_a_folder_that_is_not_there_is_said_so(tmp_path):
    done = run("rules", "check", "--rules", tmp_path / "nothing")
    assert done.returncode == 2
    assert "is no folder" in done.stdout


def test_preview_shows_what_a_fan_would_read(rules):
    shown = run("rules", "preview", "flash_sale", "--platform", "email", "--locale", "es",
                "--name", "Lucía Pérez", "--rules", rules, "--json")  # fmt: skip
    text = json.loads(shown.stdout)
    assert text["body"].startswith("Hola Lucía:")
    missing = run("rules", "preview", "flash_sail", "--rules", rules)
    assert missing.returncode == 2
    assert "did you mean 'flash_sale'?" in missing.stderr


def test_schema_says_what_is_stale_and_writes_it(rules):
    (rules / "schema/segment.json").unlink()
    assert run("rules", "schema", "--check", "--rules", rules).returncode == 1
    assert run("rules", "schema", "--rules", rules).returncode == 0
    assert run("rules", "schema", "--check", "--rules", rules).returncode == 0


def test_the_tests_of_rule_files_end_in_an_exit_code(rules):
    done = run("rules", "test", "welcome", "--rules", rules)
    assert (done.returncode, done.stdout.startswith("1 test passed")) == (0, True), done.stderr
    assert done.stdout.strip().endswith("100% of the rules' ways")
    path = rules / "automations/welcome.yaml"
    path.write_text(path.read_text("utf-8").replace("delay: 24h", "delay: 25h"), "utf-8")
    failed = run("rules", "test", "welcome", "--rules", rules)
    assert failed.returncode == 1
    assert "at: expected 1d (2027-03-02 12:00:00Z), was 1d 1h" in failed.stdout
    path.write_text("name: broken", "utf-8")
    assert run("rules", "test", "--rules", rules).returncode == 2


def test_a_plan_is_made_kept_applied_and_then_stale(rules, settings, store, creator, tmp_path):
    env = {"PATH": "/usr/bin:/bin", **stack.environment(settings)}
    kept = tmp_path / "plan.json"
    made = run("rules", "plan", "--rules", rules, "--out", kept, env=env)
    assert made.returncode == 2, made.stderr
    assert "+ automation welcome: new" in made.stdout
    done = run("rules", "apply", kept, "--rules", rules, "--json", env=env)
    assert len(json.loads(done.stdout)["created"]) == 29, done.stderr
    nothing = run("rules", "plan", "--creator", creator, "--rules", rules, "--markdown", env=env)
    assert nothing.returncode == 0, nothing.stderr
    assert nothing.stdout == "## Rules plan: nothing changes (1 creator)\n"
    stale = run("rules", "apply", kept, "--rules", rules, env=env)
    assert (stale.returncode, "what is live changed since" in stale.stderr) == (1, True)
    (rules / "segments/vip.yaml").write_text("name: VIP\nwhere: fan.lifetime_spent > 1\n")
    faulty = run("rules", "plan", "--rules", rules, env=env)
    assert (faulty.returncode, "vip.yaml:2:8" in faulty.stderr) == (1, True)


def test_apply_makes_rules_live_and_segments_can_be_listed(rules, settings, store, creator):
    env = {"PATH": "/usr/bin:/bin", **stack.environment(settings)}
    done = run("rules", "apply", "--creator", creator, "--rules", rules, "--json", env=env)
    assert len(json.loads(done.stdout)["created"]) == 29, done.stderr
    again = run("rules", "apply", "--creator", creator, "--rules", rules, env=env)
    assert again.stdout == "unchanged: 29\n"
    listed = json.loads(run("segments", "list", "--creator", creator, "--json", env=env).stdout)
    assert len(listed) == 10
    unknown = run("rules", "apply", "--creator", "nobody", "--rules", rules, env=env)
    assert (unknown.returncode, "no creator 'nobody'" in unknown.stderr) == (2, True)


@pytest.mark.slow
@pytest.mark.timeout(400)
def test_segments_are_refreshed_at_once_and_an_unknown_one_is_told(rules, settings, store, creator):
    env = {"PATH": "/usr/bin:/bin", **stack.environment(settings)}
    run("rules", "apply", "--creator", creator, "--rules", rules, env=env)
    early = run("segments", "refresh", env=env)
    assert (early.returncode, "`huntaze models build`" in early.stderr) == (3, True), early.stderr
    assert run("models", "build", env=env).returncode == 0
    done = run("segments", "refresh", "--creator", creator, "--json", env=env)
    rows = json.loads(done.stdout)
    assert {row["creator_id"] for row in rows} == {creator}
    assert len(rows) == 10
    listed = json.loads(run("segments", "list", "--creator", creator, "--json", env=env).stdout)
    assert [row["id"] for row in listed if row["refreshed_at"] is None] == []
    assert run("segments", "refresh", "--creator", "nobody", env=env).returncode == 2
    for wrong in (("members", "vlp"), ("export", "vlp", "members.csv")):
        unknown = run("segments", *wrong, "--creator", creator, env=env)
        assert (unknown.returncode, "did you mean 'vip'" in unknown.stderr) == (2, True)
