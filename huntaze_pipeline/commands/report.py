"""`huntaze report`: numbers as pages and files that one can hand on."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import typer

from huntaze_pipeline import settings

if TYPE_CHECKING:
    from huntaze_pipeline.reports.figures import Tenant
    from huntaze_pipeline.settings import Settings

_TEXT = ("csv", "json")


def register(app: typer.Typer) -> None:
    """Add this room's command."""
    app.command()(report)


def report(
    what: str = typer.Argument(help="A report's name, `list`, `campaign` or `experiment`."),
    thing: str | None = typer.Argument(None, help="The campaign's or experiment's id."),
    form: str | None = typer.Option(
        None, "--format", "-f", help="html, pdf, png, csv or json. [as --out ends, else html]"
    ),
    creator: str | None = typer.Option(
        None, help="Whose numbers; may be left out when there is only one creator."
    ),
    param: list[str] = typer.Option([], "--param", "-p", help="name=value; see `report list`."),
    out: str | None = typer.Option(
        None, "--out", "-o", help="A path, s3://bucket/key, or - for the terminal."
    ),
) -> None:
    """Write a report of one creator's settled numbers: a page, a PDF, a picture or its rows."""
    from huntaze_pipeline.reports import files

    if what == "list":
        _list(as_json=form == "json")
        return
    chosen = files.form_of(out, form)
    given = _pairs(param)
    with _lake() as (ready, con):
        content = _made(ready, con, (what, thing), chosen, creator, given)
        target = out or ("-" if chosen in _TEXT else _name(what, thing, chosen))
        if target == "-":
            sys.stdout.buffer.write(content)
            return
        typer.echo(files.deliver(content, target, chosen, ready.aws_endpoint_url))


def _made(
    ready: "Settings", con: Any, asked: tuple[str, str | None], form: Any, creator: str | None,
    given: dict[str, str],
) -> bytes:  # fmt: skip
    from huntaze_pipeline.reports import campaign, experiment, figures, files

    what, thing = asked
    whose = figures.tenant(con, creator)
    if what not in ("campaign", "experiment"):
        return files.answer(_answer(con, whose, what, given), form)
    _needs(what, thing, given)
    room = campaign if what == "campaign" else experiment
    return room.write(con, ready, whose, str(thing), form)


def _answer(con: Any, whose: "Tenant", name: str, given: dict[str, str]) -> Any:
    from huntaze_pipeline.reports import figures
    from huntaze_pipeline.warehouse import models, reports

    folder = settings.load().models_dir
    report = reports.one(folder, models.load(folder), name)
    return figures.run(con, report, whose, figures.values(report, given))


def _list(*, as_json: bool) -> None:
    import json

    from huntaze_pipeline.warehouse import models, reports

    folder = settings.load().models_dir
    listed = reports.load(folder, models.load(folder))
    if as_json:
        typer.echo(json.dumps([_described(one) for one in listed.values()], indent=1))
        return
    width = max(map(len, listed), default=0)
    for name, one in listed.items():
        typer.echo(f"{name:<{width}}  {one.header.title}")
        for parameter in one.parameters:
            default = f" [{parameter.default}]" if parameter.default else ""
            need = ", needed" if parameter.required and not parameter.default else ""
            head = f"{'':<{width}}    -p {parameter.name}=…"
            typer.echo(f"{head}  {parameter.kind}{need}: {parameter.meaning}{default}")
    typer.echo(f"{'campaign ID':<{width}}  Everything about one campaign")
    typer.echo(f"{'experiment ID':<{width}}  Everything about one A/B test")


def _described(report: Any) -> dict[str, Any]:
    from dataclasses import asdict

    return {
        "name": report.name,
        "title": report.header.title,
        "description": " ".join(report.header.description.split()),
        "parameters": [asdict(parameter) for parameter in report.parameters],
        "columns": [asdict(column) for column in report.columns],
        "refs": list(report.refs),
    }


@contextmanager
def _lake() -> Iterator[tuple["Settings", Any]]:
    """Open the lake read-only and give up everything else, as `huntaze sql` does."""
    from huntaze_pipeline.local import stack
    from huntaze_pipeline.warehouse import lake, query

    with (
        stack.services(settings.load(), need=("postgres",)) as ready,
        lake.connect(ready, read_only=True) as con,
    ):
        query.close(con)
        yield ready, con


def _pairs(given: list[str]) -> dict[str, str]:
    from huntaze_pipeline.errors import Problem, Problems

    wrong = [Problem(f"--param {text}", "write name=value") for text in given if "=" not in text]
    if wrong:
        raise Problems(wrong)
    return {name.strip(): value for name, _, value in (text.partition("=") for text in given)}


def _needs(what: str, thing: str | None, given: dict[str, str]) -> None:
    from huntaze_pipeline.errors import Problem, Problems

    if thing is None:
        raise Problems([Problem(what, f"write `huntaze report {what} ID`")])
    if given:
        raise Problems([Problem(f"--param {next(iter(given))}", f"a {what}'s page takes none")])


def _name(what: str, thing: str | None, form: str) -> str:
    return "-".join(part.replace("/", "_") for part in (what, thing) if part) + f".{form}"
