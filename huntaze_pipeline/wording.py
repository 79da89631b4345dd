"""What is wrong with a value, in the words of whoever wrote the file.

Belongs here: the sentences for pydantic's kinds of fault. Places and keys are the reader's.
"""

import re
from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from typing import Any

_QUOTED = re.compile(r"'([^']*)'|\b(True|False)\b")
_KEYS = "write keys and values (`key: value`)"
_WANTED = {
    **dict.fromkeys(("dict_type", "mapping_type", "model_type", "model_attributes_type"), _KEYS),
    **dict.fromkeys(("tuple_type", "list_type", "set_type"), "write a list ([a, b])"),
    "string_type": "write a text, in quotes",
    **dict.fromkeys(("int_type", "int_parsing", "int_from_float"), "write a whole number"),
    **dict.fromkeys(("float_type", "float_parsing", "finite_number"), "write a number"),
    **dict.fromkeys(("bool_type", "bool_parsing"), "write true or false"),
    "date": "write a day (2027-03-05)",
    "datetime": "write an instant (2027-03-05T18:00:00Z)",
}
"""What is right, by the kind of fault."""
_BOUNDS = {
    "greater_than": ("gt", "must be above"),
    "greater_than_equal": ("ge", "must be at least"),
    "less_than": ("lt", "must be below"),
    "less_than_equal": ("le", "must be at most"),
    "string_too_long": ("max_length", "must have no more characters than"),
    "too_long": ("max_length", "must have no more items than"),
}
_FORMS = {
    "^custom:": "write custom:word, in small letters",
    r"^[\w-]+$": "write letters, digits, _ and - only",
    "^[a-z]": "write small letters, digits and _, a letter first",
}
"""What a text must look like, by how its pattern begins."""


def said(fault: Mapping[str, Any]) -> str:
    """Return one fault of pydantic in plain words, with the value that was written."""
    kind, context = fault["type"], fault.get("ctx", {})
    if kind in ("value_error", "assertion_error"):
        return str(fault["msg"]).removeprefix("Value error, ").removeprefix("Assertion failed, ")
    if kind == "literal_error":
        return choice(fault["input"], options(context["expected"]))
    if kind in ("too_short", "string_too_short"):
        return "is empty; it needs at least one" if kind == "too_short" else "is empty"
    if kind in _BOUNDS:
        name, words = _BOUNDS[kind]
        return f"{words} {context[name]:g}{shown(fault['input'])}"
    return _wanted(kind, str(context.get("pattern", ""))) + shown(fault["input"])


def _wanted(kind: str, pattern: str) -> str:
    if kind == "string_pattern_mismatch":
        known = (words for start, words in _FORMS.items() if pattern.startswith(start))
        return next(known, f"must look like {pattern}")
    family = next((f for f in ("datetime", "date") if kind.startswith(f"{f}_")), kind)
    return _WANTED.get(kind) or _WANTED.get(family) or "write something else"


def choice(value: Any, known: Sequence[str]) -> str:
    """Return that a value is none of those that are known, with the nearest."""
    near = get_close_matches(str(value).lower(), known, n=1, cutoff=0.6)
    hint = f"; did you mean {near[0]!r}?" if near else ""
    return f"{plain(value)} is none of {', '.join(known)}{hint}"


def options(expected: str) -> list[str]:
    """Return the values of a choice, out of pydantic's list of them."""
    return [text or word.lower() for text, word in _QUOTED.findall(expected)]


def shown(value: Any) -> str:
    """Return a value as the end of a sentence; long ones and structures are left out."""
    if isinstance(value, list | tuple | dict):
        return f", not {'keys and values' if isinstance(value, dict) else 'a list'}"
    text = plain(value)
    return f", not {text}" if len(text) < 72 else ""


def plain(value: Any) -> str:
    """Return a value as it is written in files."""
    if value is None:
        return "nothing"
    if isinstance(value, bool):
        return str(value).lower()
    return repr(value) if isinstance(value, str | int | float) else str(value)
