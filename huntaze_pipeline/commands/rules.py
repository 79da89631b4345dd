"""`huntaze rules …`: arguments in, text out. `rules test`, `plan` and `apply` are `proving`'s."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from huntaze_pipeline.commands import backtest, proving
from huntaze_pipeline.commands.folder import Folder, rules_folder
from huntaze_pipeline.commands.tenant import tenant

if TYPE_CHECKING:
    from huntaze_pipeline.errors import Problem

rules = typer.Typer(name="rules", help="Rule files: check, preview, apply.", no_args_is_help=True)


def register(app: typer.Typer) -> None:
    """Add this room's commands."""
    proving.register(rules)
    rules.command("backtest")(backtest.backtest)
    app.add_typer(rules)


@rules.command()
def check(
    folder: Folder = None,
    form: Annotated[str, typer.Option("--format", help="text, json or github.")] = "text",
) -> None:
    """Find every fault of every file in rules/, each with its line. Exit code 2 when there is one.

    Files and folders that nothing reads are faults too.
    """
    from huntaze_pipeline.rulebook import loader, report

    if form not in report.FORMATS:
        raise typer.BadParameter(f"{form!r}: one of {', '.join(report.FORMATS)}")
    place = rules_folder(folder)
    draft = loader.drafted(place)
    problems = [*draft.problems, *_beside(place)]
    text = report.render(problems, form)
    if text:
        typer.echo(text)
    if problems:
        count = len(problems)
        typer.secho(f"{count} problem{'s'[: count > 1]}", err=True, fg="red")
        raise typer.Exit(2)
    if form == "text":
        counts = ", ".join(f"{len(items)} {kind}" for kind, items in draft.rules.items())
        typer.echo(f"all right: {counts}")


def _beside(folder: Path) -> "list[Problem]":
    """Faults of goals, rates, bots and alarms, and files that nothing reads."""
    from huntaze_pipeline.errors import Problem
    from huntaze_pipeline.monitoring import alarms
    from huntaze_pipeline.rulebook import vocabulary
    from huntaze_pipeline.rulebook.fields import nearest
    from huntaze_pipeline.warehouse import bots, declarations, goals, rates

    if not folder.is_dir():
        return []
    problems = [*_found(folder, declarations.load), *_faults(folder, "alarms.yaml", alarms.load)]
    known = ("policies.yaml", goals.FILE, rates.FILE, bots.FILE, "alarms.yaml", vocabulary.FILE)
    for path in sorted(folder.iterdir()):
        if path.is_file() and path.name not in (*known, "README.md") and path.name[0] != ".":
            hint = nearest(path.name, list(known)) or "; rules lie in folders, such as segments/"
            where = f"{path.relative_to(folder.parent)}:1:1"
            problems.append(Problem(where, f"nothing reads this file{hint}"))
    return problems


def _found(folder: Path, load: "Callable[[Path], object]") -> "list[Problem]":
    """Read files by a reader whose faults have their places."""
    from huntaze_pipeline.errors import Problems

    try:
        load(folder)
    except Problems as error:
        return list(error.problems)
    return []


def _faults(folder: Path, name: str, load: "Callable[[Path], object]") -> "list[Problem]":
    """Read one file by its own reader; its faults get lines and columns."""
    from huntaze_pipeline import source
    from huntaze_pipeline.errors import Problems

    if not (folder / name).is_file():
        return []
    text = source.read(folder / name, folder)
    if text.problems:
        return text.problems
    try:
        load(folder)
    except Problems as error:
        places = [(p, p.where.rpartition(" ")[2]) for p in error.problems]
        return [text.problem(at.split("."), f"{at}: {p.what}") for p, at in places]
    return []


@rules.command()
def schema(
    folder: Folder = None,
    verify: Annotated[
        bool, typer.Option("--check", help="Write nothing; say what is stale.")
    ] = False,
) -> None:
    """Write the JSON Schemas of rule files into rules/schema, for editors."""
    from huntaze_pipeline.rulebook import schemas

    names = schemas.stale(rules_folder(folder)) if verify else schemas.write(rules_folder(folder))
    for name in names:
        typer.echo(f"{'stale' if verify else 'written'}: schema/{name}")
    if verify and names:
        raise typer.Exit(1)


@rules.command()
def preview(
    template: Annotated[str, typer.Argument(help="The template's id: its file's name.")],
    platform: Annotated[
        str | None,
        typer.Option(
            help="onlyfans, instagram, tiktok or email; default: the first of the template's,"
            " of those where --fan has an address."
        ),
    ] = None,
    locale: Annotated[str, typer.Option(help="en, fr, es, …")] = "en",
    name: Annotated[str | None, typer.Option(help="The fan's name.")] = None,
    fan: Annotated[str | None, typer.Option(help="A fan of --creator, by id.")] = None,
    creator: Annotated[str | None, typer.Option("--creator", help="Whose fan.")] = None,
    folder: Folder = None,
    machine: Annotated[bool, typer.Option("--json", help="For machines.")] = False,
) -> None:
    """Show a template as a sample fan would read it, or a fan of yours (with sample facts)."""
    from huntaze_pipeline.rulebook import loader
    from huntaze_pipeline.rulebook import preview as room

    who = {"name": name, "first_name": name.split()[0]} if name and name.strip() else {}
    reached: list[str] = []
    if fan is not None:
        found, reached = _profile(creator, fan)
        who = found | who
    book = loader.load(rules_folder(folder))
    if platform is None:
        known = book.templates.get(template)
        mine = known.platforms if known else ("onlyfans",)
        platform = next((one for one in mine if one in reached), mine[0])
    shown = room.preview(book, template, platform, who.get("locale") or locale, fan=who)
    if machine:
        text = {"subject": shown.subject, "body": shown.body, "locale": shown.locale}
        typer.echo(json.dumps(text, ensure_ascii=False))
        return
    if shown.subject:
        typer.secho(f"Subject: {shown.subject}\n", bold=True)
    typer.echo(shown.body)


def _profile(creator: str | None, fan: str) -> "tuple[dict[str, Any], list[str]]":
    """Read what a template may say of a fan, and where the fan has an address.

    What is not known of it keeps no sample's value.

    Raises:
        NotFoundError: there is no such fan.
    """
    from huntaze_pipeline.errors import NotFoundError
    from huntaze_pipeline.rulebook import messages, people

    if creator is None:
        raise typer.BadParameter("say whose fan it is: --creator ID")
    with tenant(creator) as (connection, _):
        found = people.profile(connection, creator, fan)
        reached = people.platforms(connection, creator, fan)
    if found is None:
        raise NotFoundError(f"creator {creator!r} has no fan {fan!r}")
    return messages.words(messages.Recipient(found, (), {}))["fan"], reached
