"""Name what production does not need, one package a line, for the image's build to uninstall.

The lock pins everything, the embedded servers and the tests' tools included. What the project
itself needs is read from the metadata of what is installed here: its dependencies without extras,
their own, and so on. Run it with the interpreter of the environment that is meant.
"""

import sys
from importlib.metadata import PackageNotFoundError, distributions, requires

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

PROJECT = "huntaze-pipeline"


def needed(project: str = PROJECT) -> set[str]:
    """Return the project and every package that it needs here, its extras left out."""
    found: set[tuple[str, str]] = set()
    waiting = [(canonicalize_name(project), "")]
    while waiting:
        name, extra = item = waiting.pop()
        if item not in found:
            found.add(item)
            waiting += _next(name, extra)
    return {name for name, _ in found}


def surplus() -> list[str]:
    """Return what is installed and not needed."""
    installed = {canonicalize_name(found.metadata["Name"]) for found in distributions()}
    return sorted(installed - needed())


def _next(name: str, extra: str) -> list[tuple[str, str]]:
    """Return what a package asks for: by itself, or (with `extra`) for that extra only."""
    try:
        asked = [Requirement(line) for line in requires(name) or ()]
    except PackageNotFoundError:
        sys.exit(f"error: {name} is needed and not installed here")
    return [
        (canonicalize_name(one.name), wanted)
        for one in asked
        if one.marker is None or one.marker.evaluate({"extra": extra})
        for wanted in ("", *one.extras)
    ]


if __name__ == "__main__":
    sys.stdout.write("".join(f"{name}\n" for name in surplus()))
