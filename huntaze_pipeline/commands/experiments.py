"""`huntaze experiments` and `huntaze attribution`: numbers from any table, on the command line."""

import json
from collections.abc import Iterator
from enum import StrEnum
from pathlib import Path
from typing import Any

import typer

EXPERIMENTS = typer.Typer(help="A/B tests: judge, plan and simulate them.", no_args_is_help=True)
ATTRIBUTION = typer.Typer(
    help="Which channel earned which part of what was bought.", no_args_is_help=True
)
_MOST_SHOWN = 20
_LONGEST = 48


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


class Worth(StrEnum):
    """What a coalition of channels is worth."""

    conversions = "conversions"
    rate = "rate"


def register(app: typer.Typer) -> None:
    """Add this room's commands."""
    app.add_typer(EXPERIMENTS, name="experiments")
    app.add_typer(ATTRIBUTION, name="attribution")


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
    found = results.report(analysis.analyze(table, config))
    if as_json:
        _print_json(found)
        return
    _show_experiments(found["experiments"], found["summary"])
    _show_problems(found["problems"])


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
        told = {"baseline": baseline, "effect": wanted, "alpha": alpha, "power": chance}
        _print_json(told | {"least_n_per_arm": least, "designs": rows})
        return
    _print_table(f"Two arms, baseline {baseline:g}, alpha {alpha:g}, power {chance:g}", rows)
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
        _print_json({"scenario": asdict(scenario), "rules": rows})
        return
    kind = "false winners (no true effect)" if lift == 0 else f"winners (true lift {lift:+.0%})"
    _print_table(f"{runs:,} tests, {looks} looks, {n:,} per arm: {kind}", rows)


@ATTRIBUTION.command(name="analyze")
def credit(
    touches: Path | None = typer.Option(None, help="File with fan_id, ts, channel (and event_id)."),
    conversions: Path | None = typer.Option(None, help="File with fan_id, ts, value."),
    paths: Path | None = typer.Option(
        None, help="File with path (a > b), conversions, value, nulls."
    ),
    fan: str = typer.Option("fan_id", help="Column that names the fan."),
    time: str = typer.Option("ts", help="Column with the time; without an offset it is UTC."),
    channel: str = typer.Option("channel", help="Column that names the channel or campaign."),
    value: str = typer.Option("value", help="Column with the conversion's value."),
    lookback: str = typer.Option(
        "30d", help="How old a touch may be; exactly this old still counts."
    ),
    half_life: str = typer.Option("7d", help="Time decay: a touch this old weighs half."),
    position: tuple[float, float, float] = typer.Option(
        (0.4, 0.2, 0.4), help="Position based: first, middle, last."
    ),
    collapse: bool = typer.Option(False, help="Take repeats of a channel in a row as one touch."),
    shapley: Worth = typer.Option(Worth.conversions, help="What a coalition of channels is worth."),
    as_json: bool = typer.Option(False, "--json", help="Print strict JSON."),
) -> None:
    """Credit by model and channel, removal effects and the chain's conversion probability."""
    from huntaze_pipeline.errors import Problem, Problems
    from huntaze_pipeline.measurement import counts, mix, records

    rules = _rules(lookback, half_life, position, collapse)
    if (paths is None) == (touches is None or conversions is None) or (
        paths and (touches or conversions)
    ):
        raise Problems([Problem("attribution", "give --touches and --conversions, or --paths")])
    if paths is not None:
        found, problems = records.journeys(counts.read(paths))
        report = mix.from_paths(found, rules, shapley.value)
    else:
        fields = records.Fields(fan, time, channel, value)
        problems = []

        def parts() -> "Iterator[tuple[Any, Any]]":
            for part in records.slices(touches, conversions, fields):  # pyright: ignore[reportArgumentType]
                problems.extend(part.problems)
                yield part.touches, part.conversions

        report = mix.from_slices(parts(), rules, shapley.value)
    report["problems"] = _problems(problems)
    if as_json:
        _print_json(report)
        return
    _show_credit(report)
    _show_problems(report["problems"])


def _rules(
    lookback: str, half_life: str, position: tuple[float, float, float], collapse: bool
) -> Any:
    from huntaze_pipeline import clock
    from huntaze_pipeline.errors import Problem, Problems
    from huntaze_pipeline.measurement.attribution import Rules

    spans, faults = [], []
    for name, text in (("--lookback", lookback), ("--half-life", half_life)):
        try:
            spans.append(clock.duration(text))
        except ValueError as error:
            faults.append(Problem(name, str(error)))
            continue
        if not spans[-1]:
            faults.append(Problem(name, "must be longer than nothing"))
    if min(position) < 0 or position[0] + position[2] <= 0:
        faults.append(
            Problem("--position", "parts must not be negative, first and last not both 0")
        )
    if faults:
        raise Problems(faults)
    return Rules(spans[0], spans[1], position, collapse)


def _problems(problems: Any) -> list[dict[str, str]]:
    return [{"where": problem.where, "what": problem.what} for problem in problems]


def _print_json(value: Any) -> None:
    typer.echo(json.dumps(value, allow_nan=False, ensure_ascii=False))


def _print_table(title: str, rows: list[dict[str, Any]]) -> None:
    import sys

    from rich.console import Console
    from rich.table import Table

    table = Table(title=title, title_justify="left")
    for place, name in enumerate(rows[0] if rows else []):
        left = isinstance(rows[0][name], str)
        head = name.replace("_", " ")
        # The first column names the row: it keeps its width, figures share the rest.
        table.add_column(head, justify="left" if left else "right", no_wrap=place == 0)
    for row in rows:
        table.add_row(*(_cell(value) for value in row.values()))
    # Into a file or a pipe there is no terminal to ask: wide enough for every table here.
    Console(width=None if sys.stdout.isatty() else 140).print(table)


def _cell(value: Any) -> str:
    if value is None:
        return "-"
    if isinstance(value, float):
        return f"{value:,.4g}" if abs(value) < 1000 else f"{value:,.0f}"
    text = f"{value:,}" if isinstance(value, int) else str(value)
    return text if len(text) <= _LONGEST else text[: _LONGEST - 1] + "…"


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
        for entry in order[:_MOST_SHOWN]
    ]
    more = len(entries) - len(rows)
    _print_table(f"{len(entries):,} experiments" + (f", {len(rows)} shown" if more else ""), rows)
    states = [{"state": name, "experiments": count} for name, count in summary["by_state"].items()]
    _print_table("By state", states)


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


def _show_credit(report: dict[str, Any]) -> None:
    channels = sorted({name for table in report["models"].values() for name in table})
    rows = [
        {"channel": name}
        | {
            model: table.get(name, {}).get("value", 0.0)
            for model, table in report["models"].items()
            if model != "linear_unique"
        }
        | {"removal effect": report["removal_effects"].get(name)}
        for name in channels
    ]
    totals = report["totals"]
    title = f"Credit of {totals['attributed']:,.2f} by model"
    rest = f"{totals['unattributed']:,.2f} unattributed"
    _print_table(f"{title} ({rest}, chain probability {report['chain_probability']:.4f})", rows)
    for note in report["notes"]:
        typer.echo(f"note: {note}")


def _show_problems(problems: list[dict[str, str]]) -> None:
    for problem in problems[:_MOST_SHOWN]:
        typer.secho(f"{problem['where']}: {problem['what']}", err=True, fg="yellow")
    if len(problems) > _MOST_SHOWN:
        rest = f"… and {len(problems) - _MOST_SHOWN:,} more (--json lists all)"
        typer.secho(rest, err=True, fg="yellow")
