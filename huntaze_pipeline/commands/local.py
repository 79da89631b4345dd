"""`huntaze up`, `status`, `down` and `doctor`: this machine."""

import json
import signal
from typing import TYPE_CHECKING

import typer

from huntaze_pipeline import settings
from huntaze_pipeline.local import stack

if TYPE_CHECKING:
    from huntaze_pipeline.local.health import Health


def register(app: typer.Typer) -> None:
    """Add this room's commands."""
    for command in (up, status, down, doctor):
        app.command()(command)


def up(
    dagster: bool = typer.Option(True, help="Run Dagster: UI, daemon and our assets and sensors."),
    simulator: bool = typer.Option(True, help="Simulate the platforms where none is set."),
) -> None:
    """Run everything on this machine until Ctrl-C: servers, API, sender, Dagster, simulator."""
    from huntaze_pipeline.local import fleet
    from huntaze_pipeline.store import migrate
    from huntaze_pipeline.store.session import Store

    asked: list[int] = []
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda got, _: asked.append(got))
    known = settings.load()
    with stack.services(known) as ready:
        migrate.upgrade(Store(ready, pooled=False))
        fleet.up(
            known,
            ready,
            lambda: bool(asked),
            typer.echo,
            with_dagster=dagster,
            with_simulator=simulator,
        )


def status(as_json: bool = typer.Option(False, "--json", help="Print JSON.")) -> None:
    """Show what runs, where, since when, and whether it answers; exit 1 if something does not."""
    from huntaze_pipeline.local import health

    known = settings.load()
    states = [*health.services(known), *health.programs(known)]
    if as_json:
        typer.echo(json.dumps([one.row() for one in states], indent=1))
    else:
        _table(states)
    if not all(one.healthy for one in states):
        raise typer.Exit(1)


def down() -> None:
    """Stop `huntaze up` and the embedded servers of this home, whoever uses them."""
    from huntaze_pipeline.local import fleet

    known = settings.load()
    stopped = [fleet.stop(known), stack.stop(known)]
    typer.echo("stopped" if any(stopped) else "nothing was running")


def doctor() -> None:
    """Check everything that Huntaze needs on this machine; say what to do where it fails."""
    from huntaze_pipeline.local import doctor as room

    failed = 0
    for finding in room.examine(settings.load):
        failed += not finding.ok
        typer.secho(
            "ok   " if finding.ok else "fail ", fg="green" if finding.ok else "red", nl=False
        )
        typer.echo(f"{finding.what}: {finding.detail}")
        if finding.remedy:
            typer.echo(f"     → {finding.remedy}")
    if failed:
        raise typer.Exit(1)


def _table(states: "list[Health]") -> None:
    """Print plain columns, as wide as they need: addresses are there to be copied."""
    rows = [("service", "healthy", "address", "version", "since")]
    rows += [
        (one.service, "yes" if one.healthy else "no", one.address, one.version, one.since or "")
        for one in states
    ]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        line = "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        typer.echo(line.rstrip())
    for one in states:
        if not one.healthy:
            typer.echo(f"{one.service}: {one.detail}", err=True)
