"""How long to look for a counterexample: everybody waits for `make test`, the CI can wait longer.

Hypothesis' profile says which of the two it is: `make test` names the quick one.
"""

from hypothesis import settings

USUAL = 100

settings.register_profile("quick", max_examples=20)


def examples(most: int) -> int:
    """Return how many of so many examples to try now."""
    return most * settings().max_examples // USUAL


def seconds(most: float) -> float:
    """Return for how many of so many seconds to hammer now: all of them, or half."""
    return most if settings().max_examples >= USUAL else most / 2
