"""Words from outside made storable: PostgreSQL's text holds no NUL and no half characters."""

from typing import Any


def storable(value: Any) -> Any:
    """Return a JSON-like value whose texts PostgreSQL can hold; everything else is kept."""
    if isinstance(value, str):
        return value.encode("utf-8", "replace").decode().replace("\x00", "")
    if isinstance(value, dict):
        return {storable(key): storable(item) for key, item in value.items()}
    if isinstance(value, list):
        return [storable(item) for item in value]
    return value
