"""What can be wrong with a suite's text, found without running it or importing the library."""

from collections.abc import Iterable, Sequence
from difflib import get_close_matches
from typing import Any

import sqlglot
from sqlglot.errors import SqlglotError

from huntaze_pipeline.quality import vocabulary
from huntaze_pipeline.quality.formula import Formula
from huntaze_pipeline.quality.text import Text, Where

KEYS = ("description", "columns", "derive", "expectations")
SEVERITIES = ("error", "warn")


def find(source: Text) -> None:
    """Add every fault of a suite to `source.problems`."""
    data = source.data
    if not isinstance(data, dict):
        source.complain((), "a suite has description, columns and expectations")
        return
    for key in data:
        if key not in KEYS:
            source.complain((key,), f"unknown key {key!r}{_nearest(key, KEYS)}")
    if not isinstance(data.get("description"), str):
        source.complain(("description",), "description: say in a sentence what the batch is")
    known = _columns(source, data)
    listed = data.get("expectations")
    if not isinstance(listed, list) or not listed:
        source.complain(("expectations",), "expectations: a list with at least one")
        return
    for number, entry in enumerate(listed):
        _expectation(source, ("expectations", number), entry, known)
    _twice(source, listed)


def _columns(source: Text, data: dict[str, Any]) -> list[str]:
    columns, derive = data.get("columns"), data.get("derive") or {}
    if not isinstance(columns, dict) or not columns:
        source.complain(("columns",), "columns: `name: TYPE` for every column that a batch has")
        columns = {}
    for name, kind in columns.items():
        if not isinstance(kind, str) or not _parses(f"cast(null as {kind})"):
            source.complain(("columns", name), f"{name}: {kind!r} is no type")
    if not isinstance(derive, dict):
        source.complain(("derive",), "derive: `name: SQL expression`")
        derive = {}
    for name, sql in derive.items():
        if not isinstance(sql, str) or not _parses(sql):
            source.complain(("derive", name), f"{name}: {sql!r} is no SQL expression")
    return [*columns, *derive]


def _parses(sql: str) -> bool:
    try:
        statements = sqlglot.parse(f"select {sql}", dialect="duckdb")
    except SqlglotError:
        return False
    return len(statements) == 1 and statements[0] is not None


def _expectation(source: Text, where: Where, entry: Any, known: Sequence[str]) -> None:
    if not isinstance(entry, dict) or not isinstance(entry.get("type"), str):
        source.complain(where, "an expectation is {type: …, column: …}")
        return
    kind = entry["type"]
    if kind not in vocabulary.WORDS and kind not in vocabulary.library():
        names = (*vocabulary.WORDS, *vocabulary.library())
        source.complain((*where, "type"), f"{kind!r} does not exist{_nearest(kind, names)}")
        return
    _manner(source, where, entry, known)
    word = vocabulary.WORDS.get(kind)
    if word is not None:
        _arguments(source, where, entry, word)
    for name in vocabulary.columns(entry):
        if name not in known:
            key = "column" if "column" in entry else "column_list"
            source.complain((*where, key), f"no column {name!r}{_nearest(name, known)}")


def _manner(source: Text, where: Where, entry: dict[str, Any], known: Sequence[str]) -> None:
    severity, mostly, condition = (entry.get(key) for key in ("severity", "mostly", "where"))
    if "severity" in entry and severity not in SEVERITIES:
        what = f"severity: {severity!r}{_nearest(str(severity), SEVERITIES)}"
        source.complain((*where, "severity"), what)
    if severity != "warn" and entry["type"] not in vocabulary.WORDS:
        what = f"{entry['type']} can only warn: a gate holds what it can compile"
        source.complain((*where, "type"), f"{what} ({', '.join(vocabulary.WORDS)})")
    if "mostly" in entry and not (
        isinstance(mostly, int | float) and not isinstance(mostly, bool) and 0 < mostly <= 1
    ):
        source.complain((*where, "mostly"), f"mostly: {mostly!r} is no share above 0, up to 1")
    if condition is not None and condition not in known:
        what = f"where: no column {condition!r}{_nearest(str(condition), known)}"
        source.complain((*where, "where"), f"{what}; derive a true-or-false column")


def _arguments(source: Text, where: Where, entry: dict[str, Any], word: vocabulary.Word) -> None:
    for key in entry:
        if key not in (*word.arguments, *word.one_of):
            what = f"{entry['type']} takes no {key!r}{_nearest(key, word.arguments)}"
            source.complain((*where, key), what)
    for key in word.needs:
        if entry.get(key) is None:
            source.complain(where, f"{entry['type']} needs {key!r}")
    if word.one_of and all(entry.get(key) is None for key in word.one_of):
        source.complain(where, f"{entry['type']} needs {' or '.join(word.one_of)}")
    for key in ("value_set", "column_list"):
        if key in word.needs and entry.get(key) is not None and not isinstance(entry[key], list):
            source.complain((*where, key), f"{key}: a list")
    _bounds(source, where, entry)


def _bounds(source: Text, where: Where, entry: dict[str, Any]) -> None:
    for key in ("min_value", "max_value"):
        value = entry.get(key)
        if not isinstance(value, str):
            continue
        try:
            formula = isinstance(Formula.read(value), Formula)
        except ValueError as error:
            source.complain((*where, key), f"{key}: {error}")
            continue
        if not formula:
            what = "no number, date, `now + 1d` or `usual * 3 + 50`"
            source.complain((*where, key), f"{key}: {value!r} is {what}")
    if "regex" in entry and not _compiles(str(entry["regex"])):
        source.complain((*where, "regex"), f"regex: {entry['regex']!r} is none")


def _compiles(regex: str) -> bool:
    import duckdb

    try:
        with duckdb.connect() as con:
            con.execute(f"select regexp_matches('', {vocabulary.literal(regex)})")
    except duckdb.Error:
        return False
    return True


def _twice(source: Text, listed: Sequence[Any]) -> None:
    """Complain of what is said twice: results are told apart by what they are about."""
    seen: set[tuple[Any, ...]] = set()
    for number, entry in enumerate(listed):
        if not isinstance(entry, dict):
            continue
        about = vocabulary.columns(entry)
        key = (entry.get("type"), about, entry.get("where"), entry.get("severity", "error"))
        if key in seen:
            what = f"{entry.get('type')} of {', '.join(about) or 'the batch'} is said twice"
            source.complain(("expectations", number), what)
        seen.add(key)


def _nearest(name: str, known: Iterable[str]) -> str:
    names = list(dict.fromkeys(known))
    close = get_close_matches(name, names, n=1, cutoff=0.6)
    return f"; did you mean {close[0]!r}?" if close else f"; known: {', '.join(names[:20])}"
