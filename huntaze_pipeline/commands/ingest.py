"""`huntaze ingest` and `huntaze quarantine`: files in, and the rows that could not be taken."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from huntaze_pipeline import settings

if TYPE_CHECKING:
    from datetime import timedelta

    from duckdb import DuckDBPyConnection

    from huntaze_pipeline.events.importer import Imported, Importer
    from huntaze_pipeline.events.mapping import Mapping

FILES = typer.Argument(
    None, help="Paths, globs, s3://bucket/key or package:name/file; default: the mapping's `file`."
)
MAPPING = typer.Option(..., "--mapping", "-m", help="YAML: which column means which field.")
CREATOR = typer.Option(..., "--creator", "-c", help="Whose fans these are.")
SHIFT = typer.Option("0d", help="Added to every time of the files, such as 3255d or 52w.")
SET = typer.Option([], "--set", help="name=value for ${name} in the mapping.")
JSON = typer.Option(False, "--json", help="Print one JSON document.")
IMPORT = typer.Option(None, "--import", help="Rows of one import only.")

_ALL = 10_000_000

quarantine = typer.Typer(help="Rows that could not be taken.", no_args_is_help=True)


def register(app: typer.Typer) -> None:
    """Add this room's commands."""
    app.command()(ingest)
    app.add_typer(quarantine, name="quarantine")


def ingest(
    files: list[str] = FILES,
    mapping: Path = MAPPING,
    creator: str = CREATOR,
    shift: str = SHIFT,
    set_: list[str] = SET,
    as_json: bool = JSON,
) -> None:
    """Take files in: events to the lake, fans, campaigns and costs to the store.

    The same file with the same mapping changes nothing. Bad rows go to the quarantine, each with
    its reason; the rest is kept.
    """
    from huntaze_pipeline.events import mapping as mappings

    read = mappings.load(mapping, _pairs(set_))
    with _importer() as (importer, show):
        done = importer.ingest(files or [], read, creator, shift=_days(shift))
        show()
    _report(done, read, creator, as_json)


@quarantine.command("list")
def list_(
    creator: str = CREATOR,
    import_id: str | None = IMPORT,
    state: str = typer.Option("open", help="open, replayed or dropped."),
    limit: int = typer.Option(100, min=1, help="Rows at most."),
    as_json: bool = JSON,
) -> None:
    """Show quarantined rows: id, import, file:row, reason."""
    import json
    from dataclasses import asdict

    from huntaze_pipeline.events import quarantine as held
    from huntaze_pipeline.local import stack
    from huntaze_pipeline.store.session import Store

    with (
        stack.services(settings.load(), need=("postgres",)) as ready,
        Store(ready).tenant(creator) as connection,
    ):
        rows = held.listed(connection, import_id=import_id, state=state, limit=limit)
    if as_json:
        typer.echo(json.dumps([asdict(row) for row in rows]))
        return
    for row in rows:
        typer.echo(f"{row.id}  {row.import_id}  {row.file}:{row.row}  {row.reason}")
    typer.echo(f"{len(rows)} rows {state}", err=True)


@quarantine.command()
def replay(
    creator: str = CREATOR,
    mapping: Path | None = typer.Option(
        None, "--mapping", "-m", help="YAML: which column means which field; not for the inbox."
    ),
    import_id: str = typer.Option(
        ..., "--import", help="The import whose rows are tried again, or inbox."
    ),
    shift: str = SHIFT,
    set_: list[str] = typer.Option(
        [], "--set", help="name=value for ${name} in the mapping; of the inbox, field=value."
    ),
    row: list[int] = typer.Option([], help="Of the inbox: these rows only, by their ids."),
    rows: Path | None = typer.Option(
        None, help="Of the inbox: `quarantine list --json`, with the raw values corrected."
    ),
    as_json: bool = JSON,
) -> None:
    """Try open rows again: a file's with a corrected mapping, live events with corrected fields.

    Or as they are, after the suite or what they refer to was mended. What fails again stays, with
    the new reason.
    """
    if import_id == "inbox":
        _replay_inbox(creator, _pairs(set_), row, rows, as_json)
        return
    if mapping is None:
        raise typer.BadParameter("a file's rows need --mapping")
    _replay_file(creator, mapping, import_id, shift, set_, as_json)


def _replay_inbox(
    creator: str, changes: dict[str, str], ids: list[int], path: Path | None, as_json: bool
) -> None:
    import json
    from dataclasses import asdict

    from huntaze_pipeline.warehouse import replaying

    corrected = replaying.corrections(path) if path else {}
    with _importer() as (importer, show):
        done = replaying.inbox(
            importer.store, importer.con, creator, ids=ids or None, changes=changes,
            corrected=corrected,
        )  # fmt: skip
        show()
    if as_json:
        typer.echo(json.dumps(asdict(done)))
        return
    typer.echo(f"{done.new:,} new events, {done.known:,} known, {done.held:,} still held back")


def _replay_file(
    creator: str, mapping: Path, import_id: str, shift: str, set_: list[str], as_json: bool
) -> None:
    from tempfile import TemporaryDirectory

    from huntaze_pipeline.events import mapping as mappings
    from huntaze_pipeline.events import quarantine as held

    read = mappings.load(mapping, _pairs(set_))
    with _importer() as (importer, show), TemporaryDirectory() as folder:
        with importer.store.tenant(creator) as connection:
            rows = held.listed(connection, import_id=import_id, limit=_ALL)
        path, ids = held.export(rows, Path(folder))
        done = importer.ingest([str(path)], read, creator, shift=_days(shift)) if ids else []
        with importer.store.tenant(creator) as connection:
            held.close(connection, ids, "replayed")
        show()
    _report(done, read, creator, as_json)
    if len(ids) < len(rows):
        typer.echo(f"{len(rows) - len(ids)} rows are no rows of a table; they stay", err=True)


@quarantine.command()
def drop(
    creator: str = CREATOR,
    import_id: str | None = IMPORT,
    row: list[int] = typer.Option([], help="Ids of rows, as `list` shows them."),
) -> None:
    """Give rows up: they stay on record as dropped."""
    from huntaze_pipeline.events import quarantine as held
    from huntaze_pipeline.local import stack
    from huntaze_pipeline.store.session import Store

    if not row and import_id is None:
        raise typer.BadParameter("say which: --row ID or --import ID")
    with (
        stack.services(settings.load(), need=("postgres",)) as ready,
        Store(ready).tenant(creator) as connection,
    ):
        ids = row or [r.id for r in held.listed(connection, import_id=import_id, limit=_ALL)]
        typer.echo(f"{held.close(connection, ids, 'dropped')} rows dropped")


@contextmanager
def _importer() -> "Iterator[tuple[Importer, Callable[[], None]]]":
    """Open the services and the lake; the progress bar is for terminals only."""
    from huntaze_pipeline.clock import system_clock
    from huntaze_pipeline.events.importer import Importer
    from huntaze_pipeline.local import stack
    from huntaze_pipeline.store import migrate
    from huntaze_pipeline.store.session import Store
    from huntaze_pipeline.warehouse import lake

    with stack.services(settings.load(), need=("postgres",)) as ready:
        store = Store(ready)
        migrate.upgrade(store)
        with lake.connect(ready) as con, _Bar(con) as bar:
            importer = Importer(
                store, con, lake.write, system_clock, ready.aws_endpoint_url, bar.show
            )
            yield importer, bar.stop


class _Bar:
    """How far the current file is: its phases, and within one what DuckDB says of its query."""

    PHASES = ("hashing", "reading", "writing")

    def __init__(self, con: "DuckDBPyConnection") -> None:
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn
        from rich.progress import TimeElapsedColumn as Elapsed

        console = Console(stderr=True)
        columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), Elapsed())
        self._bar = Progress(
            *columns, console=console, transient=True, disable=not console.is_terminal
        )
        self._task = self._bar.add_task("opening the lake", total=len(self.PHASES))
        self._con, self._phase, self._over = con, 0, threading.Event()
        con.execute("set enable_progress_bar = true; set enable_progress_bar_print = false")

    def __enter__(self) -> "_Bar":
        self._bar.start()
        threading.Thread(target=self._follow, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def show(self, file: str, doing: str) -> None:
        """Begin a phase of a file."""
        self._phase = self.PHASES.index(doing) if doing in self.PHASES else self._phase
        self._bar.update(self._task, description=f"{doing} {file}", completed=self._phase)

    def stop(self) -> None:
        """Take the bar away, so that what is printed next stands alone."""
        self._over.set()
        self._bar.stop()

    def _follow(self) -> None:
        """Ask DuckDB ten times a second how much of the running query is done (-1: unknown)."""
        while not self._over.wait(0.1):
            share = max(0.0, self._con.query_progress()) / 100
            self._bar.update(self._task, completed=self._phase + min(share, 1.0))


def _report(done: "list[Imported]", mapping: "Mapping", creator: str, as_json: bool) -> None:
    import json
    from dataclasses import asdict

    if as_json:
        typer.echo(json.dumps([asdict(item) for item in done]))
        return
    for item in done:
        if item.state == "known":
            typer.echo(f"{item.file}: taken before, nothing changed ({item.rows:,} rows)")
            continue
        rate = item.rows / max(item.seconds, 0.001)
        typer.echo(
            f"{item.file}: {item.rows:,} rows read, {item.kept:,} kept, {item.known:,} known,"
            f" {item.rejected:,} rejected; {item.made:,} new {mapping.kind}"
            f" ({item.seconds:.1f} s, {rate:,.0f} rows/s)"
        )
        if item.rejected:
            see = f"huntaze quarantine list --creator {creator} --import {item.id}"
            typer.echo(f"  see: {see}", err=True)


def _pairs(given: list[str]) -> dict[str, str]:
    bad = [text for text in given if "=" not in text]
    if bad:
        raise typer.BadParameter(f"{bad[0]!r}: write --set name=value")
    return dict(text.split("=", 1) for text in given)


def _days(text: str) -> "timedelta":
    from huntaze_pipeline.clock import duration

    sign, rest = (-1, text[1:]) if text.startswith("-") else (1, text)
    try:
        return sign * duration(rest)
    except ValueError as error:
        raise typer.BadParameter(f"--shift: {error}") from None
