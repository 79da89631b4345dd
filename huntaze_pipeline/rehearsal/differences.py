"""What differs between two versions of a rule, by the path of each value. Pure."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

_LONG = 200


@dataclass(frozen=True)
class Difference:
    """One value that is new, gone or another."""

    path: str
    before: Any
    after: Any

    def plain(self) -> dict[str, Any]:
        """Return it as JSON-like data."""
        return {"path": self.path, "before": self.before, "after": self.after}


def between(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[Difference]:
    """Return the differences of two bodies, in the order of the paths."""
    return list(_walk("", before, after))


def _walk(path: str, before: Any, after: Any) -> Iterator[Difference]:
    if before == after:
        return
    if isinstance(before, Mapping) and isinstance(after, Mapping):
        for key in sorted({*before, *after}):
            yield from _walk(f"{path}.{key}".lstrip("."), before.get(key), after.get(key))
    elif isinstance(before, list) and isinstance(after, list) and _rows(before + after):
        for i in range(max(len(before), len(after))):
            old, new = (rows[i] if i < len(rows) else None for rows in (before, after))
            yield from _walk(f"{path}[{i}]", old, new)
    elif not (before in (None, [], {}) and after in (None, [], {})):
        yield Difference(path, before, after)


def _rows(values: list[Any]) -> bool:
    return all(isinstance(value, Mapping) for value in values)


def shown(value: Any) -> str:
    """Return a value in one line."""
    import json

    if value is None:
        return "–"
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    text = " ".join(text.split())
    return text if len(text) <= _LONG else f"{text[: _LONG - 1]}…"
