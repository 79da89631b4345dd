"""`huntaze quality …`: check a batch by its suite, what checks found before, and data docs."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from huntaze_pipeline import settings

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

    from huntaze_pipeline.quality.judge import Verdict
    from huntaze_pipeline.quality.results import Result
    from huntaze_pipeline.quality.suite import Suite

quality = typer.Typer(help="Data quality: suites, checks, data docs.", no_args_is_help=True)
SUITE = typer.Option("events", "--suite", "-s", help="A suite's name, or its file.")
JSON = typer.Option(False, "--json", help="Print one JSON document.")


def register(app: typer.Typer) -> None:
    """Add this room's commands."""
    app.add_typer(quality, name="quality")


@quality.command("list")
def list_() -> None:
    """Read every suite and say what it is about; faults are told with file and line."""
    from huntaze_pipeline.quality import suite as suites

    for path in suites.every(settings.load().models_dir):
        loaded = suites.load(path)
        errors = sum(e.severity == "error" for e in loaded.expectations)
        levels = f"{errors} error, {len(loaded.expectations) - errors} warn"
        typer.echo(f"{loaded.name:<12} {levels:<18} {loaded.description}  ({path})")


@quality.command()
def check(
    file: Path | None = typer.Argument(
        None, help="CSV, Parquet or JSON Lines with the suite's columns; default: newest arrival."
    ),
    suite: str = SUITE,
    as_json: bool = JSON,
) -> None:
    """Judge a file, or the newest arrival of events, by Great Expectations and by the gate.

    Ends with 1 when an `error` fails, or when the two disagree.
    """
    from huntaze_pipeline.quality import judge, results

    asked = _suite(suite)
    with _batch(file, asked) as (con, relation, before):
        verdict = judge.judge(con, relation, asked)
    found = [*before, *verdict.results]
    if as_json:
        typer.echo(json.dumps(_document(verdict, found)))
    else:
        _tell(verdict, found)
    if results.failures(found) or verdict.disputed:
        raise typer.Exit(1)


@quality.command()
def history(
    suite: str | None = typer.Option(None, "--suite", "-s", help="Of one suite only."),
    creator: str | None = typer.Option(None, "--creator", "-c", help="What this creator sees."),
    failed: bool = typer.Option(False, help="Only what failed."),
    limit: int = typer.Option(50, min=1, help="Lines at most."),
    as_json: bool = JSON,
) -> None:
    """Show what checks found, newest first."""
    from huntaze_pipeline.local import stack
    from huntaze_pipeline.quality import history as kept
    from huntaze_pipeline.store.session import Store

    with stack.services(settings.load(), need=("postgres",)) as ready:
        store = Store(ready)
        with store.tenant(creator) if creator else store.worker() as connection:
            rows = kept.listed(connection, suite=suite, failed=failed, limit=limit)
    if as_json:
        typer.echo(json.dumps(rows, default=str))
        return
    if not rows:
        typer.echo("nothing failed" if failed else "nothing was checked yet", err=True)
    for row in rows:
        sign = "ok" if row["success"] else row["severity"]
        typer.echo(
            f"{row['at']:%Y-%m-%d %H:%M}  {sign:<5} {row['subject']}  {row['expectation']}:"
            f" {row['unexpected']:,} of {row['rows']:,}  ({row['judge']})"
        )


@quality.command()
def docs(
    out: Path = typer.Option(..., "--out", help="The folder that the pages are written to."),
    file: Path | None = typer.Argument(None, help="A file; default: newest arrival of events."),
    suite: str = SUITE,
) -> None:
    """Build Great Expectations' data docs of a batch: open the page that is printed."""
    from huntaze_pipeline.quality import judge, pages, sieve

    asked = _suite(suite)
    with _batch(file, asked) as (con, relation, _):
        prepared = sieve.prepared(con, relation, asked)
        frame = con.sql(f"select * from {prepared} limit {judge.SAMPLE}").pl()
    typer.echo(pages.build([(asked, frame)], out))


def _suite(name: str) -> "Suite":
    from huntaze_pipeline.clock import system_clock
    from huntaze_pipeline.errors import NotFoundError
    from huntaze_pipeline.quality import suite as suites

    folder = settings.load().models_dir
    path = Path(name) if name.endswith((".yaml", ".yml")) else suites.find(name, folder)
    if not path.is_file():
        known = ", ".join(p.stem for p in suites.every(folder))
        raise NotFoundError(f"there is no suite {name!r}; there are {known}")
    return suites.load(path).resolved({"now": system_clock()})


@contextmanager
def _batch(
    file: Path | None, asked: "Suite"
) -> "Iterator[tuple[DuckDBPyConnection, str, list[Result]]]":
    """Give a connection, the batch's relation in it, and what was wrong before it was one."""
    from huntaze_pipeline.local import stack
    from huntaze_pipeline.quality import files
    from huntaze_pipeline.warehouse import lake

    if file is not None:
        with lake.engine() as con:
            spoilt = [r for r in files.table(con, file, asked) if not r.success]
            yield con, "batch", spoilt
        return
    if asked.name != "events":
        raise typer.BadParameter(f"name a file for the suite {asked.name}")
    newest = (
        "(select * from lake.raw.events where arrival = (select max(arrival) from lake.raw.events))"
    )
    with (
        stack.services(settings.load(), need=("postgres",)) as ready,
        lake.connect(ready, read_only=True) as con,
    ):
        yield con, newest, []


def _tell(verdict: "Verdict", results: "list[Result]") -> None:
    some = (
        "" if verdict.judged == verdict.rows else f" (Great Expectations read {verdict.judged:,})"
    )
    for result in results:
        if not result.success:
            typer.echo(f"{result.severity}: {result.sentence}")
    for line in verdict.disputed:
        typer.echo(f"error: the gate and the library disagree on {line}")
    passed = sum(r.success for r in results)
    typer.echo(
        f"{passed} of {len(results)} expectations met by {verdict.rows:,} rows{some}", err=True
    )


def _document(verdict: "Verdict", results: "list[Result]") -> dict[str, object]:
    return {
        "rows": verdict.rows,
        "judged": verdict.judged,
        "results": [r.document() for r in results],
        "disputed": list(verdict.disputed),
    }
