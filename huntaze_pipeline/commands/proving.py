"""`huntaze rules test`, `rules plan` and `rules apply`: arguments in, text out."""

from pathlib import Path
from typing import Annotated

import typer

from huntaze_pipeline.commands.folder import Folder, rules_folder


def register(rules: typer.Typer) -> None:
    """Add these commands to `huntaze rules`."""
    rules.command("test")(prove)


def prove(
    only: Annotated[
        list[str] | None, typer.Argument(help="Rules' ids, or words of tests' names. None: all.")
    ] = None,
    folder: Folder = None,
    form: Annotated[str, typer.Option("--format", help="text, json or junit.")] = "text",
    out: Annotated[Path | None, typer.Option(help="Write to this file.")] = None,
    minimum: Annotated[
        float, typer.Option("--cover", help="Fail below this percentage of ways tried.")
    ] = 0,
) -> None:
    """Run the tests in the rule files, in a world in memory. Exit code 1 when one fails.

    What the tests never tried is listed with its line.
    """
    from huntaze_pipeline.rehearsal import account, coverage, trial
    from huntaze_pipeline.rulebook import loader

    if form not in account.FORMATS:
        raise typer.BadParameter(f"{form!r}: one of {', '.join(account.FORMATS)}")
    draft = loader.drafted(rules_folder(folder))
    results = trial.run(draft, only or ())
    covered = [] if only else coverage.measure(draft, [result.story for result in results])
    text = account.render(results, covered, form)
    if out is not None:
        out.write_text(text + "\n", "utf-8")
        text = account.summary(results, covered)
    typer.echo(text)
    short = bool(covered) and coverage.total(covered) * 100 < minimum
    if short:
        typer.secho(f"less than {minimum:g} % of the ways are tried", err=True, fg="red")
    if short or not all(result.passed for result in results):
        raise typer.Exit(1)
