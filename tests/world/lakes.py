"""Lakes for tests: made once, and as new again for each.

To make a lake is to make a hundred tables, one after the other through DuckDB: more work than most
tests do in it. So each database has one put aside; who would make a lake takes that, and it goes
back, emptied, with the database. Other processes make their own.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest
from duckdb import DuckDBPyConnection
from psycopg import sql
from sqlalchemy.engine import URL

from huntaze_pipeline.settings import Settings
from huntaze_pipeline.warehouse import lake

ASIDE = "lake_aside"
TABLES = """
    select relname, pg_relation_size(oid) > 0 from pg_class
    where relnamespace = 'lake'::regnamespace and relkind = 'r'
"""
TAKE = f"""
    do $$ begin
        perform pg_advisory_xact_lock(hashtext('{ASIDE}'));
        if to_regnamespace('lake') is null and to_regnamespace('{ASIDE}') is not null then
            alter schema {ASIDE} rename to lake;
            update lake.ducklake_metadata set value = current_setting('lakes.folder')
                where key = 'data_path';
        end if;
    end $$
"""
_prepare = lake._prepare


class Lakes:
    """Knows what a lake is like that nobody has used."""

    def __init__(self, settings: Settings) -> None:
        with lake.connect(settings):
            pass
        with _opened(settings) as connection:
            self._rows = {
                name: _read(connection, name) if filled else b""
                for name, filled in connection.execute(TABLES).fetchall()
            }
            connection.execute(f"alter schema lake rename to {ASIDE}")

    def put_back(self, connection: psycopg.Connection) -> None:
        """Make the lake that was taken as new, and put it aside again."""
        there = "select to_regnamespace('lake') is not null and to_regnamespace(%s) is null"
        if connection.execute(there, [ASIDE]).fetchone() != (True,):
            return
        for name, filled in connection.execute(TABLES).fetchall():
            if name not in self._rows:
                connection.execute(_about("drop table {}", name))
            elif filled:
                connection.execute(_about("delete from {}", name))
                _write(connection, name, self._rows[name])
        connection.execute(f"alter schema lake rename to {ASIDE}")


@contextmanager
def lent() -> Iterator[None]:
    """Have those of this process taken from where they are put aside."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(lake, "_prepare", _taken)
        yield


@contextmanager
def made() -> Iterator[None]:
    """Have them made after all."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(lake, "_prepare", _prepare)
        yield


def _taken(con: DuckDBPyConnection, settings: Settings, address: URL) -> None:
    with _opened(settings) as connection:
        connection.execute("select set_config('lakes.folder', %s, true)", [f"{settings.lake}/"])
        connection.execute(TAKE)
    Path(settings.lake).mkdir(parents=True, exist_ok=True)
    con.execute("detach database if exists lake")
    if not lake._open(con, settings, read_only=False):
        _prepare(con, settings, address)


def _opened(settings: Settings) -> psycopg.Connection:
    assert settings.database_url is not None
    return psycopg.connect(settings.database_url.get_secret_value())


def _read(connection: psycopg.Connection, name: str) -> bytes:
    with connection.cursor() as cursor, cursor.copy(_about("copy {} to stdout", name)) as copy:
        return b"".join(copy)


def _write(connection: psycopg.Connection, name: str, rows: bytes) -> None:
    if rows:
        with connection.cursor() as cursor, cursor.copy(_about("copy {} from stdin", name)) as copy:
            copy.write(rows)


def _about(statement: str, name: str) -> sql.Composed:
    return sql.SQL(statement).format(sql.Identifier("lake", name))
