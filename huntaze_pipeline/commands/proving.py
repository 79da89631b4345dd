"""`huntaze rules test`, `rules plan` and `rules apply`: arguments in, text out."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from huntaze_pipeline.commands.folder import Folder, rules_folder

if TYPE_CHECKING:
    from huntaze_pipeline.rehearsal.proposal import Proposal
    from huntaze_pipeline.rulebook.registry import Applied


def register(rules: typer.Typer) -> None:
    """Add these commands to `huntaze rules`."""
    rules.command("test")(prove)
    rules.command()(plan)
    rules.command()(apply)


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
    covered = coverage.measure(draft, [result.story for result in results])
    if only:  # words of a test's name ask for that test alone
        covered = [row for row in covered if {row.rule, row.rule.rpartition("/")[2]} & set(only)]
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


def plan(
    creator: Annotated[
        list[str] | None, typer.Option("--creator", "-c", help="Only these. None: all creators.")
    ] = None,
    folder: Folder = None,
    out: Annotated[Path | None, typer.Option(help="Keep the plan, for `rules apply FILE`.")] = None,
    markdown: Annotated[bool, typer.Option(help="For a pull request.")] = False,
    machine: Annotated[bool, typer.Option("--json", help="For machines.")] = False,
) -> None:
    """Show what `rules apply` would change, against what is live. Changes nothing.

    Exit code 0: nothing would change; 2: something would; 1: there is no plan.
    """
    from huntaze_pipeline.errors import HuntazeError
    from huntaze_pipeline.rehearsal import sheet

    try:
        made = _planned(creator, folder)
    except HuntazeError as error:  # faults of files end in 2 elsewhere; here 2 means changes
        typer.secho(f"error: {error}", err=True, fg="red")
        raise typer.Exit(1) from None
    if out is not None:
        out.write_text(made.text(), "utf-8")
    shown = made.text() if machine else sheet.markdown(made) if markdown else sheet.text(made)
    typer.echo(shown.rstrip("\n"))
    raise typer.Exit(2 if made.changed else 0)


def _planned(creator: list[str] | None, folder: Path | None) -> "Proposal":
    from huntaze_pipeline.clock import system_clock
    from huntaze_pipeline.commands.tenancy import working
    from huntaze_pipeline.local import stack
    from huntaze_pipeline.rehearsal import forecast, origin, proposal
    from huntaze_pipeline.rulebook import loader
    from huntaze_pipeline.settings import load
    from huntaze_pipeline.warehouse import lake

    place = rules_folder(folder)
    rulebook, now = loader.load(place), system_clock()
    with (
        stack.services(load(), need=("postgres",)) as ready,
        lake.connect(ready) as con,
        working(ready, creator) as (connection, names),
    ):
        forecasts = [forecast.forecast(connection, con, name, rulebook, now) for name in names]
    return proposal.made(forecasts, rulebook, origin.of(place), now)


def apply(
    planned: Annotated[
        Path | None, typer.Argument(help="A plan of `rules plan --out`; it must still hold.")
    ] = None,
    creator: Annotated[
        list[str] | None, typer.Option("--creator", "-c", help="For these creators.")
    ] = None,
    everybody: Annotated[bool, typer.Option("--all", help="For all creators.")] = False,
    folder: Folder = None,
    commit: Annotated[
        str | None, typer.Option(help="The files' commit, where there is no git.")
    ] = None,
    machine: Annotated[bool, typer.Option("--json", help="For machines.")] = False,
) -> None:
    """Make the rule files live, all in one transaction.

    With a plan: exactly what it says, or nothing, when the files or what is live changed since.
    """
    from huntaze_pipeline.clock import system_clock
    from huntaze_pipeline.commands.tenancy import working
    from huntaze_pipeline.local import stack
    from huntaze_pipeline.rehearsal import origin, proposal, release
    from huntaze_pipeline.rulebook import loader
    from huntaze_pipeline.settings import load

    if sum((planned is not None, bool(creator), everybody)) != 1:
        raise typer.BadParameter("name a plan, or --creator, or --all")
    place = rules_folder(folder)
    rulebook, known = loader.load(place), proposal.read(planned) if planned else None
    if known is not None:
        proposal.fresh(known, rulebook)
    wanted = sorted(known.live) if known else creator
    source = origin.Origin(commit) if commit else origin.of(place)
    with (
        stack.services(load(), need=("postgres",)) as ready,
        working(ready, wanted) as (connection, names),
    ):
        live = known.live if known else None
        done = release.apply(connection, names, rulebook, source, system_clock(), live)
    _told(done, machine)


def _told(done: "dict[str, Applied]", machine: bool) -> None:
    """Say what became live; one creator's account stands alone, as ever."""
    import json

    if machine:
        plain = {name: vars(applied) for name, applied in done.items()}
        typer.echo(json.dumps(next(iter(plain.values())) if len(plain) == 1 else plain))
        return
    for name, applied in done.items():
        if len(done) > 1:
            typer.secho(name, bold=True)
        for what, names in vars(applied).items():
            if names and what != "unchanged":
                typer.echo(f"{what}: {', '.join(names)}")
        typer.echo(f"unchanged: {len(applied.unchanged)}")
