"""The one tree of errors. A platform's refusal is not here: it is an `Outcome`, a value.

An error's message says what was being done, with which value, and what to do about it. Errors that
collect several problems (`Problems`) list every one of them, each with its place.
"""

from collections.abc import Sequence
from dataclasses import dataclass


class HuntazeError(Exception):
    """Something in Huntaze went wrong."""

    exit_code = 1

    def __init__(self, message: str | None = None) -> None:
        super().__init__(message or (type(self).__doc__ or "").strip())


@dataclass(frozen=True, slots=True)
class Problem:
    """One fault in something a person wrote: where it is, what is wrong, what would be right."""

    where: str
    what: str

    def __str__(self) -> str:
        return f"{self.where}: {self.what}"


class Problems(HuntazeError):
    """Several faults in the same input, reported together."""

    exit_code = 2

    def __init__(self, problems: Sequence[Problem]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(str(problem) for problem in self.problems))


class SettingsError(HuntazeError):
    """A setting is missing or cannot be used."""

    exit_code = 2


class ServiceError(HuntazeError):
    """A server that Huntaze depends on could not be started or does not answer."""

    exit_code = 3


class StoreError(HuntazeError):
    """PostgreSQL refused: wrong password, missing migration or no permission."""

    exit_code = 3


class WarehouseError(HuntazeError):
    """The lake could not be read or written."""

    exit_code = 3


class ImportFileError(Problems):
    """A file or its mapping cannot be imported."""


class RuleError(Problems):
    """Rule files hold faults; nothing of them is live."""


class ModelError(Problems):
    """SQL models hold faults; the last good tables stay in place."""


class MessageError(Problems):
    """A message cannot be accepted as it is."""


class NotFoundError(HuntazeError):
    """No such thing, or it belongs to another creator."""

    exit_code = 2


class StalePlanError(HuntazeError):
    """What is live, or the files, changed since the plan was made."""


class ConflictError(HuntazeError):
    """The thing is in a state that does not allow this."""
