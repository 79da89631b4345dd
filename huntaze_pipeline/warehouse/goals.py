"""Goals: `rules/goals.yaml` read, checked and turned into rows of the lake.

A goal says which events reach it, what that is worth, how long a touch may earn credit for it and
which attribution model is adopted. Giving the credit is the models' work (`marts.fct_credits`).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    model_validator,
)

from huntaze_pipeline import source, wording
from huntaze_pipeline.clock import duration
from huntaze_pipeline.currency import CURRENCIES
from huntaze_pipeline.errors import ModelError, Problem
from huntaze_pipeline.events.envelope import (
    LIMIT_MICROS,
    MICROS,
    MONEY,
    NAMES,
    known_name,
)
from huntaze_pipeline.store.people import PLATFORMS
from huntaze_pipeline.warehouse import filters
from huntaze_pipeline.warehouse.raw import Window

FILE = "goals.yaml"
MODELS = ("first", "last", "linear", "time_decay", "position")
"""Models that give every touch its part, so that one of them can be adopted."""
WHOLE = ("markov", "shapley")
"""Models over all paths at once: shown beside the others, in marts.fct_channel_credits."""
MONEY_GOAL = "purchase"
"""The goal whose conversions are revenue."""
LONGEST_S = 366 * 86_400
Row = tuple[Any, ...]


def _event(name: str) -> str:
    if not known_name(name):
        raise ValueError(f"unknown event {name!r}; one of {', '.join(NAMES)} (or custom:word)")
    return name


def _currency(code: str) -> str:
    if code not in CURRENCIES:
        raise ValueError(f"{code!r} is no currency (ISO 4217: USD)")
    return code


def _filter(text: str) -> str:
    filters.read(text)
    return text


def _model(name: Any) -> Any:
    if name in WHOLE:
        raise ValueError(
            f"{name} shares out all conversions at once and cannot be adopted; it stands beside the"
            f" others in marts.fct_channel_credits. One of {', '.join(MODELS)}"
        )
    return name


def _window(text: Any) -> int:
    if not isinstance(text, str):
        raise ValueError(f"{text!r} is no duration: write a number with a unit (12h, 5d)")
    seconds = round(duration(text).total_seconds())
    if seconds > LONGEST_S:
        raise ValueError(f"{text!r}: at most 366d")
    return seconds


def _half_life(text: Any) -> int:
    seconds = _window(text)
    if seconds == 0:
        raise ValueError("a half-life is longer than nothing")
    return seconds


def _platform(name: str) -> str:
    if name not in ("default", *PLATFORMS):
        raise ValueError(f"{name!r} is no platform; one of {', '.join(('default', *PLATFORMS))}")
    return name


Seconds = Annotated[int, BeforeValidator(_window)]
Touch = Literal["sent", "delivered", "opened", "clicked"]


class Amount(BaseModel):
    """A fixed worth of reaching a goal, whatever the event says."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    amount: Annotated[float, Field(ge=0, le=LIMIT_MICROS / MICROS, allow_inf_nan=False)]
    currency: Annotated[str, AfterValidator(_currency)]


class Goal(BaseModel):
    """One goal."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    events: Annotated[tuple[Annotated[str, AfterValidator(_event)], ...], Field(min_length=1)]
    filter: Annotated[str, AfterValidator(_filter)] | None = None
    """A condition over the event; see `filters`."""
    value: Literal["event"] | Amount = "event"
    named: bool = False
    """An event that names its campaign or message gives it the whole credit."""
    model: Annotated[
        Literal["first", "last", "linear", "time_decay", "position"], BeforeValidator(_model)
    ] = "last"
    half_life: Annotated[int, BeforeValidator(_half_life)] = 7 * 86_400
    """For time_decay: a touch this old weighs half."""
    windows: dict[Annotated[str, AfterValidator(_platform)], dict[Touch, Seconds]] = {}
    """By platform and touch; `0s` takes a window of the default away."""

    @model_validator(mode="after")
    def _whole(self) -> "Goal":
        if not any(any(touches.values()) for touches in self.windows.values()) and not self.named:
            raise ValueError(
                "has neither windows nor `named: true`: nothing could ever get credit for it"
            )
        return self


class Goals(BaseModel):
    """The whole file."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    goals: dict[Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,62}$")], Goal]

    @model_validator(mode="after")
    def _money(self) -> "Goals":
        goal = self.goals.get(MONEY_GOAL)
        if goal and (not set(goal.events) <= set(MONEY) or goal.value != "event"):
            raise ValueError(
                f"{MONEY_GOAL} is what fans paid, as revenue counts it: events purchase and tip, "
                "worth what the event says; give another goal another name"
            )
        return self


@dataclass(frozen=True, slots=True)
class Declared:
    """Goals as rows of the lake's tables `raw.goals`, `raw.goal_filters` and `raw.windows`."""

    goals: tuple[Row, ...] = ()
    filters: tuple[Row, ...] = ()
    windows: tuple[Window, ...] = ()

    @property
    def tables(self) -> dict[str, Sequence[Row]]:
        """Rows by the name of their raw table."""
        return {"goals": self.goals, "goal_filters": self.filters, "windows": self.windows}


_BUILT_IN = {
    "purchase": Goal.model_construct(events=("purchase", "tip")),
    "redeemed": Goal.model_construct(events=("redeemed",), named=True),
}
"""What counts when the file does not say: purchases without credit, redemptions by name."""


def declared(rules_dir: Path, file: Path | None = None, model: str | None = None) -> Declared:
    """Read goals and turn them into rows; without a file no touch earns credit.

    Args:
        rules_dir: the folder of rules; its `goals.yaml` is read.
        file: another file to read instead.
        model: an attribution model to take instead of every goal's own.

    Raises:
        ModelError: the file holds faults; all of them, with line and column.
    """
    goals = known(rules_dir, file)
    return Declared(
        tuple(row for name, goal in goals.items() for row in _goal_rows(name, goal, model)),
        tuple(
            (name, *test)
            for name, goal in goals.items()
            for test in (filters.read(goal.filter) if goal.filter else ())
        ),
        tuple(row for name, goal in goals.items() for row in _window_rows(name, goal)),
    )


def known(rules_dir: Path, file: Path | None = None) -> dict[str, Goal]:
    """Read goals by name, those that are built in included; same arguments as `declared`.

    Raises:
        ModelError: the file holds faults; all of them, with line and column.
    """
    return _BUILT_IN | read(file or rules_dir / FILE, rules_dir, must=file is not None)


def read(path: Path, root: Path, *, must: bool = False) -> dict[str, Goal]:
    """Read a file of goals by name; without the file there are none, unless it `must` be there.

    Raises:
        ModelError: the file holds faults; all of them, with line and column.
    """
    if not must and not path.is_file():
        return {}
    text = source.read(path, root)
    if text.problems:
        raise ModelError(text.problems)
    try:
        return Goals.model_validate(text.data).goals
    except ValidationError as error:
        faults = error.errors()
        spoken = {fault["loc"][:-2] for fault in faults if "Amount" in fault["loc"]}
        # Of a value that is meant as an amount, only what is wrong with the amount is of use.
        kept = [fault for fault in faults if fault["loc"][:-1] not in spoken]
        raise ModelError([_problem(text, fault) for fault in kept]) from None


_ASIDE = ("[key]", "Amount", "literal['event']")
"""Parts of pydantic's places that are in no file."""


def _problem(text: source.Source, fault: Any) -> Problem:
    place = [part for part in fault["loc"] if part not in _ASIDE]
    unknown = fault["type"] == "extra_forbidden"
    what = f"unknown key {place[-1]!r}" if unknown else wording.said(fault)
    return text.problem(place, f"{'.'.join(map(str, place))}: {what}")


def _goal_rows(name: str, goal: Goal, model: str | None) -> list[Row]:
    fixed = goal.value if isinstance(goal.value, Amount) else None
    micros = None if fixed is None else round(fixed.amount * MICROS)
    rest = (
        micros, fixed.currency if fixed else None, goal.named, goal.filter is not None,
        model or goal.model, goal.half_life,
    )  # fmt: skip
    return [(name, event, *rest) for event in dict.fromkeys(goal.events)]


def _window_rows(name: str, goal: Goal) -> list[Window]:
    return [
        Window(name, "*" if platform == "default" else platform, touch, seconds)
        for platform, touches in goal.windows.items()
        for touch, seconds in touches.items()
    ]
