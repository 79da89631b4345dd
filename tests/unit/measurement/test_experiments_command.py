import json

import pytest
from typer.testing import CliRunner

from huntaze_pipeline.cli import app
from huntaze_pipeline.errors import HuntazeError


def run(*arguments):
    return CliRunner().invoke(app, list(map(str, arguments)))


def load(*arguments):
    result = run(*arguments, "--json")
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout, parse_constant=lambda word: pytest.fail(f"{word} is no JSON"))


@pytest.fixture
def arms(tmp_path):
    path = tmp_path / "arms.csv"
    path.write_text(
        "experiment_id,variant,n,sum\n"
        "one,a,5000,250\none,b,5000,350\ntwo,a,5000,250\ntwo,b,5000,251\ntwo,c,0,0\n"
    )
    return path


def test_analyze_prints_every_experiment_as_strict_json(arms):
    found = load("experiments", "analyze", arms)
    assert [(e["experiment_id"], e["state"], e["winner"]) for e in found["experiments"]] == [
        ("one", "winner", "b"), ("two", "insufficient_data", None),
    ]  # fmt: skip
    assert found["problems"] == [
        {"where": "row 5 (experiment two, variant c)", "what": "n is 0: must be above 0"}
    ]
    assert found["summary"]["by_state"]["winner"] == 1


@pytest.mark.parametrize("mark", [",", ";", "\t"])
def test_a_csv_may_have_semicolons_or_tabs_between_its_columns(arms, mark):
    usual = load("experiments", "analyze", arms)
    arms.write_bytes(b"\xef\xbb\xbf" + arms.read_bytes().replace(b",", mark.encode()))
    assert load("experiments", "analyze", arms) == usual


def test_a_prior_that_is_no_spread_is_refused(arms):
    for prior in (0, -1):
        result = run("experiments", "analyze", arms, "--prior", prior)
        assert f"prior: is {prior}: must be above zero" in str(result.exception)


def test_analyze_prints_a_table_for_people(arms):
    result = run("experiments", "analyze", arms)
    assert result.exit_code == 0
    assert "winner" in result.stdout
    assert "row 5" in result.stderr


def test_analyze_takes_any_column_names(tmp_path):
    path = tmp_path / "other.jsonl"
    rows = [
        {"test": 1, "head": h, "eye": "e", "seen": 4000, "hits": x}
        for h, x in (("p", 200), ("q", 300))
    ]
    path.write_text("\n".join(map(json.dumps, rows)))
    found = load(
        "experiments", "analyze", path, "--experiment", "test", "--variant", "head",
        "--variant", "eye", "--n", "seen", "--sum", "hits",
    )  # fmt: skip
    assert found["experiments"][0]["winner"] == "q | e"


def test_optional_columns_are_used_when_they_are_there(tmp_path):
    path = tmp_path / "looks.csv"
    lines = [f"e,{v},{1000 * k},{x * k},{k}" for k in (1, 2, 3) for v, x in (("a", 50), ("b", 90))]
    path.write_text("\n".join(["experiment_id,variant,n,sum,look", *lines]))
    assert load("experiments", "analyze", path)["experiments"][0]["look"] == "3"


def test_a_column_that_is_asked_for_must_be_there(arms):
    result = run("experiments", "analyze", arms, "--weight", "w")
    assert isinstance(result.exception, HuntazeError)
    assert "column w: is not in the file" in str(result.exception)


def test_power_answers_for_every_design():
    found = load("experiments", "power", "--baseline", 0.2, "--effect", 0.05, "--n", 2000)
    assert [row["design"] for row in found["designs"]] == [
        "fixed",
        "group_sequential",
        "always_valid",
        "welch",
    ]
    assert found["designs"][0]["n_per_arm"] == 1031
    assert 0.9 < found["designs"][0]["power"] < 1


def test_power_without_a_question_says_what_to_give():
    result = run("experiments", "power", "--baseline", 0.2)
    assert "give --effect or --lift" in str(result.exception)


def test_simulate_prints_rates_and_draws_them(tmp_path):
    found = load("experiments", "simulate", "--runs", 200, "--chart", tmp_path / "rules.svg")
    rates = {row["rule"]: row["winners"] for row in found["rules"]}
    assert rates["fixed, every look"] > rates["always valid"]
    assert (tmp_path / "rules.svg").read_text().startswith("<svg")


def test_a_chart_that_cannot_be_written_says_why(tmp_path):
    chart = tmp_path / "nowhere" / "x.svg"
    result = run("experiments", "simulate", "--runs", 20, "--chart", chart)
    assert f"--chart {chart}: cannot be written: No such file" in str(result.exception)


@pytest.fixture
def journeys(tmp_path):
    (tmp_path / "touches.csv").write_text(
        "fan_id,ts,channel\nf,2026-03-01T10:00:00Z,email\nf,2026-03-01T11:00:00Z,instagram\n"
        "f,2026-03-01T13:00:00Z,tiktok\ng,2026-03-01T10:00:00Z,email\ng,soon,email\n"
    )
    (tmp_path / "conversions.csv").write_text(
        "fan_id,ts,value\nf,2026-03-01T12:00:00Z,10.01\nh,2026-03-01T12:00:00Z,5\n"
    )
    return tmp_path


def test_attribution_of_touches_adds_up(journeys):
    found = load(
        "attribution", "analyze", "--touches", journeys / "touches.csv",
        "--conversions", journeys / "conversions.csv",
    )  # fmt: skip
    for table in found["models"].values():
        assert sum(row["value_micros"] for row in table.values()) == 10_010_000
    assert found["models"]["last"]["instagram"]["value"] == 10.01
    assert found["totals"]["unattributed"] == 5
    assert set(found["removal_effects"]) == {"email", "instagram", "tiktok"}
    assert found["problems"] == [{"where": "touches, row 5", "what": "has no readable time"}]


def test_attribution_of_paths_gives_the_published_removal_effects(tmp_path):
    path = tmp_path / "paths.csv"
    path.write_text(
        "path,conversions,value,nulls\ngoogle,2,20,1\nmailing,1,10,0\ngoogle > mailing,1,10,0\n"
    )
    found = load("attribution", "analyze", "--paths", path)
    assert found["chain_probability"] == pytest.approx(0.8)
    assert found["removal_effects"] == pytest.approx({"google": 0.75, "mailing": 0.5})
    assert "time_decay" not in found["models"]
    assert found["rules"] == {
        "lookback": 2_592_000, "half_life": 604_800, "position": [0.4, 0.2, 0.4], "collapse": False,
    }  # fmt: skip


def test_attribution_prints_a_table_for_people(journeys):
    result = run(
        "attribution", "analyze", "--touches", journeys / "touches.csv",
        "--conversions", journeys / "conversions.csv",
    )  # fmt: skip
    assert result.exit_code == 0
    assert "instagram" in result.stdout


@pytest.mark.parametrize(
    ("arguments", "what"),
    [
        (("--paths", "p.csv", "--lookback", "30"), "--lookback: '30' is no duration"),
        (("--touches", "t.csv"), "give --touches and --conversions, or --paths"),
        (("--paths", "p.csv", "--position", 0, 1, 0), "--position: parts must not be negative"),
    ],
)
def test_arguments_that_cannot_be_are_explained(arguments, what):
    result = run("attribution", "analyze", *arguments)
    assert what in str(result.exception)
