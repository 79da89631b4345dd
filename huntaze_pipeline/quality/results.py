"""What came of an expectation, as a value. Keeping it is `history`'s work."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from huntaze_pipeline.quality.suite import Expectation, Severity

EXAMPLES = 5
"""How many broken values are shown."""


@dataclass(frozen=True, slots=True)
class Result:
    """One expectation and what a batch made of it."""

    expectation: str
    """`Expectation.name`"""
    column: str
    severity: Severity
    success: bool
    rows: int
    """How many it was asked of."""
    unexpected: int
    """How many of them break it; for one about the batch, how many rows it has too few or many."""
    examples: tuple[str, ...] = ()
    meaning: str = ""

    @property
    def sentence(self) -> str:
        """What is wrong, for people."""
        count = f"{self.unexpected:,} of {self.rows:,}" if self.column else f"{self.rows:,} rows"
        shown = f", such as {', '.join(self.examples[:3])}" if self.examples else ""
        why = f" ({self.meaning})" if self.meaning else ""
        return f"{self.expectation}: {count}{shown}{why}"

    def document(self) -> dict[str, Any]:
        """Return it as plain data."""
        return asdict(self) | {"examples": list(self.examples)}


def of(
    expectation: Expectation,
    *,
    success: bool,
    rows: int,
    unexpected: int,
    examples: Sequence[Any] = (),
) -> Result:
    """Make the result of an expectation."""
    shown = tuple(str(value)[:80] for value in examples[:EXAMPLES])
    return Result(
        expectation.name, ", ".join(expectation.columns), expectation.severity, success, rows,
        unexpected, shown, expectation.meaning,
    )  # fmt: skip


def failures(results: Sequence[Result], severity: Severity = "error") -> list[Result]:
    """Return what failed with this severity."""
    return [r for r in results if not r.success and r.severity == severity]
