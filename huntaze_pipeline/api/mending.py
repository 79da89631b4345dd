"""Bodies that tell faults of shape together with those that only their route can see.

What is wrong with a body's shape (an unknown field, a number for a text) is noted and left out, so
that the rest can be checked as well. A route of such a body refuses it when it has `faults`.
"""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Self

from pydantic import ModelWrapValidatorHandler, ValidationError, model_validator

from huntaze_pipeline.api import problems
from huntaze_pipeline.api.shapes import Request
from huntaze_pipeline.errors import Problem


class Mended(Request):
    """A body without the parts that were wrong."""

    stand_ins: ClassVar[Mapping[str, Any]] = {}
    """For what a body must have, where it has it wrong."""
    _faults: list[Problem] = []

    @model_validator(mode="wrap")
    @classmethod
    def _mend(cls, data: Any, read: ModelWrapValidatorHandler[Self]) -> Self:
        try:
            return read(data)
        except ValidationError as error:
            faults = error.errors()
            if not isinstance(data, dict) or not all(fault["loc"] for fault in faults):
                raise
            try:
                mended = read(cls._without(data, [fault["loc"] for fault in faults]))
            except ValidationError:
                raise error from None
            mended._faults = [problems.fault(fault) for fault in faults]
            return mended

    @classmethod
    def _without(cls, data: dict[str, Any], places: Sequence[tuple[int | str, ...]]) -> Any:
        """Return the body without what lies there; of a list nothing stays: its places count."""
        kept = _copied(data)
        for place in places:
            inner: dict[Any, Any] = kept
            for name in place:
                below = inner.get(name)
                if name == place[-1] or not isinstance(below, dict):
                    inner.pop(name, None)
                    break
                inner = below
        return {k: v for k, v in cls.stand_ins.items() if k not in kept} | kept

    def faults(self, others: Sequence[Problem], where: str = "") -> list[Problem]:
        """Return the faults of shape and the others; those of a part that was left out follow."""
        mine = [Problem(where + fault.where, fault.what) for fault in self._faults]
        return mine + [p for p in others if not any(_within(p.where, m.where) for m in mine)]


def _copied(data: dict[str, Any]) -> dict[str, Any]:
    return {k: _copied(v) if isinstance(v, dict) else v for k, v in data.items()}


def _within(place: str, other: str) -> bool:
    shorter, longer = sorted((place, other), key=len)
    return longer == shorter or longer.startswith(f"{shorter}.")
