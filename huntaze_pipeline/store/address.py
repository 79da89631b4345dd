"""The normal form of an address: by it lists, identities and messages know the same recipient."""


def normal(address: str) -> str:
    """Return an address as it is compared: trimmed, lower case."""
    return address.strip().lower()


def sql(column: str) -> str:
    """Return PostgreSQL's expression for the normal form of a column."""
    return f"lower(btrim({column}))"
