"""`huntaze experiments`: A/B tests of any table, on the command line. Credit is `attribution`."""

from enum import StrEnum
from pathlib import Path
from typing import Any

import typer

from huntaze_pipeline.commands import figures

EXPERIMENTS = typer.Typer(help="A/B tests: judge, plan and simulate them.", no_args_is_help=True)


class Design(StrEnum):
    """Which interval decides."""

    auto = "auto"
    fixed = "fixed"
    always_valid = "always_valid"


class Duplicates(StrEnum):
    """What rows with the same label are."""

    number = "number"
    sum = "sum"
    refuse = "refuse"


def register(app: typer.Typer) -> None:
    """Add this room's commands."""
    app.add_typer(EXPERIMENTS, name="experiments")


@EXPERIMENTS.command()
def analyze(
    file: Path = typer.Argument(help="CSV, TSV, Parquet, JSON Lines or JSON: one row per arm."),
    experiment: str = typer.Option("experiment_id", help="Column that names the experiment."),
    variant: list[str] = typer.Option(
        ["variant"],
        help="Column that names the arm; repeat to join several; `row` numbers the rows.",
    ),
    n: str = typer.Option("n", help="Column with recipients."),
    total: str = typer.Option(
        "sum", "--sum", help="Column with conversions, or the sum of amounts."
    ),
    squares: str | None = typer.Option(
        None, "--sum-squares", help="Column with the sum of squares, for amounts. [sum_squares]"
    ),
    control: str | None = typer.Option(None, help="Column that marks the control. [control]"),
    look: str | None = typer.Option(
        None, help="Column that orders looks at growing counts. [look]"
    ),
    weight: str | None = typer.Option(None, help="Column with planned weights. [weight]"),
    guardrail: str | None = typer.Option(None, help="Column with bad events per arm."),
    guardrail_margin: float = typer.Option(0.005, help="How much higher their rate may be."),
    alpha: float = typer.Option(0.05, help="Chance of a false winner."),
    tuning: float = typer.Option(5000, help="N* of the always-valid intervals."),
    prior: float | None = typer.Option(
        None, help="Standard deviation of a normal prior on the lift."
    ),
    margin: float | None = typer.Option(None, help="Absolute difference that does not matter."),
    min_conversions: int = typer.Option(25, help="Least conversions in every arm."),
    min_recipients: int = typer.Option(100, help="Least recipients in every arm."),
    design: Design = typer.Option(Design.auto, help="auto: fixed for one look, else always_valid."),
    srm: bool = typer.Option(True, help="Whether a wrong split makes a test invalid."),
    duplicates: Duplicates = typer.Option(Duplicates.number, help="Rows with the same label."),
    as_json: bool = typer.Option(False, "--json", help="Print strict JSON."),
) -> None:
    """Judge every experiment of a table: winner, intervals, split, chance to win."""
    from huntaze_pipeline.measurement import analysis, bayes, counts, results
    from huntaze_pipeline.measurement.rows import Columns

    columns = Columns(
        experiment, tuple(variant), n, total, squares, control, look, weight, guardrail
    )
    config = analysis.Config(
        alpha, tuning, bayes.belief(prior), margin,
        min_conversions, min_recipients, design.value, srm, guardrail_margin,
    )  # fmt: skip
    frame = counts.read(file)
    config.check()
    table = counts.load(frame, columns.completed(frame.columns), duplicates.value)
    report = results.report(analysis.analyze(table, config))
    if as_json:
        figures.strict(report)
        return
    _show_experiments(report["experiments"], report["summary"])
    figures.problems(report["problems"])


@EXPERIMENTS.command()
def power(
    baseline: float = typer.Option(..., help="Rate (0.05), or mean when --sd is given."),
    effect: float | None = typer.Option(None, help="Absolute difference to find."),
    lift: float | None = typer.Option(
        None, help="Relative difference to find (0.1 = ten per cent)."
    ),
    n: int | None = typer.Option(None, help="Recipients per arm: what can they find?"),
    sd: float | None = typer.Option(None, help="Standard deviation of amounts per recipient."),
    alpha: float = typer.Option(0.05, help="Chance of a false winner, two-sided."),
    chance: float = typer.Option(0.8, "--power", help="Chance to find the effect."),
    tuning: float = typer.Option(5000, help="N* of the always-valid design."),
    as_json: bool = typer.Option(False, "--json", help="Print strict JSON."),
) -> None:
    """Recipients per arm for an effect, or the effect that recipients can find; per design."""
    from huntaze_pipeline.errors import Problem, Problems
    from huntaze_pipeline.measurement import power as plans

    if (effect is None) + (lift is None) + (n is None) == 3 or (
        effect is not None and lift is not None
    ):
        raise Problems([Problem("power", "give --effect or --lift, --n, or one of them and --n")])
    wanted = effect if effect is not None else None if lift is None else baseline * lift
    question = plans.Question(baseline, wanted or 0.0, sd, alpha, chance, tuning)
    rows = plans.table(question, wanted is not None, n)
    least = plans.least(question)
    if as_json:
        asked = {"baseline": baseline, "effect": wanted, "alpha": alpha, "power": chance}
        figures.strict(asked | {"least_n_per_arm": least, "designs": rows})
        return
    figures.table(f"Two arms, baseline {baseline:g}, alpha {alpha:g}, power {chance:g}", rows)
    typer.echo(f"No verdict below {least:,} per arm: it takes 100 recipients and 25 conversions.")


@EXPERIMENTS.command()
def simulate(
    rate: float = typer.Option(0.05, help="True conversion rate of the baseline."),
    lift: float = typer.Option(0.0, help="True relative effect; 0 is an A/A test."),
    n: int = typer.Option(10_000, help="Recipients per arm at the end."),
    looks: int = typer.Option(20, help="How often the numbers are looked at."),
    runs: int = typer.Option(2_000, help="Simulated tests."),
    share: float = typer.Option(0.5, help="Arm b's share of the recipients."),
    skew: float | None = typer.Option(None, help="Sigma of lognormal amounts (revenue)."),
    delay_a: float | None = typer.Option(
        None, help="Mean delay to conversion in arm a, in windows."
    ),
    delay_b: float | None = typer.Option(None, help="The same in arm b. [as arm a]"),
    alpha: float = typer.Option(0.05, help="Chance of a false winner that rules aim at."),
    tuning: float = typer.Option(5000, help="N* of the always-valid rule."),
    seed: int = typer.Option(1, help="The same seed gives the same table."),
    chart: Path | None = typer.Option(None, help="Write a bar chart to this SVG file."),
    as_json: bool = typer.Option(False, "--json", help="Print strict JSON."),
) -> None:
    """How often each rule names a winner, under peeking, delays and skewed amounts."""
    from dataclasses import asdict

    from huntaze_pipeline.errors import Problem, Problems
    from huntaze_pipeline.measurement import simulation

    first = delay_a if delay_a is not None else delay_b
    second = delay_b if delay_b is not None else delay_a
    delay = None if first is None or second is None else (first, second)
    scenario = simulation.Scenario(
        rate, lift, n, looks, runs, share, skew, delay, alpha, tuning, seed
    )
    rows = [asdict(outcome) for outcome in simulation.simulate(scenario)]
    if chart is not None:
        from huntaze_pipeline.reports import drawing, ready

        drawn = drawing.stack([ready.rules(rows, false=lift == 0, alpha=alpha)], 760)
        try:
            chart.write_text(drawn.svg("Winners by rule"), encoding="utf-8")
        except OSError as error:
            what = f"cannot be written: {error.strerror}"
            raise Problems([Problem(f"--chart {chart}", what)]) from error
    if as_json:
        figures.strict({"scenario": asdict(scenario), "rules": rows})
        return
    kind = "false winners (no true effect)" if lift == 0 else f"winners (true lift {lift:+.0%})"
    figures.table(f"{runs:,} tests, {looks} looks, {n:,} per arm: {kind}", rows)


def _show_experiments(entries: list[dict[str, Any]], summary: dict[str, Any]) -> None:
    order = sorted(entries, key=lambda entry: entry["state"] != "winner")
    rows = [
        {
            "experiment": entry["experiment_id"],
            "state": entry["state"],
            "winner": entry["winner"],
            "arms": len(entry["arms"]),
            "recipients": sum(arm["n"] for arm in entry["arms"]),
            "best mean": max((arm["mean"] for arm in entry["arms"]), default=None),
            "best lift": _lift(entry),
            "srm p": entry["srm"]["p_value"],
        }
        for entry in order[: figures.MOST_SHOWN]
    ]
    more = len(entries) - len(rows)
    figures.table(f"{len(entries):,} experiments" + (f", {len(rows)} shown" if more else ""), rows)
    states = [{"state": name, "experiments": count} for name, count in summary["by_state"].items()]
    figures.table("By state", states)


def _lift(entry: dict[str, Any]) -> str | None:
    """The best arm's lift over the control with its interval; the control's own is no lift."""
    chances = {row["variant"]: row["chance"] or 0.0 for row in entry["display"]["chance_best"]}
    control = entry["arms"][0]["variant"]
    named = entry["winner"] or max(chances, key=lambda variant: chances[variant])
    rows = [row for row in entry["display"]["lifts"] if (row["a"], row["b"]) == (control, named)]
    if not rows or rows[0]["lift"] is None:
        return None
    low, high = rows[0]["ci"] or (None, None)
    return f"{rows[0]['lift']:+.1%}" + ("" if low is None else f" ({low:+.1%} … {high:+.1%})")
