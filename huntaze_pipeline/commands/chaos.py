"""`huntaze chaos`: kills everything at every point and counts what came of it."""

import json

import typer

from huntaze_pipeline import settings


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
    keep: bool = typer.Option(False, help="Keep logs and data even when all is well."),
    as_json: bool = typer.Option(True, "--json", help="One line of JSON, always."),
) -> None:
    """Kill, pause, empty and cut off everything while sending; exit 1 when a mark is missed."""
    from huntaze_pipeline.local.chaos import run, verdict
    from huntaze_pipeline.local.chaos.world import World

    order = run.Order(World(messages, accounts, limit, window), minutes * 60, seed, keep)
    line = run.run(settings.load(), order, _tell)
    typer.echo(json.dumps(line))
    problems = verdict.missed(line, limit=limit)
    for problem in problems:
        _tell(problem)
    if problems:
        raise typer.Exit(1)


def _tell(what: str) -> None:
    typer.echo(what, err=True)
