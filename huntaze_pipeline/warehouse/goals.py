"""Attribution windows: `rules/goals.yaml` read into rows for `raw.windows`."""

from pathlib import Path
from typing import Literal

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError, field_validator

from huntaze_pipeline.clock import duration
from huntaze_pipeline.errors import ModelError, Problem
from huntaze_pipeline.store.people import PLATFORMS
from huntaze_pipeline.warehouse.raw import Window

FILE = "goals.yaml"
Touch = Literal["sent", "delivered", "opened", "clicked"]


class Goal(BaseModel):
    """One goal: the events that reach it and its windows by platform and touch."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    events: list[Literal["purchase", "tip"]]
    windows: dict[str, dict[Touch, str]]

    @field_validator("windows")
    @classmethod
    def _durations(cls, windows: dict[str, dict[Touch, str]]) -> dict[str, dict[Touch, str]]:
        for platform, touches in windows.items():
            if platform not in ("default", *PLATFORMS):
                known = ", ".join(("default", *PLATFORMS))
                raise ValueError(f"{platform!r} is no platform; one of {known}")
            for text in touches.values():
                duration(text)
        return windows


class Goals(BaseModel):
    """The whole file."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    goals: dict[Literal["purchase"], Goal]


def load(rules_dir: Path) -> list[Window]:
    """Read the windows; a missing file means that nothing earns credit.

    Raises:
        ModelError: the file holds faults; all of them.
    """
    path = rules_dir / FILE
    if not path.is_file():
        return []
    try:
        goals = Goals.model_validate(yaml.safe_load(path.read_text(encoding="utf-8")))
    except yaml.YAMLError as error:
        raise ModelError([Problem(str(path), f"is not YAML: {error}")]) from None
    except ValidationError as error:
        raise ModelError(
            [
                Problem(
                    f"{path} {'.'.join(map(str, fault['loc']))}",
                    str(fault["msg"]).removeprefix("Value error, "),
                )
                for fault in error.errors()
            ]
        ) from None
    return [
        Window(name, "*" if platform == "default" else platform, touch, _seconds(text))
        for name, goal in goals.goals.items()
        for platform, touches in goal.windows.items()
        for touch, text in touches.items()
    ]


def _seconds(text: str) -> int:
    return round(duration(text).total_seconds())
