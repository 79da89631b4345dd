"""From plain data to a checked model, every fault with its line and the nearest right name."""

from collections.abc import Mapping
from typing import Any, TypeVar, get_args

from pydantic import BaseModel, ValidationError

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
        for fault in faults:
            if not _echo(fault, faults) and not _torn(source, fault):
                _add(source, model, fault)
        return None


def _echo(fault: Any, faults: list[Any]) -> bool:
    """Say whether a list is too short only because its items hold faults of their own."""
    path = fault["loc"]
    return fault["type"] == "too_short" and any(
        len(other["loc"]) > len(path) and other["loc"][: len(path)] == path for other in faults
    )


def _torn(source: Source, fault: Any) -> bool:
    """Say whether a fault is about a value that could not be read, which has been told."""
    return any(fault["loc"][: len(path)] == path for path in source.torn)


def _add(source: Source, model: type[BaseModel], fault: Any) -> None:
    path, kind = (*fault["loc"], *fault.get("ctx", {}).get("at", ())), fault["type"]
    if kind == "extra_forbidden":
        known = _keys(model, path[:-1])
        what = f"unknown key {str(path[-1])!r}{nearest(str(path[-1]), known)}"
        source.problems.append(source.key_problem(path, what))
    elif kind == "missing":
        source.problems.append(source.problem(path[:-1], f"{str(path[-1])!r} is missing"))
    else:
        source.problems.append(source.problem(path, _said(path, fault)))


def _said(path: tuple[Any, ...], fault: Any) -> str:
    """Return the fault in plain words, with the key and the value that was written."""
    what = fault["msg"].removeprefix("Value error, ")
    value = fault["input"]
    name = next((str(p) for p in reversed(path) if isinstance(p, str)), "")
    shown = f", not {value!r}" if isinstance(value, str | int | float | bool | None) else ""
    if fault["type"] == "too_short":
        return f"{name}: is empty; it needs at least one"
    if fault["type"] == "value_error":
        return f"{name}: {what}" if name else what
    return f"{name}: {what[0].lower()}{what[1:]}{shown if len(shown) < 80 else ''}"


def _keys(model: type[BaseModel], path: tuple[Any, ...]) -> list[str]:
    """Return the keys that are known where `path` leads."""
    current: Any = model
    for part in path:
        fields = getattr(current, "model_fields", {})
        if part in fields:
            current = _model_in(fields[part].annotation)
    return list(getattr(current, "model_fields", {}))


def _model_in(annotation: Any) -> Any:
    """Find the model inside `X | None`, `tuple[X, ...]` or `dict[str, dict[str, X]]`."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    found = [_model_in(part) for part in get_args(annotation)]
    return next((model for model in found if model is not None), None)
