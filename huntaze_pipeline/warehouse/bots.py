"""Which opens and clicks are machines': `rules/bots.yaml` read into rows for `raw.bots`.

The definition itself is SQL: `staging.stg_events.bot` for the lake, `measurement.touches` for
PostgreSQL. Here is only what people declare.
"""

import re
from pathlib import Path
from typing import Annotated, Literal

import yaml
from pydantic import AfterValidator, BaseModel, ConfigDict, ValidationError, field_validator

from huntaze_pipeline.clock import duration
from huntaze_pipeline.errors import ModelError, Problem
from huntaze_pipeline.store.people import PLATFORMS
from huntaze_pipeline.warehouse.raw import Bot

FILE = "bots.yaml"
_PATH = re.compile(r"^(/[A-Za-z0-9._~-]+)+$")


def _timed(text: str) -> str:
    if duration(text).total_seconds() < 0:
        raise ValueError(f"{text!r} is before the sending")
    return text


Span = Annotated[str, AfterValidator(_timed)]


class Honeypot(BaseModel):
    """The hidden link."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    path: str
    around: Span = "0s"

    @field_validator("path")
    @classmethod
    def _plain(cls, path: str) -> str:
        if not _PATH.fullmatch(path):
            raise ValueError(f"{path!r}: write a path such as /unseen")
        return path


class Bots(BaseModel):
    """The whole file."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    faster_than: dict[str, dict[Literal["opened", "clicked"], Span]] = {}
    agents: list[str] = []
    honeypot: Honeypot | None = None

    @field_validator("faster_than")
    @classmethod
    def _platforms(cls, found: dict[str, dict[str, str]]) -> dict[str, dict[str, str]]:
        for platform in found:
            if platform not in PLATFORMS:
                raise ValueError(f"{platform!r} is no platform; one of {', '.join(PLATFORMS)}")
        return found

    @field_validator("agents")
    @classmethod
    def _words(cls, words: list[str]) -> list[str]:
        for word in words:
            if not word.strip() or not word.isascii():
                raise ValueError(f"{word!r}: write a word in ASCII; an empty one is in every agent")
        return [word.lower() for word in words]


def read(rules_dir: Path) -> Bots:
    """Read the file; a missing one means that no machine is told from a person.

    Raises:
        ModelError: the file holds faults; all of them.
    """
    path = rules_dir / FILE
    if not path.is_file():
        return Bots()
    try:
        return Bots.model_validate(yaml.safe_load(path.read_text(encoding="utf-8")) or {})
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


def load(rules_dir: Path) -> list[Bot]:
    """Return the rules as rows.

    Raises:
        ModelError: the file holds faults; all of them.
    """
    return rows(read(rules_dir))


def rows(bots: Bots) -> list[Bot]:
    """Return what is declared as rows, in the order of the file."""
    found = [
        Bot("faster_than", f"{platform}:{touch}", _micros(text))
        for platform, touches in bots.faster_than.items()
        for touch, text in touches.items()
    ]
    found += [Bot("agent", word) for word in bots.agents]
    if bots.honeypot is not None:
        found.append(Bot("honeypot", bots.honeypot.path, _micros(bots.honeypot.around)))
    return found


def _micros(text: str) -> int:
    return round(duration(text).total_seconds() * 1_000_000)
