"""`huntaze goals`: what counts as a goal, and what a change of it would do to who earned what."""

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from huntaze_pipeline import settings
from huntaze_pipeline.commands import figures

if TYPE_CHECKING:
    from huntaze_pipeline.warehouse.goals import Declared
    from huntaze_pipeline.warehouse.proposal import Credit

goals = typer.Typer(help="Goals: what counts, and who gets the credit.", no_args_is_help=True)
JSON = typer.Option(False, "--json", help="Print one JSON document.")
_MOST_SHOWN = 30
_STALE = (
    "live is of an older build: the difference holds what came since, too;"
    " `huntaze models build` brings it up to date"
)


class Model(StrEnum):
    """A model that a goal can adopt."""

    first = "first"
    last = "last"
    linear = "linear"
    time_decay = "time_decay"
    position = "position"


def register(app: typer.Typer) -> None:
    """Add this room's commands."""
    app.add_typer(goals, name="goals")


@goals.command("list")
def list_(as_json: bool = JSON) -> None:
    """Show the goals of rules/goals.yaml: events, filter, value, model and windows."""
    from huntaze_pipeline.warehouse import goals as found

    place = settings.load().rules_dir
    rows = [_described(name, goal) for name, goal in found.known(place).items()]
    if as_json:
        figures.strict(rows)
        return
    for row in rows:
        how = "named by the event" if row["named"] else row["model"]
        typer.echo(f"{row['goal']}: {', '.join(row['events'])}; credit: {how}")
        for key in ("filter", "value"):
            if row[key] not in (None, "event"):
                typer.echo(f"  {key}: {row[key]}")
        for platform, touches in row["windows"].items():
            windows = ", ".join(f"{touch} {_span(seconds)}" for touch, seconds in touches.items())
            typer.echo(f"  {platform}: {windows}")


@goals.command()
def compare(
    file: Path | None = typer.Option(None, help="Proposed goals. [rules/goals.yaml]"),
    model: Model | None = typer.Option(None, help="Attribution model for every goal instead."),
    as_json: bool = JSON,
) -> None:
    """Show who would earn what under proposed goals, next to the published credits.

    The history is computed anew into temporary tables; nothing is published.
    """
    from huntaze_pipeline.local import stack
    from huntaze_pipeline.warehouse import goals as found
    from huntaze_pipeline.warehouse import lake, models, proposal

    proposed = found.declared(settings.load().rules_dir, file, model.value if model else None)
    project = models.load(settings.load().models_dir)
    with (
        stack.services(settings.load(), need=("postgres",)) as ready,
        lake.connect(ready, read_only=True) as con,
    ):
        stale = proposal.stale(con, project)
        credits = proposal.compare(con, project, proposed)
    if as_json:
        figures.strict(_compared(proposed, credits) | {"stale": stale})
        return
    _show(credits)
    if stale:
        typer.echo(_STALE)


@goals.command()
def adopt(file: Path = typer.Argument(help="The proposed goals.")) -> None:
    """Put a checked file in the place of rules/goals.yaml; the next build computes all anew."""
    from huntaze_pipeline.warehouse import goals as found

    place = settings.load().rules_dir
    names = found.read(file, place, must=True)
    fresh = place / f".{found.FILE}.new"
    fresh.write_bytes(file.read_bytes())
    fresh.replace(place / found.FILE)
    typer.echo(
        f"{place / found.FILE} now declares {', '.join(names)}; `huntaze models build` computes"
        " the history by it"
    )


def _span(seconds: float) -> str:
    """A window as it is written in the file."""
    from datetime import timedelta

    from huntaze_pipeline.rulebook.units import written

    return written(timedelta(seconds=seconds))


def _described(name: str, goal: Any) -> dict[str, Any]:
    return {"goal": name, **goal.model_dump(mode="json")}


def _compared(proposed: "Declared", credits: "list[Credit]") -> dict[str, Any]:
    from dataclasses import asdict

    models = dict(dict.fromkeys((row[0], row[6]) for row in proposed.goals))
    rows = [asdict(c) | {"difference_micros": c.difference_micros} for c in credits]
    return {"models": models, "credits": rows, "totals": _totals(credits)}


def _totals(credits: "list[Credit]") -> list[dict[str, Any]]:
    """Add up by goal and currency, what nobody earns apart."""
    sums: dict[tuple[str, str | None], dict[str, int]] = {}
    for credit in credits:
        part = "attributed" if credit.source is not None else "unattributed"
        row = sums.setdefault((credit.goal, credit.currency), dict.fromkeys(_PARTS, 0))
        for side, micros in (("old", credit.old_micros), ("new", credit.new_micros)):
            row[f"{side}_{part}_micros"] += micros
            row[f"{side}_micros"] += micros
    return [{"goal": goal, "currency": unit, **row} for (goal, unit), row in sums.items()]


_PARTS = (
    "old_micros", "new_micros", "old_attributed_micros", "new_attributed_micros",
    "old_unattributed_micros", "new_unattributed_micros",
)  # fmt: skip


def _show(credits: "list[Credit]") -> None:
    typer.echo(f"{'goal':12} {'who':34} {'live':>14} {'proposed':>14} {'difference':>14}")
    for credit in credits[:_MOST_SHOWN]:
        who = f"{credit.source} {credit.name or credit.source_id}" if credit.source else "nobody"
        _line(credit.goal, who, credit.old_micros, credit.new_micros, credit.currency)
    if len(credits) > _MOST_SHOWN:
        typer.echo(f"… and {len(credits) - _MOST_SHOWN} more; --json has all")
    for row in _totals(credits):
        for part in ("_attributed", "_unattributed", ""):
            share = part.strip("_") or "all"
            old, new = row[f"old{part}_micros"], row[f"new{part}_micros"]
            _line(row["goal"], share, old, new, row["currency"])


def _line(goal: str, who: str, old: int, new: int, currency: str | None) -> None:
    money = " ".join(f"{micros / 1e6:>14,.2f}" for micros in (old, new, new - old))
    typer.echo(f"{goal[:12]:12} {who[:34]:34} {money} {currency or ''}".rstrip())
