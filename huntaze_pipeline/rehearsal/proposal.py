"""A plan as a document: made once, reviewed, applied later or refused because it is stale."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from huntaze_pipeline import hashing
from huntaze_pipeline.errors import Problem, RuleError, StalePlanError
from huntaze_pipeline.rehearsal import rulings
from huntaze_pipeline.rehearsal.forecast import Forecast
from huntaze_pipeline.rehearsal.origin import Origin
from huntaze_pipeline.rulebook.loader import Rulebook

FORM = 1
"""The version of the document's form."""


@dataclass(frozen=True)
class Proposal:
    """What an apply would do, for one creator or for several."""

    made_at: datetime
    files: Mapping[str, str]
    """Content hash of every rule, by `kind/id`, and of the policies."""
    origin: Origin
    live: Mapping[str, str]
    """By creator: the hash of what is live."""
    forecasts: Sequence[Forecast] = field(default_factory=list)
    """Empty in a plan that was read from a file."""

    @property
    def changed(self) -> bool:
        """Whether the apply would change anything."""
        return any(forecast.changed for forecast in self.forecasts)

    def text(self) -> str:
        """Return the document."""
        data = {
            "form": FORM, "made_at": self.made_at.isoformat(), "commit": self.origin.commit,
            "dirty": self.origin.dirty, "files": dict(self.files), "live": dict(self.live),
            "changed": self.changed,
            "creators": {
                f.creator_id: [change.plain() for change in f.changes] for f in self.forecasts
            },
        }  # fmt: skip
        return json.dumps(data, indent=2, ensure_ascii=False, default=str) + "\n"


def made(
    forecasts: Sequence[Forecast], rulebook: Rulebook, origin: Origin, now: datetime
) -> Proposal:
    """Return the plan of some forecasts."""
    live = {forecast.creator_id: forecast.live for forecast in forecasts}
    return Proposal(now, _files(rulebook), origin, live, forecasts)


def read(path: Path) -> Proposal:
    """Read a plan that `rules plan --out` wrote.

    Raises:
        RuleError: it is no such file.
    """
    try:
        data: Any = json.loads(path.read_text("utf-8"))
        if data["form"] != FORM:
            raise RuleError([Problem(f"{path}:1:1", f"is of form {data['form']}; make it again")])
        origin = Origin(data["commit"], data["dirty"])
        made_at = datetime.fromisoformat(data["made_at"])
        return Proposal(made_at, dict(data["files"]), origin, dict(data["live"]))
    except OSError as error:
        raise RuleError([Problem(str(path), f"cannot be read: {error.strerror}")]) from None
    except (ValueError, KeyError, TypeError):
        what = "is no plan; `huntaze rules plan --out FILE` writes one"
        raise RuleError([Problem(f"{path}:1:1", what)]) from None


def fresh(plan: Proposal, rulebook: Rulebook) -> None:
    """Make sure that the files are those that the plan was made of.

    Raises:
        StalePlanError: they are not; the rules that differ are named.
    """
    now = _files(rulebook)
    other = sorted(name for name in {*now, *plan.files} if now.get(name) != plan.files.get(name))
    if other:
        raise StalePlanError(
            f"the plan of {plan.made_at:%Y-%m-%d %H:%M} is of other files: {', '.join(other[:10])}"
            " changed since; make it again with `huntaze rules plan`"
        )


def _files(rulebook: Rulebook) -> dict[str, str]:
    return rulebook.hashes() | {rulings.KIND: hashing.content(rulebook.policies.file.plain())}
