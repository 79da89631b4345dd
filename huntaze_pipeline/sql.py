"""Values and names as SQL spells them, for statements that take no parameters."""


def quoted(text: str) -> str:
    """Return a text as a literal."""
    return "'" + text.replace("'", "''") + "'"


def identifier(name: str) -> str:
    """Return a name as an identifier."""
    return '"' + name.replace('"', '""') + '"'
