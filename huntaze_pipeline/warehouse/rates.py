"""Exchange rates: `rules/rates.yaml` read and checked, for `raw.rates`.

A rate says how much of `quote` one unit of `base` was worth from its day on. Which rate converts
an amount is decided in `marts.dim_rates`.
"""

from datetime import date
from pathlib import Path
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, model_validator

from huntaze_pipeline import source, wording
from huntaze_pipeline.currency import CURRENCIES
from huntaze_pipeline.errors import ModelError, Problem

FILE = "rates.yaml"


def _currency(code: str) -> str:
    if code not in CURRENCIES:
        raise ValueError(f"{code!r} is no currency (ISO 4217: USD)")
    return code


Currency = Annotated[str, AfterValidator(_currency)]


class Rate(BaseModel):
    """How much of `quote` one unit of `base` is worth, from a day on."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    base: Currency
    quote: Currency
    day: date
    rate: Annotated[float, Field(gt=0, allow_inf_nan=False)]

    @model_validator(mode="after")
    def _two(self) -> "Rate":
        if self.base == self.quote:
            raise ValueError(f"base and quote are both {self.base}")
        return self


class Rates(BaseModel):
    """The whole file."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    rates: tuple[Rate, ...] = ()


def load(rules_dir: Path) -> list[tuple[Any, ...]]:
    """Read the rates; without a file nothing can be converted.

    Raises:
        ModelError: the file holds faults; all of them, with line and column.
    """
    path = rules_dir / FILE
    if not path.is_file():
        return []
    text = source.read(path, rules_dir)
    if text.problems:
        raise ModelError(text.problems)
    try:
        rates = Rates.model_validate(text.data).rates
    except ValidationError as error:
        raise ModelError([_problem(text, fault) for fault in error.errors()]) from None
    twice = _twice(text, rates)
    if twice:
        raise ModelError(twice)
    return [(rate.base, rate.quote, rate.day, rate.rate) for rate in rates]


def _problem(text: source.Source, fault: Any) -> Problem:
    unknown = fault["type"] == "extra_forbidden"
    what = f"unknown key {fault['loc'][-1]!r}" if unknown else wording.said(fault)
    return text.problem(fault["loc"], f"{'.'.join(map(str, fault['loc']))}: {what}")


def _twice(text: source.Source, rates: tuple[Rate, ...]) -> list[Problem]:
    seen: set[tuple[str, str, date]] = set()
    found: list[Problem] = []
    for place, rate in enumerate(rates):
        key = (rate.base, rate.quote, rate.day)
        if key in seen:
            told = f"{rate.base} to {rate.quote} has two rates on {rate.day}; keep one"
            found.append(text.problem(("rates", place), told))
        seen.add(key)
    return found
