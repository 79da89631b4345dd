"""The normal form of an address: by it lists, identities and messages know the same recipient."""

from huntaze_pipeline.sql import quoted

_WHITE = "".join(sign for sign in map(chr, range(0x3001)) if sign.isspace())
"""What `strip` takes away; PostgreSQL takes away blanks alone unless it is told."""


def normal(address: str) -> str:
    """Return an address as it is compared: trimmed, lower case."""
    return address.strip().lower()


def sql(column: str) -> str:
    """Return PostgreSQL's expression for the normal form of a column."""
    return f"lower(btrim({column}, {quoted(_WHITE)}))"
