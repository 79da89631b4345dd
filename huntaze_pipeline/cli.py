"""The `huntaze` command: puts the sub-commands together and turns errors into clear last lines."""

import importlib
import sys

import typer

from huntaze_pipeline.errors import HuntazeError
from huntaze_pipeline.settings import version

ROOMS = (
    "demo", "local", "store", "ingest", "warehouse", "quality", "report", "rules", "segments",
    "automations", "webhooks", "campaigns", "suppressions", "experiments", "attribution", "goals",
    "delivery", "queues", "monitoring", "api", "simulator", "looking", "chaos",
)  # fmt: skip

app = typer.Typer(
    name="huntaze",
    help="Events to segments, campaigns and rate-limited sends, for creators and their agencies.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)


@app.callback(invoke_without_command=True)
def root(show: bool = typer.Option(False, "--version", help="Print the version and exit.")) -> None:
    """Print the version when asked; everything else is a sub-command."""
    if show:
        typer.echo(f"huntaze {version()}")
        raise typer.Exit


for room in ROOMS:
    importlib.import_module(f"huntaze_pipeline.commands.{room}").register(app)


def main() -> None:
    """Run the command; a `HuntazeError` ends as its message and exit code, never as a traceback."""
    try:
        app()
    except HuntazeError as error:
        typer.secho(f"error: {error}", err=True, fg="red")
        sys.exit(error.exit_code)
    except Exception as error:  # the last line of defence: a sentence, the traceback on demand
        typer.secho(f"error: a fault of Huntaze's own: {type(error).__name__}: {error}", err=True)
        typer.secho("       python -X dev -m huntaze_pipeline.cli … shows where", err=True)
        if sys.flags.dev_mode:
            raise
        sys.exit(70)
    except KeyboardInterrupt:
        typer.secho("stopped", err=True)
        sys.exit(130)


if __name__ == "__main__":
    main()
