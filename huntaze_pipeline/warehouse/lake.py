"""The lake: one DuckDB connection with the DuckLake attached as `lake`, open to many processes.

The catalog is in the PostgreSQL schema `lake` of DATABASE_URL's database, the data are Parquet
files under `settings.lake`. Extensions come from installed wheels; nothing is downloaded. What the
tables hold is in `raw` (facts as they came) and `models` (what is computed from them).
"""

import importlib
import os
import re
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TypeVar

import duckdb
import psycopg
from duckdb import DuckDBPyConnection
from sqlalchemy.engine import URL, make_url

from huntaze_pipeline.errors import WarehouseError
from huntaze_pipeline.settings import Settings
from huntaze_pipeline.sql import quoted
from huntaze_pipeline.store.session import url
from huntaze_pipeline.warehouse import raw

EXTENSIONS = ("icu", "ducklake", "postgres_scanner")
SCHEMAS = ("raw", "staging", "marts", "metrics", "audits")
_IN_FILES = ("staging", "marts", "metrics")
"""Schemas whose tables never keep a few rows in the catalog: for each table that does, whoever
reads it first reads the whole catalog as it was when the table was made, 50 ms. Raw tables were
made together, so that they cost it once, and most of what they get comes a few rows at a time."""
_LOCK = 0x4C414B45  # "LAKE": one first set-up at a time, whoever starts first
_READY = "ready_4"
"""A table that says the raw tables have the columns this version writes; renamed with them."""
_TRIES = 12
_CONFLICT = ("conflict", "concurrent", "serialize", "deadlock")

_WHOLE = ("//", "divide", "%", "mod")
_CHECKED = (
    'create temp macro "{name}"(a, b) as system.main."{name}"(a, case when b = 0 then'
    " error('division by zero: where nothing is meant, write nullif(x, 0)') else b end)"
)
"""Whole division by zero is NULL to DuckDB, which nobody could tell from a value that is not there.
(Dividing with `/` leaves an infinite number, and that is found.)"""

THREADS = min(os.cpu_count() or 2, 8)
"""Threads of a connection; several connections on one machine may want fewer."""

T = TypeVar("T")


@contextmanager
def connect(
    settings: Settings,
    *,
    read_only: bool = False,
    as_of: datetime | int | None = None,
) -> Iterator[DuckDBPyConnection]:
    """Open DuckDB with the lake attached as `lake`, time zone UTC; close it at the end.

    Several processes may write and read at once: each sees the last committed snapshot, and
    `write` repeats a transaction that met another one. The PostgreSQL database itself is attached
    as `ops`, read-only, seen through the machinery's role. With `as_of` (a snapshot's id, or an
    instant) the lake is shown as it was then, and cannot be written.

    Raises:
        WarehouseError: the catalog or the folder cannot be reached; says which and why.
    """
    address = make_url(url(settings))
    con = _engine(settings)
    try:
        _secret(con, address)
        if as_of is None:
            _attach(con, settings, address, read_only)
        else:
            _attach_past(con, as_of)
        yield con
    finally:
        con.close()


def write(
    con: DuckDBPyConnection, work: Callable[[], T], again: Callable[[], None] = lambda: None
) -> T:
    """Run `work` in one transaction of the lake; repeat it whole when another writer was faster.

    `work` must be repeatable: it may read and write through `con`, and nothing else. `again` is
    called before it is repeated.

    Raises:
        WarehouseError: it still conflicts after a dozen tries with growing pauses.
    """
    for attempt in range(_TRIES):
        con.execute("begin transaction")
        try:
            result = work()
            con.execute("commit")
            return result
        except duckdb.Error as error:
            _rollback(con)
            if not _conflicts(error):
                raise
            again()
            time.sleep(0.02 * 1.6**attempt)
        except BaseException:
            _rollback(con)
            raise
    raise WarehouseError(
        "the lake is written by too many at once: the transaction kept conflicting"
    )


def snapshot(con: DuckDBPyConnection) -> int:
    """Return the id of the newest snapshot of the lake, as this connection sees it."""
    row = con.execute("from ducklake_current_snapshot('lake')").fetchone()
    return int(row[0]) if row and row[0] is not None else 0


@contextmanager
def still(con: DuckDBPyConnection | None) -> Iterator[int | None]:
    """See one state of the lake throughout, whose snapshot is given; nothing is written to it.

    It is also looked up once only, which costs most.
    """
    if con is None:
        yield None
        return
    con.execute("begin")
    try:
        yield snapshot(con)
    finally:
        con.execute("rollback")


def engine() -> DuckDBPyConnection:
    """Open a DuckDB in memory, without a lake: time zones, no downloads; for tests of models."""
    return _opened(("icu",))


@contextmanager
def private(folder: Path) -> Iterator[DuckDBPyConnection]:
    """Open a lake of this process alone, its catalog in a file: for benchmarks and tests.

    There is no PostgreSQL behind it, hence no `ops` and no second process.
    """
    folder.mkdir(parents=True, exist_ok=True)
    con = _opened(("icu", "ducklake"))
    try:
        con.execute(
            f"attach {quoted(f'ducklake:{folder}/catalog.duckdb')} as lake"
            f" (data_path {quoted(f'{folder}/data')}, metadata_schema 'lake')"
        )
        _furnish(con)
        yield con
    finally:
        con.close()


_CONFIG: dict[str, str | bool | int | float | list[str]] = {
    "autoinstall_known_extensions": "false",
    "autoload_known_extensions": "false",
    "allow_persistent_secrets": "false",
    # Checking signatures hashes 100 MB, half a second a connection. The files come out of wheels
    # whose hashes were checked when they were installed, and `_opened` forbids all others.
    "allow_unsigned_extensions": "true",
}


def _opened(extensions: Sequence[str]) -> DuckDBPyConnection:
    """Open a DuckDB in memory with these extensions, and no others from then on."""
    con = duckdb.connect(config=_CONFIG | {"threads": str(THREADS)})
    for extension in extensions:
        _load(con, extension)
    con.execute("set allow_unsigned_extensions = false")
    con.execute("set timezone = 'UTC'")
    for name in _WHOLE:
        con.execute(_CHECKED.format(name=name))
    return con


def _load(con: DuckDBPyConnection, extension: str) -> None:
    """Load an extension from its installed wheel.

    Raises:
        WarehouseError: the wheel is missing or made for another DuckDB.
    """
    try:
        module = importlib.import_module(f"duckdb_extension_{extension}")
        folder = Path(str(module.__file__)).parent / "extensions" / f"v{duckdb.__version__}"
        con.execute(f"load {quoted(str(folder / f'{extension}.duckdb_extension'))}")
    except (ImportError, duckdb.Error) as error:
        raise WarehouseError(
            f"DuckDB {duckdb.__version__} cannot load its extension {extension} "
            f"(package duckdb-extension-{extension.replace('_', '-')}): {error}"
        ) from None


def _engine(settings: Settings) -> DuckDBPyConnection:
    spill = settings.root / "tmp"
    con = _opened(EXTENSIONS)
    con.execute(f"set memory_limit = '{_memory_mib()}MiB'")
    con.execute(f"set temp_directory = {quoted(str(spill))}")
    con.execute("set ducklake_max_retry_count = 50")
    return con


def _memory_mib() -> int:
    """Half of the machine's memory, at most 8 GiB: senders and servers live here too."""
    try:
        total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (ValueError, OSError):
        return 2048
    return max(512, min(total // 2, 8 << 30) >> 20)


def _secret(con: DuckDBPyConnection, address: URL) -> None:
    """Hand the address over as a secret, so that only this statement holds the password.

    What attaches the catalog names the secret, and so does what DuckDB says when it cannot.
    """
    parts = {
        "host": address.host or str(address.query.get("host", "127.0.0.1")),
        "port": str(address.port or 5432),
        "database": address.database or "postgres",
        "user": address.username or "postgres",
        "password": str(address.password or ""),
    }
    pairs = ", ".join(f"{name} {quoted(value)}" for name, value in parts.items() if value)
    con.execute(f"create secret lake_catalog (type postgres, {pairs})")


def _attach(con: DuckDBPyConnection, settings: Settings, address: URL, read_only: bool) -> None:
    try:
        if not _open(con, settings, read_only):
            _prepare(con, settings, address)
            if read_only:
                con.execute("detach lake")
                _open(con, settings, read_only)
        con.execute(
            "attach 'options=''-c role=huntaze_worker''' as ops"
            " (type postgres, secret lake_catalog, read_only)"
        )
    except (duckdb.Error, psycopg.Error, OSError) as error:
        place = f"{address.host}:{address.port}/{address.database}"
        reason = str(error).strip().splitlines()[0].replace(str(address.password or "\0"), "***")
        raise WarehouseError(
            f"cannot open the lake (catalog {place}, files {settings.lake}): {reason}"
        ) from None


def _attach_past(con: DuckDBPyConnection, as_of: datetime | int) -> None:
    """Attach the lake as it was; there is no looking at PostgreSQL's past, so no `ops`."""
    when = f"snapshot_version {as_of}"
    if isinstance(as_of, datetime):
        when = f"snapshot_time {quoted(as_of.astimezone(UTC).isoformat())}"
    options = "meta_secret 'lake_catalog', metadata_schema 'lake', create_if_not_exists false"
    try:
        con.execute(f"attach 'ducklake:postgres:' as lake ({options}, read_only, {when})")
    except duckdb.Error as error:
        raise WarehouseError(f"{_kept(con, options)}; nothing is kept of {as_of}") from error


def _kept(con: DuckDBPyConnection, options: str) -> str:
    """Say how far back one can look."""
    try:
        con.execute(f"attach 'ducklake:postgres:' as lake ({options}, read_only)")
        row = con.execute(
            "select min(snapshot_id), max(snapshot_id), min(snapshot_time)"
            " from ducklake_snapshots('lake')"
        ).fetchone()
    except duckdb.Error as error:
        return f"the lake cannot be opened ({line(error)})"
    first, last, since = row or (0, 0, None)
    return f"snapshots {first} to {last}, from {since:%Y-%m-%dT%H:%M:%SZ} on, are kept"


def absent(error: Exception) -> WarehouseError:
    """Say that a table is not there yet, when that is what the engine complains of."""
    named = re.search(r"Table with name (\S+) does not exist", str(error))
    what = f"has no table {named[1]} yet" if named else f"cannot be read: {line(error)}"
    return WarehouseError(f"the lake {what}; `huntaze models build` makes the tables")


def line(error: Exception) -> str:
    """Return the first line of what the engine says, without the statement."""
    return str(error).strip().splitlines()[0]


def _open(con: DuckDBPyConnection, settings: Settings, read_only: bool) -> bool:
    """Attach an existing lake; return False when it is not there or not complete."""
    mode = ", read_only" if read_only else ""
    try:
        con.execute(
            "attach 'ducklake:postgres:' as lake (meta_secret 'lake_catalog',"
            f" metadata_schema 'lake', create_if_not_exists false{mode})"
        )
    except duckdb.Error as error:
        if "Existing DuckLake" in str(error) and "does not exist" in str(error):
            return False
        raise
    try:  # asking for the list of tables would read all of them, a fifth of a second
        con.execute(f"select 1 from lake.raw.{_READY} limit 0")
    except duckdb.CatalogException:
        return False
    return True


def _prepare(con: DuckDBPyConnection, settings: Settings, address: URL) -> None:
    """Make the catalog, the schemas and the raw tables once; two first users take turns."""
    folder = settings.lake
    if "://" not in folder:
        Path(folder).mkdir(parents=True, exist_ok=True)
    with psycopg.connect(
        address.set(drivername="postgresql").render_as_string(hide_password=False)
    ) as guard:
        guard.execute("select pg_advisory_lock(%s)", (_LOCK,))
        guard.commit()
        con.execute("detach database if exists lake")
        if _open(con, settings, read_only=False):
            return
        con.execute("detach database if exists lake")
        con.execute(
            "attach 'ducklake:postgres:' as lake (meta_secret 'lake_catalog',"
            f" metadata_schema 'lake', data_path {quoted(folder)})"
        )
        _furnish(con)


def _furnish(con: DuckDBPyConnection) -> None:
    """Make what is always there; a schema has to be there before it has settings."""
    write(con, lambda: _schemas(con))
    write(con, lambda: _tables(con))


def _schemas(con: DuckDBPyConnection) -> None:
    for schema in SCHEMAS:
        con.execute(f"create schema if not exists lake.{schema}")


def _tables(con: DuckDBPyConnection) -> None:
    for schema in _IN_FILES:
        con.execute(
            f"call lake.set_option('data_inlining_row_limit', 0, schema => {quoted(schema)})"
        )
    raw.create(con)
    con.execute(
        "create table if not exists lake.audits.failures"
        " (audit varchar, severity varchar, bad bigint, number bigint, row varchar)"
    )
    con.execute(f"create table if not exists lake.raw.{_READY} (since varchar)")


def _rollback(con: DuckDBPyConnection) -> None:
    try:
        con.execute("rollback")
    except duckdb.Error:
        return  # the engine had already ended the transaction


def _conflicts(error: duckdb.Error) -> bool:
    text = str(error).lower()
    return any(word in text for word in _CONFLICT)
