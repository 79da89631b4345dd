"""From plain data to a checked model, every fault with its line and the nearest right name."""

from collections.abc import Mapping, Sequence
from typing import Any, TypeVar, get_args

from pydantic import BaseModel, ValidationError

from huntaze_pipeline import wording
from huntaze_pipeline.rulebook.fields import nearest
from huntaze_pipeline.source import Source

Model = TypeVar("Model", bound=BaseModel)


def validate(model: type[Model], source: Source) -> Model | None:
    """Check one file's data; faults are added to `source.problems` and None is returned."""
    if source.data is None:
        return None
    if not isinstance(source.data, Mapping):
        source.problems.append(source.problem((), "holds no keys; write `name: …` and so on"))
        return None
    try:
        return model.model_validate(source.data)
    except ValidationError as error:
        faults = error.errors(include_url=False)
        for path, same in _places(source, faults).items():
            _tell(source, model, path, same)
        return None


def _places(source: Source, faults: list[Any]) -> dict[tuple[Any, ...], list[Any]]:
    """Return the faults that are worth telling by the place in the file that they are about."""
    found: dict[tuple[Any, ...], list[Any]] = {}
    for fault in faults:
        if not _echo(fault, faults) and not _torn(source, fault):
            path = (*fault["loc"], *fault.get("ctx", {}).get("at", ()))
            new = fault["type"] in ("missing", "extra_forbidden")
            found.setdefault(path if new else _written(source.data, path), []).append(fault)
    return found


def _written(data: Any, path: Sequence[Any]) -> tuple[Any, ...]:
    """Drop the parts of a place that are in no file: names of union members, `[key]`."""
    found: list[Any] = []
    for part in path:
        inside = isinstance(data, Mapping) and part in data
        if not inside and not (isinstance(data, list) and isinstance(part, int)):
            break
        data = data[part]
        found.append(part)
    return tuple(found)


def _echo(fault: Any, faults: list[Any]) -> bool:
    """Say whether a list is too short only because its items hold faults of their own."""
    path = fault["loc"]
    return fault["type"] == "too_short" and any(
        len(other["loc"]) > len(path) and other["loc"][: len(path)] == path for other in faults
    )


def _torn(source: Source, fault: Any) -> bool:
    """Say whether a fault is about a value that could not be read, which has been told."""
    return any(fault["loc"][: len(path)] == path for path in source.torn)


def _tell(source: Source, model: type[BaseModel], path: tuple[Any, ...], faults: list[Any]) -> None:
    kind = faults[0]["type"]
    if kind == "extra_forbidden":
        known = _keys(model, path[:-1])
        what = f"unknown key {str(path[-1])!r}{nearest(str(path[-1]), known)}"
        source.problems.append(source.key_problem(path, what))
    elif kind == "missing":
        source.problems.append(source.problem(path[:-1], f"{str(path[-1])!r} is missing"))
    else:
        tell = source.key_problem if faults[0]["loc"][-1:] == ("[key]",) else source.problem
        name = source.label(path)
        for what in [_either(faults)] if _union(faults) else map(wording.said, faults):
            source.problems.append(tell(path, f"{name}: {what}" if name else what))


def _union(faults: list[Any]) -> bool:
    """Say whether the faults are those of the members of one choice of types."""
    return len(faults) > 1 and len({fault["loc"][:-1] for fault in faults}) == 1


def _either(faults: list[Any]) -> str:
    """Return the one sentence for a value that is none of several kinds."""
    literals = [f["ctx"]["expected"] for f in faults if f["type"] == "literal_error"]
    value = faults[0]["input"]
    if len(literals) == len(faults):
        return wording.choice(value, wording.options(", ".join(literals)))
    if all(fault["type"].endswith(("_type", "_parsing")) for fault in faults):
        return f"write a text, a number or true/false{wording.shown(value)}"
    return "; or ".join(dict.fromkeys(map(wording.said, faults)))


def _keys(model: type[BaseModel], path: tuple[Any, ...]) -> list[str]:
    """Return the keys that are known where `path` leads, as they are written."""
    current: Any = model
    for part in path:
        field = _fields(current).get(part)
        if field is not None:
            current = _model_in(field.annotation)
    return list(_fields(current))


def _fields(model: Any) -> dict[str, Any]:
    known = getattr(model, "model_fields", {})
    return {field.alias or name: field for name, field in known.items()}


def _model_in(annotation: Any) -> Any:
    """Find the model inside `X | None`, `tuple[X, ...]` or `dict[str, dict[str, X]]`."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    found = [_model_in(part) for part in get_args(annotation)]
    return next((model for model in found if model is not None), None)
