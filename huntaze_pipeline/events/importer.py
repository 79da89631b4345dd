"""A file in: taken once, checked row by row, landed whole; a re-run completes a crash half-way.

The row in `imports` is the claim and the receipt. Events land in the lake first and are told apart
by their ids, so repeating that step adds nothing; the receipt is written with the quarantine.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Protocol, TypeVar

import duckdb
from duckdb import DuckDBPyConnection
from sqlalchemy import Connection, text

from huntaze_pipeline import hashing
from huntaze_pipeline.clock import Clock
from huntaze_pipeline.errors import ImportFileError, NotFoundError, Problem
from huntaze_pipeline.events import arrival, landing, quarantine, sifting, source, staging
from huntaze_pipeline.events.landing import Landed
from huntaze_pipeline.events.mapping import Mapping
from huntaze_pipeline.events.rows import Reading
from huntaze_pipeline.events.source import Source
from huntaze_pipeline.events.staging import Staged
from huntaze_pipeline.quality import history
from huntaze_pipeline.store.session import Store

T = TypeVar("T")
Progress = Callable[[str, str], None]
"""Called with (file, what is being done)."""
_START = """
insert into imports (creator_id, id, path, content_hash, mapping_hash, kind, state, started_at)
values (:creator, :id, :path, :content, :mapping, :kind, 'running', :now)
on conflict (creator_id, content_hash, mapping_hash) do update set
    state = 'running', error = null, started_at = excluded.started_at, finished_at = null
"""
_DONE = """
update imports set state = 'done', rows = :rows, kept = :kept, known = :known,
    rejected = :rejected, finished_at = :now, error = null
where id = :id
"""


class Write(Protocol):
    """Runs work in one repeatable lake transaction: `warehouse.lake.write`."""

    def __call__(self, con: DuckDBPyConnection, work: Callable[[], T]) -> T:
        """Run it, commit, return its result."""
        ...


@dataclass(frozen=True, slots=True)
class Imported:
    """What became of one file, counted in source rows."""

    id: str
    file: str
    state: str
    """done | known (the same file had been taken with the same mapping before)"""
    rows: int
    kept: int
    known: int
    rejected: int
    made: int
    """New events, fans, campaigns or costs."""
    seconds: float


@dataclass(frozen=True, slots=True)
class Importer:
    """Everything an import works with. `con` has the lake as `lake` and PostgreSQL as `ops`."""

    store: Store
    con: DuckDBPyConnection
    write: Write
    clock: Clock
    endpoint_url: str | None = None
    """Where S3 is, when it is not Amazon's."""
    progress: Progress = lambda file, doing: None

    def ingest(
        self,
        files: Sequence[str],
        mapping: Mapping,
        creator_id: str,
        *,
        shift: timedelta = timedelta(),
    ) -> list[Imported]:
        """Take files in, one after the other.

        `shift` is added to every time of the files (wall-clock days). A file that was taken before
        with the same mapping and shift is not read again.

        Raises:
            ImportFileError: a file or column is missing or unreadable; earlier files stay taken.
            NotFoundError: there is no such creator.
        """
        names = list(files) or ([mapping.file] if mapping.file else [])
        _ready(self.store, creator_id, names, shift)
        with source.sources(names, self.endpoint_url) as given:
            return [self._one(file, mapping, creator_id, shift.days) for file in given]

    def _one(self, file: Source, mapping: Mapping, creator_id: str, shift: int) -> Imported:
        started = time.monotonic()
        self.progress(file.name, "hashing")
        content = source.digest(file)
        how = hashing.content([mapping.digest, shift])
        import_id = str(hashing.identifier(creator_id, content, how))
        with _claim(self.store, import_id):
            before = _receipt(self.store, creator_id, import_id)
            if before is not None and before["state"] == "done":
                return _known(import_id, file, before, started)
            receipt = {
                "creator": creator_id, "id": import_id, "path": file.name, "content": content,
                "mapping": how, "kind": mapping.kind, "now": self.clock(),
            }  # fmt: skip
            with self.store.tenant(creator_id) as connection:
                connection.execute(text(_START), receipt)
            try:
                return self._take(file, mapping, receipt, shift, started)
            except Exception as error:
                _fail(self.store, creator_id, import_id, str(error), self.clock)
                raise

    def _take(
        self, file: Source, mapping: Mapping, receipt: dict[str, Any], shift: int, started: float
    ) -> Imported:
        creator, import_id = str(receipt["creator"]), str(receipt["id"])
        self.progress(file.name, "reading")
        table = source.table(self.con, file)
        suite = sifting.standard(mapping)
        reading = Reading(table, mapping, creator, self.clock(), shift, file.name, suite)
        staged = self._staged(reading, file.name)
        self.progress(file.name, "writing")
        landed = self._events(creator, import_id) if mapping.events else None
        with self.store.tenant(creator) as connection:
            if landed is None:
                landed = _records(connection, self.con, creator, mapping, import_id)
            quarantine.store(
                connection, self.con, table,
                creator_id=creator, import_id=import_id, file=file.name,
            )  # fmt: skip
            about = history.Subject(creator, suite.name, f"import:{import_id}", "gate")
            results = history.held(suite, staged.sifted, staged.rows)
            history.keep(connection, about, results, self.clock())
            connection.execute(text(_DONE), _counts(staged, landed, import_id, self.clock))
        return Imported(
            import_id, file.name, "done", staged.rows, landed.kept, landed.known,
            staged.rejected, landed.made, time.monotonic() - started,
        )  # fmt: skip

    def _staged(self, reading: Reading, name: str) -> Staged:
        try:
            return staging.stage(self.con, reading)
        except duckdb.Error as error:
            reason = str(error).strip().splitlines()[0]
            raise ImportFileError([Problem(name, f"cannot be read: {reason}")]) from None

    def _events(self, creator_id: str, import_id: str) -> Landed:
        received = self.clock().isoformat()
        with arrival.turn(self.store):
            return self.write(
                self.con, lambda: landing.events(self.con, creator_id, import_id, received)
            )


def _records(
    connection: Connection, con: DuckDBPyConnection, creator: str, mapping: Mapping, import_id: str
) -> Landed:
    if mapping.kind == "fans":
        return landing.fans(connection, con, creator, mapping)
    if mapping.kind == "campaigns":
        return landing.campaigns(connection, con, creator, mapping, import_id)
    return landing.costs(connection, con, creator, mapping, import_id)


def _ready(store: Store, creator_id: str, names: Sequence[str], shift: timedelta) -> None:
    if not names:
        raise ImportFileError([Problem("files", "name at least one (or `file:` in the mapping)")])
    if shift % timedelta(days=1):
        raise ImportFileError([Problem("shift", "must be whole days, such as 3255d or 52w")])
    with store.tenant(creator_id) as connection:
        if connection.scalar(text("select 1 from creators where id = :id"), {"id": creator_id}):
            return
    raise NotFoundError(f"no creator {creator_id!r}: add one with `huntaze creators add`")


@contextmanager
def _claim(store: Store, import_id: str) -> Iterator[None]:
    """Hold one file for this process; another one with the same file waits, then finds it taken."""
    key = int(import_id.replace("-", "")[:15], 16)
    with store.worker() as connection:
        connection.execute(text("select pg_advisory_xact_lock(:key)"), {"key": key})
        yield


def _receipt(store: Store, creator_id: str, import_id: str) -> dict[str, Any] | None:
    with store.tenant(creator_id) as connection:
        row = connection.execute(
            text("select state, rows, kept, known, rejected from imports where id = :id"),
            {"id": import_id},
        ).mappings()
        before = row.first()
        return dict(before) if before else None


def _known(import_id: str, file: Source, before: dict[str, Any], started: float) -> Imported:
    good = before["kept"] + before["known"]
    return Imported(
        import_id, file.name, "known", before["rows"], 0, good, before["rejected"], 0,
        time.monotonic() - started,
    )  # fmt: skip


def _counts(staged: Staged, landed: Landed, import_id: str, clock: Clock) -> dict[str, Any]:
    return {
        "id": import_id, "rows": staged.rows, "kept": landed.kept, "known": landed.known,
        "rejected": staged.rejected, "now": clock(),
    }  # fmt: skip


def _fail(store: Store, creator_id: str, import_id: str, why: str, clock: Clock) -> None:
    with store.tenant(creator_id) as connection:
        connection.execute(
            text(
                "update imports set state = 'failed', error = :why, finished_at = :now"
                " where id = :id"
            ),
            {"why": why[:2000], "id": import_id, "now": clock()},
        )
