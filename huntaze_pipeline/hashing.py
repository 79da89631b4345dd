"""Stable hashes: the same input gives the same number on any machine, in any process, for ever.

Used for assignment to variants and rollouts, for content versions and for deterministic ids.
Python's own `hash` is salted per process and must not be used for any of these.
"""

import hashlib
import json
from typing import Any
from uuid import UUID, uuid5

_NAMESPACE = UUID("6f3c2f0e-2d0b-5b63-9a6e-8c1f6a1d7e42")
_SALT = _NAMESPACE.bytes


def fraction(*parts: str) -> float:
    """Map the parts to a number in [0, 1), uniformly and for ever the same."""
    digest = hashlib.sha256("\x1f".join(parts).encode()).digest()
    return int.from_bytes(digest[:8], "big") / 2**64


def content(value: Any) -> str:
    """Return the content hash (16 hex digits) of a JSON-like value, key order ignored."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def identifier(*parts: str) -> UUID:
    """Return the deterministic id of a thing named by its parts."""
    return uuid5(_NAMESPACE, "\x1f".join(parts))


def name(*parts: str) -> str:
    """Return `identifier` as text, in a third of the time: most ids never need the object."""
    named = _SALT + "\x1f".join(parts).encode()
    text = hashlib.sha1(named, usedforsecurity=False).hexdigest()
    variant = "89ab"[int(text[16], 16) & 3]
    return f"{text[:8]}-{text[8:12]}-5{text[13:16]}-{variant}{text[17:20]}-{text[20:32]}"
