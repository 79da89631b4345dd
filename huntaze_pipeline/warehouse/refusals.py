"""What DuckDB raises when it cannot ask a question: the question's own fault, not the server's."""

import duckdb

FAULTY = (
    duckdb.BinderException, duckdb.CatalogException, duckdb.ParserException, duckdb.DataError,
    duckdb.InvalidInputException,
)  # fmt: skip
"""A question is wrong, or meets a value that it cannot work with."""


def told(error: Exception) -> str:
    """Return what a person needs of DuckDB's words."""
    return f"cannot be asked: {str(error).splitlines()[0]}"
