"""`huntaze models` and `huntaze sql`: the tables that are computed, and questions to the lake."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from huntaze_pipeline import settings

if TYPE_CHECKING:
    from datetime import datetime

    from huntaze_pipeline.warehouse.models import Project
    from huntaze_pipeline.warehouse.refreshing import Refreshed

models = typer.Typer(help="SQL models: list, build and test them.", no_args_is_help=True)
lake_ = typer.Typer(help="The lake's files: what they take, and their care.", no_args_is_help=True)
JSON = typer.Option(False, "--json", help="Print one JSON document.")


def register(app: typer.Typer) -> None:
    """Add this room's commands."""
    app.add_typer(models, name="models")
    app.add_typer(lake_, name="lake")
    app.command()(sql)


@models.command("list")
def list_(as_json: bool = JSON) -> None:
    """List the models in building order, with grain and meaning; --json has what they read too."""
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
    full: bool = typer.Option(False, "--full", help="Build everything anew, whatever is there."),
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
        done = refreshing.run(ready, store, project, system_clock(), select or None, full=full)
        if not select:
            _measured(ready)
    if as_json:
        typer.echo(json.dumps(asdict(done), default=str))
    else:
        _tell(done)
    if any(item.bad and item.severity == "error" for item in done.audited):
        raise typer.Exit(1)


def _tell(done: "Refreshed") -> None:
    """Print a line for each table and each audit."""
    for item in done.built:
        rows = "" if item.rows is None else f"{item.rows:,} rows, "
        rows += f"+{item.came:,} -{item.left:,}, " if item.came or item.left else ""
        typer.echo(f"{item.name}: {rows}{item.how} ({item.seconds:.2f} s)")
    for item in done.audited:
        sign = "ok" if not item.bad else f"{item.severity}: {item.bad} bad rows, {item.sample[0]}"
        typer.echo(f"{item.name}: {sign}", err=bool(item.bad))


def _measured(ready: settings.Settings) -> None:
    """Compute what no SQL model can: models over whole paths, effects against holdouts."""
    from huntaze_pipeline.measurement import channels, holdouts, incrementality
    from huntaze_pipeline.warehouse import lake

    with lake.connect(ready) as con:
        channels.publish(con)
        holdouts.store(con, incrementality.incremental(holdouts.read(con)))


@models.command("test")
def check(
    folder: Path | None = typer.Argument(
        None, exists=True, help="A folder or a file of cases. Default: tests/ beside the models."
    ),
) -> None:
    """Run the models' unit tests: given rows in, expected rows out. Needs no server."""
    from huntaze_pipeline.warehouse import cases

    project = _project()
    suite = cases.load(folder or settings.load().models_dir / "tests")
    failed = 0
    for case in suite:
        differences = cases.run(project, case)
        failed += bool(differences)
        typer.echo(f"{'FAIL' if differences else 'ok  '} {case.model}: {case.name}")
        for line in differences:
            typer.echo(f"     {line}")
    typer.echo(f"{len(suite) - failed} of {len(suite)} passed", err=True)
    if failed:
        raise typer.Exit(1)


@models.command()
def docs(
    out: Path = typer.Option(Path("models.html"), "--out", "-o", help="Where the page goes."),
) -> None:
    """Write one page about all models: columns, lineage, SQL and the graph. Needs no server."""
    from huntaze_pipeline.warehouse import docs as pages

    out.write_text(pages.render(_project()), encoding="utf-8")
    typer.echo(str(out))


@models.command()
def lineage(
    name: str = typer.Argument(..., help="schema.name, or schema.name.column."),
    as_json: bool = JSON,
) -> None:
    """Show what a model's columns are made of, down to the raw ones, and who reads the model.

    Who reads it are models, audits and reports.
    """
    import json

    from huntaze_pipeline.warehouse import docs as pages
    from huntaze_pipeline.warehouse import lineage as lines

    project = _project()
    table, column = name, None
    if name.count(".") == 2:
        table, _, column = name.rpartition(".")
    shapes = lines.shapes(project)
    names = [column] if column else [c.name for c in project.model(table).columns]
    sources = {n: lines.roots(project, lines.Origin(table, n), shapes) for n in names}
    above, below = list(project.model(table).reads), pages.readers(project, table)
    below += pages.askers(project, settings.load().models_dir, table)
    if as_json:
        columns = {n: [f"{o.table}.{o.column}" for o in origins] for n, origins in sources.items()}
        typer.echo(
            json.dumps({"model": table, "reads": above, "readers": below, "columns": columns})
        )
        return
    typer.echo(f"{table}\n  reads    {', '.join(above)}\n  read by  {', '.join(below) or 'nobody'}")
    for n, origins in sources.items():
        typer.echo(
            f"  {n}  <-  {', '.join(f'{o.table}.{o.column}' for o in origins) or 'no column'}"
        )


@lake_.command()
def care(
    keep: str = typer.Option("90d", help="How far back --as-of and replay can look."),
) -> None:
    """Join small files, drop deleted rows, let go of old snapshots; Dagster does so every night."""
    from huntaze_pipeline.clock import duration, system_clock
    from huntaze_pipeline.local import stack
    from huntaze_pipeline.warehouse import care as caring
    from huntaze_pipeline.warehouse import lake

    try:
        back = duration(keep)
    except ValueError as error:
        raise typer.BadParameter(f"--keep: {error}") from None
    with (
        stack.services(settings.load(), need=("postgres",)) as ready,
        lake.connect(ready) as con,
    ):
        done = caring.run(con, system_clock(), _project(), back)
    typer.echo(
        f"{done.expired} snapshots let go, {done.rewritten} tables written anew,"
        f" {done.merged} with fewer files, {done.deleted} files deleted"
    )


@lake_.command()
def status(as_json: bool = JSON) -> None:
    """Show what each table takes on the disk."""
    import json
    from dataclasses import asdict

    from huntaze_pipeline.local import stack
    from huntaze_pipeline.warehouse import care as caring
    from huntaze_pipeline.warehouse import lake

    with (
        stack.services(settings.load(), need=("postgres",)) as ready,
        lake.connect(ready, read_only=True) as con,
    ):
        sizes = caring.stored(con)
    if as_json:
        typer.echo(json.dumps([asdict(item) for item in sizes]))
        return
    for item in sizes:
        typer.echo(
            f"{item.table:34} {item.bytes / 1e6:10,.1f} MB {item.files:6,} files"
            f" {item.deletes:5,} with deletes"
        )


def sql(
    query: str = typer.Argument(
        ..., help="One SELECT; tables are raw.*, staging.*, marts.*, metrics.*."
    ),
    format_: str = typer.Option("table", "--format", "-f", help="table, csv or json."),
    as_of: str | None = typer.Option(
        None, "--as-of", help="The lake as it was: 2026-11-01T09:00Z, or a snapshot's number."
    ),
) -> None:
    """Ask the lake a question; read-only, and it works while others write."""
    from huntaze_pipeline.local import stack
    from huntaze_pipeline.warehouse import lake
    from huntaze_pipeline.warehouse import query as queries

    if format_ not in ("table", "csv", "json"):
        raise typer.BadParameter("--format must be table, csv or json")
    with (
        stack.services(settings.load(), need=("postgres",)) as ready,
        lake.connect(ready, read_only=True, as_of=_past(as_of)) as con,
    ):
        typer.echo(queries.rendered(queries.ask(con, query), format_))


def _past(given: str | None) -> "datetime | int | None":
    """Read an instant (without a zone: UTC) or a snapshot's number."""
    from datetime import UTC, datetime

    if given is None:
        return None
    if given.isdigit():
        return int(given)
    try:
        when = datetime.fromisoformat(given)
    except ValueError:
        hint = "write an instant such as 2026-11-01T09:00Z, or a snapshot's number"
        raise typer.BadParameter(f"--as-of {given!r}: {hint}") from None
    return when if when.tzinfo else when.replace(tzinfo=UTC)


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
