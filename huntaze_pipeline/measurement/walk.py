"""Evan Miller's counting rule: two equal arms, only successes are counted, stop at a lead of 2√N.

N is the number of successes (both arms together) at which the test ends without a winner. The
chance of a false winner is exact: a symmetric random walk that reaches a line.
"""

import numpy as np


def lead(successes: int, two_sided: bool = False) -> float:
    """The lead at which the test stops: 2√N to find a better arm, 2.25√N for either arm."""
    return (2.25 if two_sided else 2.0) * float(np.sqrt(successes))


def false_winner(successes: int, two_sided: bool = False) -> float:
    """Chance that equal arms end with a winner; two-sided: both sides added, an upper bound."""
    from scipy.stats import binom

    line = int(np.ceil(lead(successes, two_sided) - 1e-9))
    # The walk ends at 2k - N. By reflection: P(max >= line) = P(end >= line) + P(end > line).
    at_least = binom.sf((successes + line + 1) // 2 - 1, successes, 0.5)
    beyond = binom.sf((successes + line) // 2, successes, 0.5)
    return float(at_least + beyond) * (2 if two_sided else 1)
