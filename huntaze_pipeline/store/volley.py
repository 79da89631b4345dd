"""Several statements to PostgreSQL in one round trip.

A round of the live loop has two dozen statements, and on a busy machine each waits longer for its
turn than it works. Those that do not need each other's answers are sent one behind the other
(libpq's pipeline mode); the server runs them in this order, as if they had been sent one by one.

Belongs here: sending them. SQLAlchemy has no such mode, so they go to its driver, and errors come
back as SQLAlchemy's.
"""

from collections.abc import Mapping
from functools import cache
from typing import Any

import psycopg
from psycopg.rows import namedtuple_row
from sqlalchemy import Connection, Dialect, TextClause
from sqlalchemy.exc import DBAPIError

Question = tuple[TextClause, Mapping[str, Any]]
"""A statement and its values by name."""
Rows = list[Any]
"""Named tuples, so columns have names of their own; none where a statement returns no rows."""


def ask(connection: Connection, *questions: Question) -> list[Rows]:
    """Run statements of a transaction, in order; return the rows of each.

    Args:
        connection: with a transaction that has begun.
        questions: none of which needs another's answer.

    Raises:
        DBAPIError: one failed; those behind it were not run.
    """
    driver: psycopg.Connection[Any] = connection.connection.driver_connection  # type: ignore[assignment]
    cursors = []
    try:
        with driver.pipeline():
            for statement, values in questions:
                cursor = driver.cursor(row_factory=namedtuple_row)
                cursors.append(cursor.execute(_written(statement, connection.dialect), values))
        return [cursor.fetchall() if cursor.description else [] for cursor in cursors]
    except psycopg.Error as error:
        raise DBAPIError.instance(
            None, None, error, psycopg.Error, connection_invalidated=driver.closed,
            dialect=connection.dialect,
        ) from error  # fmt: skip


@cache
def _written(statement: TextClause, dialect: Dialect) -> bytes:
    """Return a statement as the driver takes it."""
    return str(statement.compile(dialect=dialect)).encode()
