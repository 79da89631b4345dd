"""`huntaze chaos`: kills everything at every point and counts what came of it."""

import json

import typer

from huntaze_pipeline import settings

SHARED = 0.8
"""What all accounts of a platform may together, of what they may each."""


def register(app: typer.Typer) -> None:
    """Add this room's commands."""
    app.command()(chaos)


def chaos(
    messages: int = typer.Option(1500, min=1, help="Messages to send."),
    accounts: int = typer.Option(50, min=1, help="Accounts, over all four platforms."),
    minutes: float = typer.Option(2.0, min=0.1, help="How long things go wrong."),
    seed: int = typer.Option(1, help="The same seed is the same schedule of faults."),
    limit: int = typer.Option(10, min=1, help="Calls an account may make in a window."),
    window: float = typer.Option(60.0, min=1, help="Seconds of that window."),
    total: int | None = typer.Option(
        None, min=0, help="Calls all accounts of a platform may make in a window; 0: no such limit."
    ),
    keep: bool = typer.Option(False, help="Keep logs and data even when all is well."),
    as_json: bool = typer.Option(True, "--json", help="One line of JSON, always."),
) -> None:
    """Kill, pause, empty and cut off everything while sending; exit 1 when a mark is missed."""
    from huntaze_pipeline.local.chaos import run, verdict
    from huntaze_pipeline.local.chaos.world import World
    from huntaze_pipeline.store.people import PLATFORMS

    if total is None:
        total = max(1, int(SHARED * limit * accounts / len(PLATFORMS)))
    world = World(messages, accounts, limit, window, total)
    order = run.Order(world, minutes * 60, seed, keep)
    line = run.run(settings.load(), order, _tell)
    typer.echo(json.dumps(line))
    problems = verdict.missed(line, world)
    for problem in problems:
        _tell(problem)
    if problems:
        raise typer.Exit(1)


def _tell(what: str) -> None:
    typer.echo(what, err=True)
