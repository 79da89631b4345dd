"""`huntaze attribution`: which channel earned which part, from any table, on the command line."""

from collections.abc import Iterable, Iterator
from enum import StrEnum
from pathlib import Path
from typing import Any

import typer

from huntaze_pipeline.commands import figures

attribution = typer.Typer(
    help="Which channel earned which part of what was bought.", no_args_is_help=True
)


class Worth(StrEnum):
    """What a coalition of channels is worth."""

    conversions = "conversions"
    rate = "rate"


def register(app: typer.Typer) -> None:
    """Add this room's commands."""
    app.add_typer(attribution, name="attribution")


@attribution.command()
def analyze(
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
        journeys, problems = records.journeys(counts.read(paths))
        report = mix.from_paths(journeys, rules, shapley.value)
    else:
        assert touches is not None
        assert conversions is not None
        problems = []
        slices = records.slices(touches, conversions, records.Fields(fan, time, channel, value))
        report = mix.from_slices(_heard(slices, problems), rules, shapley.value)
    report["problems"] = [{"where": fault.where, "what": fault.what} for fault in problems]
    if as_json:
        figures.strict(report)
        return
    _show(report)
    figures.problems(report["problems"])


def _heard(slices: Iterable[Any], problems: list[Any]) -> Iterator[tuple[Any, Any]]:
    """Give each slice's touches and conversions, and put its problems with the others."""
    for part in slices:
        problems.extend(part.problems)
        yield part.touches, part.conversions


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


def _show(report: dict[str, Any]) -> None:
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
    figures.table(f"{title} ({rest}, chain probability {report['chain_probability']:.4f})", rows)
    for note in report["notes"]:
        typer.echo(f"note: {note}")
