"""Arrays of texts as PostgreSQL writes them: the driver takes them apart word by word, and twice.

For keys of thousands of rows, in statements that say `cast(:names as text[])`.
"""

from collections.abc import Iterable


def literal(words: Iterable[str]) -> str:
    """Return the literal of an array of texts."""
    return "{" + ",".join([_quoted(word) for word in words]) + "}"


def pairs(keys: Iterable[tuple[str, str]]) -> dict[str, str]:
    """Return keys of fans as the parameters `creators` and `fans`."""
    listed = list(keys)
    return {"creators": literal(k[0] for k in listed), "fans": literal(k[1] for k in listed)}


def _quoted(word: str) -> str:
    if '"' in word or "\\" in word:
        word = word.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{word}"'
