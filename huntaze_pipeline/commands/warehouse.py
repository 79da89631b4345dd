"""`huntaze models` and `huntaze sql`: the tables that are computed, and questions to the lake."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from huntaze_pipeline import settings

if TYPE_CHECKING:
    from huntaze_pipeline.warehouse.models import Project

models = typer.Typer(help="SQL models: list, build and test them.", no_args_is_help=True)
JSON = typer.Option(False, "--json", help="Print one JSON document.")


def register(app: typer.Typer) -> None:
    """Add this room's commands."""
    app.add_typer(models, name="models")
    app.command()(sql)


@models.command("list")
def list_(as_json: bool = JSON) -> None:
    """List the models in building order, with grain and what they read."""
    import json

    project = _project()
    if as_json:
        typer.echo(json.dumps([_described(model) for model in project.models]))
        return
    for model in project.models:
        typer.echo(f"{model.name}  [{', '.join(model.header.grain)}]  {model.header.description}")


@models.command()
def build(
    select: list[str] = typer.Option(
        [], "--select", "-s", help="schema.name; +name: and its sources."
    ),
    as_json: bool = JSON,
) -> None:
    """Pull new events, copy the operational tables, build the models and run the audits."""
    import json
    from dataclasses import asdict

    from huntaze_pipeline.clock import system_clock
    from huntaze_pipeline.local import stack
    from huntaze_pipeline.store import migrate
    from huntaze_pipeline.store.session import Store
    from huntaze_pipeline.warehouse import refreshing

    project = _project()
    with stack.services(settings.load(), need=("postgres",)) as ready:
        store = Store(ready)
        migrate.upgrade(store)
        done = refreshing.run(ready, store, project, system_clock(), select or None)
        if not select:
            _channels(ready)
    if as_json:
        typer.echo(json.dumps(asdict(done), default=str))
    else:
        for item in done.built:
            typer.echo(f"{item.name}: {item.rows:,} rows ({item.seconds:.2f} s)")
        for item in done.audited:
            sign = (
                "ok" if not item.bad else f"{item.severity}: {item.bad} bad rows, {item.sample[0]}"
            )
            typer.echo(f"{item.name}: {sign}", err=bool(item.bad))
    if any(item.bad and item.severity == "error" for item in done.audited):
        raise typer.Exit(1)


def _channels(ready: settings.Settings) -> None:
    """Compute the attribution models that need all paths at once; no SQL model can."""
    from huntaze_pipeline.measurement import channels
    from huntaze_pipeline.warehouse import lake

    with lake.connect(ready) as con:
        channels.publish(con)


@models.command("test")
def check(
    folder: Path | None = typer.Argument(None, help="Default: tests/ beside the models."),
) -> None:
    """Run the models' unit tests: given rows in, expected rows out. Needs no server."""
    from huntaze_pipeline.warehouse import cases

    project = _project()
    found = cases.load(folder or settings.load().models_dir / "tests")
    failed = 0
    for case in found:
        differences = cases.run(project, case)
        failed += bool(differences)
        typer.echo(f"{'FAIL' if differences else 'ok  '} {case.model}: {case.name}")
        for line in differences:
            typer.echo(f"     {line}")
    typer.echo(f"{len(found) - failed} of {len(found)} passed", err=True)
    if failed:
        raise typer.Exit(1)


def sql(
    query: str = typer.Argument(
        ..., help="One SELECT; tables are raw.*, staging.*, marts.*, metrics.*."
    ),
    format_: str = typer.Option("table", "--format", "-f", help="table, csv or json."),
) -> None:
    """Ask the lake a question; read-only, and it works while others write."""
    from huntaze_pipeline.local import stack
    from huntaze_pipeline.warehouse import lake
    from huntaze_pipeline.warehouse import query as queries

    if format_ not in ("table", "csv", "json"):
        raise typer.BadParameter("--format must be table, csv or json")
    with (
        stack.services(settings.load(), need=("postgres",)) as ready,
        lake.connect(ready, read_only=True) as con,
    ):
        typer.echo(queries.rendered(queries.ask(con, query), format_))


def _project() -> "Project":
    from huntaze_pipeline.warehouse import models as found

    return found.load(settings.load().models_dir)


def _described(model: Any) -> dict[str, Any]:
    return {
        "name": model.name,
        "description": model.header.description,
        "grain": model.header.grain,
        "materialization": model.header.materialization,
        "refs": list(model.refs),
        "sources": list(model.sources),
        "columns": {c.name: {"type": c.type, "meaning": c.meaning} for c in model.columns},
        "version": model.version,
    }
