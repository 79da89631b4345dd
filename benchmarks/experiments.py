"""How long 10,000 two-arm tests take: ours against the packages that are installed.

Prints one line of JSON. Rivals (statsmodels, gbstats) are no dependencies of the project: what is
absent is named as skipped. Rivals judge one test per call; they are timed on fewer tests, scaled.

    python benchmarks/experiments.py [tests] [rounds]
"""

import importlib.util
import json
import statistics
import sys
import time
from collections.abc import Callable

import numpy as np

from huntaze_pipeline.measurement import bayes, effects, fixed, moments, sequential, srm

FEW = 300


def tables(tests: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Recipients and conversions of both arms of many tests."""
    rng = np.random.default_rng(1)
    na, nb = rng.integers(500, 20_000, tests), rng.integers(500, 20_000, tests)
    rate = rng.uniform(0.01, 0.3, tests)
    return na, rng.binomial(na, rate), nb, rng.binomial(nb, rate)


def ours(data: tuple[np.ndarray, ...]) -> dict[str, Callable[[], object]]:
    """Our methods on all tests at once."""
    na, xa, nb, xb = data
    a, b = moments.binary(na, xa), moments.binary(nb, xb)
    gap, lift = effects.absolute(a, b), effects.relative(a, b)
    users = np.stack([na, nb], 1).ravel().astype(float)
    ones, starts = np.ones(len(users)), np.arange(0, len(users), 2)
    return {
        "welch_t": lambda: fixed.welch(gap),
        "z": lambda: fixed.normal(gap),
        "always_valid": lambda: (sequential.sequence(gap), sequential.evalue(gap)),
        "srm_chi2": lambda: srm.pvalues(users, ones, starts),
        "srm_e": lambda: srm.evalues(users, ones, starts),
        "bayes": lambda: bayes.posterior(lift).chance_to_win,
        "moments_and_effects": lambda: (
            effects.absolute(moments.binary(na, xa), moments.binary(nb, xb)),
            effects.relative(moments.binary(na, xa), moments.binary(nb, xb)),
        ),
    }


def statsmodels_z(data: tuple[np.ndarray, ...]) -> Callable[[], object]:
    """One z test and Wald interval per call."""
    from statsmodels.stats.proportion import (  # pyright: ignore[reportMissingImports]
        confint_proportions_2indep,
        proportions_ztest,
    )

    rows = list(zip(*(column.tolist() for column in data), strict=True))[:FEW]

    def run() -> None:
        for na, xa, nb, xb in rows:
            proportions_ztest([xb, xa], [nb, na])
            confint_proportions_2indep(xb, nb, xa, na, method="wald")

    return run


def gbstats_t(data: tuple[np.ndarray, ...]) -> Callable[[], object]:
    """One two-sided t test per call."""
    from gbstats.frequentist.tests import (  # pyright: ignore[reportMissingImports]
        FrequentistConfig,
        TwoSidedTTest,
    )
    from gbstats.models.statistics import (  # pyright: ignore[reportMissingImports]
        ProportionStatistic,
    )

    rows = list(zip(*(column.tolist() for column in data), strict=True))[:FEW]

    def run() -> None:
        for na, xa, nb, xb in rows:
            pair = ProportionStatistic(sum=xa, n=na), ProportionStatistic(sum=xb, n=nb)
            try:
                TwoSidedTTest([pair], FrequentistConfig()).compute_result()
            except (TypeError, AttributeError):
                TwoSidedTTest(*pair, FrequentistConfig()).compute_result()

    return run


RIVALS = {"statsmodels": ("z and Wald", statsmodels_z), "gbstats": ("t", gbstats_t)}


def seconds(run: Callable[[], object]) -> float:
    """Wall time of one call."""
    start = time.perf_counter()
    run()
    return time.perf_counter() - start


def main() -> None:
    """Time everything in interleaved rounds and print the medians."""
    tests = int(sys.argv[1]) if len(sys.argv) > 1 else 10_000
    rounds = int(sys.argv[2]) if len(sys.argv) > 2 else 7
    data = tables(tests)
    runs = {name: (run, 1.0) for name, run in ours(data).items()}
    skipped = {}
    for package, (what, make) in RIVALS.items():
        if importlib.util.find_spec(package) is None:
            skipped[package] = "not installed"
            continue
        runs[f"{package} {what}, {FEW} tests scaled"] = (make(data), tests / min(FEW, tests))
    for run, _ in runs.values():
        run()
    times: dict[str, list[float]] = {name: [] for name in runs}
    for _ in range(rounds):
        for name, (run, scale) in runs.items():
            times[name].append(seconds(run) * scale)
    medians = {name: float(f"{statistics.median(values):.3g}") for name, values in times.items()}
    print(json.dumps({"benchmark": "experiments", "tests": tests, "rounds": rounds,
                      "seconds": medians, "skipped": skipped}))  # fmt: skip


if __name__ == "__main__":
    main()
