"""Files that come in: finding them, naming their content, and reading them as rows of a table.

Every reader numbers the rows as they lie in the file (1 is the first data row) and hands lines that
cannot be read at all to the quarantine. Meaning comes later (`projection`).
"""

import hashlib
import importlib.util
import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from glob import glob
from pathlib import Path
from tempfile import TemporaryDirectory

import duckdb
from duckdb import DuckDBPyConnection

from huntaze_pipeline.errors import ImportFileError, Problem

CSV = (".csv", ".tsv", ".txt", ".csv.gz")
JSON = (".jsonl", ".ndjson", ".json", ".jsonl.gz", ".ndjson.gz")
PARQUET = (".parquet", ".pq")
REPLAY = ".rows.jsonl"
"""Rows that were held back, written by `quarantine.export` with the file and row they came from."""


@dataclass(frozen=True, slots=True)
class Source:
    """One file, on this machine."""

    name: str
    """As it was asked for; shown in messages and kept in `imports`."""
    path: Path


@dataclass(frozen=True, slots=True)
class Table:
    """A file, readable as the relation `sql`; every row has `_row`."""

    sql: str
    columns: dict[str, str]
    """Name: DuckDB type. Empty for JSON Lines, whose columns are paths into `_line`."""
    rejects: tuple[tuple[int, str, str], ...] = ()
    """Rows that are none: number, reason, text."""

    @property
    def json(self) -> bool:
        """Whether columns are paths into a JSON document."""
        return not self.columns


@contextmanager
def sources(names: Sequence[str], endpoint_url: str | None = None) -> Iterator[list[Source]]:
    """Find the files behind paths, globs, `package:name/file` and `s3://bucket/key`.

    Objects from S3 are downloaded into a folder that lives as long as the context.

    Raises:
        ImportFileError: some name leads to no file; all of them are named.
    """
    with TemporaryDirectory(prefix="huntaze-import-") as folder:
        listed: list[Source] = []
        problems: list[Problem] = []
        for number, name in enumerate(names):
            try:
                listed += _find(name, Path(folder) / str(number), endpoint_url)
            except FileNotFoundError as error:
                problems.append(Problem(name, str(error)))
        if problems:
            raise ImportFileError(problems)
        yield listed


def digest(source: Source) -> str:
    """Return the SHA-256 of a file's bytes.

    Raises:
        ImportFileError: it cannot be read.
    """
    try:
        with source.path.open("rb") as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest()
    except OSError as error:
        raise ImportFileError(
            [Problem(source.name, f"cannot be read: {error.strerror or error}")]
        ) from None


def table(con: DuckDBPyConnection, source: Source) -> Table:
    """Make a file readable as a table.

    Raises:
        ImportFileError: it is truncated, empty, or not of the kind its name says.
    """
    name = source.path.name.lower()
    try:
        if name.endswith(PARQUET):
            return _parquet(con, source.path)
        if name.endswith(CSV):
            return _csv(con, source.path)
        if name.endswith(REPLAY):
            return _replay(con, source.path)
        if name.endswith(JSON):
            return _json(con, source.path)
    except duckdb.Error as error:
        reason = str(error).strip().splitlines()[0]
        raise ImportFileError([Problem(source.name, f"cannot be read: {reason}")]) from None
    known = ", ".join((*PARQUET, *CSV, *JSON))
    raise ImportFileError([Problem(source.name, f"has no known ending; one of {known}")])


def quoted(text: str) -> str:
    """Return a text as an SQL literal."""
    return "'" + text.replace("'", "''") + "'"


def identifier(name: str) -> str:
    """Return a name as an SQL identifier."""
    return '"' + name.replace('"', '""') + '"'


def _find(name: str, folder: Path, endpoint_url: str | None) -> list[Source]:
    if name.startswith("s3://"):
        return _download(name, folder, endpoint_url)
    if name.startswith("package:"):
        return [Source(name, _packaged(name))]
    path = Path(name).expanduser()
    if path.is_file():
        return [Source(_origin(path) if name.endswith(REPLAY) else name, path)]
    if path.is_dir():
        raise FileNotFoundError("is a folder; name files, or a glob such as folder/*.parquet")
    matches = sorted(glob(str(path), recursive=True))  # noqa: PTH207  (absolute and relative patterns)
    if not matches:
        raise FileNotFoundError("no such file")
    return [Source(match, Path(match)) for match in matches if Path(match).is_file()]


def _origin(path: Path) -> str:
    """The file that held-back rows came from: what people look for them in."""
    try:
        with path.open(encoding="utf-8") as stream:
            line = stream.readline()
        return str(json.loads(line)["file"]) if line else str(path)
    except (ValueError, TypeError, KeyError):
        why = f"holds no rows that were held back: give it a name that does not end in {REPLAY}"
        raise FileNotFoundError(why) from None


def _packaged(name: str) -> Path:
    """Find `package:some_package/data/file` without importing the package."""
    package, _, inside = name.removeprefix("package:").partition("/")
    spec = importlib.util.find_spec(package) if package.isidentifier() else None
    if spec is None or not spec.submodule_search_locations:
        raise FileNotFoundError(f"the Python package {package!r} is not installed")
    path = Path(next(iter(spec.submodule_search_locations))) / inside
    if not path.is_file():
        raise FileNotFoundError(f"the package {package!r} holds no file {inside!r}")
    return path


def _download(name: str, folder: Path, endpoint_url: str | None) -> list[Source]:
    import boto3
    from botocore.exceptions import BotoCoreError, ClientError

    bucket, _, key = name.removeprefix("s3://").partition("/")
    if not bucket or not key:
        raise FileNotFoundError("write s3://bucket/key")
    folder.mkdir(parents=True)
    target = folder / Path(key).name
    try:
        boto3.client("s3", endpoint_url=endpoint_url).download_file(bucket, key, str(target))
    except (BotoCoreError, ClientError) as error:
        raise FileNotFoundError(f"cannot be fetched from S3: {error}") from None
    return [Source(name, target)]


def _parquet(con: DuckDBPyConnection, path: Path) -> Table:
    reader = f"read_parquet({quoted(str(path))}, file_row_number = true)"
    columns = _described(con, reader)
    columns.pop("file_row_number")
    return Table(
        f"(select * exclude (file_row_number), file_row_number + 1 as _row from {reader})", columns
    )


def _csv(con: DuckDBPyConnection, path: Path) -> Table:
    """Read text columns; a line with the wrong number of fields is rejected, not guessed at."""
    options = "all_varchar = true, header = true, store_rejects = true, rejects_limit = 0"
    reader = f"read_csv({quoted(str(path))}, {options})"
    con.execute("drop table if exists reject_errors; drop table if exists reject_scans")
    columns = _described(con, reader)
    con.execute(
        "create or replace temp table _csv as"
        f" select row_number() over () as _seen, * from {reader}"
    )
    rejects = con.execute(
        "select line - 1, min(error_message), any_value(csv_line) from reject_errors"
        " group by line order by line"
    ).fetchall()
    rows = tuple((int(line), str(why).splitlines()[0], str(raw)) for line, why, raw in rejects)
    return Table(f"(select * exclude (_seen), {_skipping(rows)} as _row from _csv)", columns, rows)


def _skipping(rejects: Sequence[tuple[int, str, str]]) -> str:
    """Number rows as in the file although the rejected ones are not among them."""
    if not rejects:
        return "_seen"
    lines = ", ".join(str(line - k) for k, (line, _, _) in enumerate(rejects))
    return f"_seen + len(list_filter([{lines}], x -> x <= _seen))"


def _json(con: DuckDBPyConnection, path: Path) -> Table:
    """Read one JSON object a line; a line that is none is rejected and the rest is kept."""
    reader = (
        f"read_csv({quoted(str(path))}, columns = {{'_line': 'VARCHAR'}}, header = false,"
        " delim = chr(1), quote = '', escape = '', auto_detect = false,"
        " max_line_size = 16777216)"
    ).replace("chr(1)", "'\x01'")
    con.execute(
        f"create or replace temp table _json as"
        f" select row_number() over () as _row, _line from {reader}"
    )
    good = "case when json_valid(_line) then json_type(_line) = 'OBJECT' else false end"
    rejects = con.execute(
        f"select _row, _line from _json where not ({good}) and trim(coalesce(_line, '')) <> ''"
        " order by _row"
    ).fetchall()
    rows = tuple((int(row), "is no JSON object", str(line)) for row, line in rejects)
    return Table(f"(select _row, _line from _json where {good})", {}, rows)


def _replay(con: DuckDBPyConnection, path: Path) -> Table:
    """Read quarantined rows as the table they came from: the same ids, the same row numbers."""
    lines = _json(con, path).sql
    row = con.execute(f"select json_keys(_line, '$.raw') from {lines} limit 1").fetchone()
    names = [str(name) for name in row[0]] if row else []
    columns = ", ".join(
        f"json_extract_string(_line, {quoted('$.raw.' + identifier(name))}) as {identifier(name)}"
        for name in names
    )
    whole = f"(select cast(_line ->> '$.row' as bigint) as _row, {columns} from {lines})"
    return Table(whole, {} if names == ["_line"] else dict.fromkeys(names, "VARCHAR"))


def _described(con: DuckDBPyConnection, reader: str) -> dict[str, str]:
    rows = con.execute(f"describe select * from {reader}").fetchall()
    return {str(row[0]): str(row[1]) for row in rows}
