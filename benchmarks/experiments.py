"""10,000 two-arm tests with full output against gbstats and statsmodels; and A/A at 168 looks.

Prints two lines of JSON.

    python benchmarks/experiments.py [--tests 10000] [--rounds 5] [--runs 20000] [--venv FOLDER]

Rivals are no dependencies of the project. They are taken from the virtual environment FOLDER, made
(with pip) when it is not there; a process in it takes turns with ours, round by round. They judge
one test per call, so they get fewer tests, and their time is scaled. "Full output" is all that
`huntaze experiments analyze` prints of a test: both effects, Welch's and always-valid intervals and
p-values, the Bayesian figures, the split test, the verdict.
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
import venv
from collections.abc import Callable
from pathlib import Path

import numpy as np
import polars as pl

from huntaze_pipeline.measurement import analysis, counts, effects, fixed, moments, simulation
from huntaze_pipeline.measurement.proportions import pooled
from huntaze_pipeline.measurement.rows import Columns

FEW = 200
"""Tests that a rival judges per round."""
PACKAGES = ("gbstats==0.8.0", "statsmodels")
RIVAL = """
import json, sys, time, warnings
warnings.filterwarnings("ignore")
from gbstats.bayesian.tests import EffectBayesianABTest, EffectBayesianConfig
from gbstats.frequentist.tests import (
    FrequentistConfig, SequentialConfig, SequentialTwoSidedTTest, TwoSidedTTest)
from gbstats.gbstats import check_srm
from gbstats.models.statistics import ProportionStatistic
from statsmodels.stats.proportion import (
    confint_proportions_2indep, proportion_confint, proportions_ztest, test_proportions_2indep)


def made(test, a, b, config):
    try:
        return test([(a, b)], config).compute_result()
    except (TypeError, AttributeError):
        return test(a, b, config).compute_result()


def gbstats_full(na, xa, nb, xb):
    a, b = ProportionStatistic(sum=xa, n=na), ProportionStatistic(sum=xb, n=nb)
    for kind in ("absolute", "relative"):
        made(TwoSidedTTest, a, b, FrequentistConfig(difference_type=kind))
        made(SequentialTwoSidedTTest, a, b, SequentialConfig(difference_type=kind))
    made(EffectBayesianABTest, a, b, EffectBayesianConfig(difference_type="relative"))
    check_srm([na, nb], [0.5, 0.5])


def gbstats_t(na, xa, nb, xb):
    a, b = ProportionStatistic(sum=xa, n=na), ProportionStatistic(sum=xb, n=nb)
    made(TwoSidedTTest, a, b, FrequentistConfig(difference_type="absolute"))


def statsmodels_z(na, xa, nb, xb):
    proportions_ztest([xb, xa], [nb, na])
    confint_proportions_2indep(xb, nb, xa, na, method="wald")


def statsmodels_full(na, xa, nb, xb):
    statsmodels_z(na, xa, nb, xb)
    test_proportions_2indep(xb, nb, xa, na, compare="ratio", method="log")
    confint_proportions_2indep(xb, nb, xa, na, compare="ratio", method="log")
    proportion_confint(xa, na, method="wilson")
    proportion_confint(xb, nb, method="wilson")


WAYS = {f.__name__: f for f in (gbstats_full, gbstats_t, statsmodels_full, statsmodels_z)}
rows = json.load(open(sys.argv[1]))
for way in WAYS.values():
    way(*rows[0])
print("ready", flush=True)
for line in sys.stdin:
    way = WAYS[line.strip()]
    start = time.perf_counter()
    for row in rows:
        way(*row)
    print(time.perf_counter() - start, flush=True)
"""


def tables(tests: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Recipients and conversions of both arms of many tests."""
    rng = np.random.default_rng(1)
    both = rng.integers(1_000, 40_000, tests)
    na = rng.binomial(both, 0.5)  # as a hash splits them: a wrong split ends a test at once
    nb = both - na
    rate = rng.uniform(0.01, 0.3, tests)
    return na, rng.binomial(na, rate), nb, rng.binomial(nb, rate)


def ours(data: tuple[np.ndarray, ...]) -> dict[str, Callable[[], object]]:
    """Our ways, on all tests at once, from counts as they lie in memory."""
    na, xa, nb, xb = data
    frame = pl.DataFrame(
        {
            "experiment_id": np.repeat(np.arange(len(na)), 2).astype(str),
            "variant": ["a", "b"] * len(na),
            "n": np.stack([na, nb], 1).ravel(),
            "sum": np.stack([xa, xb], 1).ravel(),
        }
    )
    arms, config = counts.load(frame, Columns()), analysis.Config()

    def t() -> object:
        gap = effects.absolute(moments.binary(na, xa), moments.binary(nb, xb))
        return fixed.welch(gap)

    def z() -> object:
        gap = effects.absolute(moments.binary(na, xa), moments.binary(nb, xb))
        return pooled(xa, na, xb, nb), fixed.normal(gap)

    return {"full": lambda: analysis.analyze(arms, config), "t": t, "z": z}


class Rivals:
    """A process in the rivals' environment that answers with seconds."""

    def __init__(self, folder: Path, data: tuple[np.ndarray, ...], few: int) -> None:
        self._file = tempfile.NamedTemporaryFile("w", suffix=".json", delete=False)  # noqa: SIM115
        json.dump(np.stack(data, 1)[:few].tolist(), self._file)
        self._file.close()
        self._process = subprocess.Popen(
            [_python(folder), "-c", RIVAL, self._file.name], text=True,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        self._line()

    def seconds(self, way: str) -> float:
        """Time of one way over its tests."""
        assert self._process.stdin is not None
        self._process.stdin.write(way + "\n")
        self._process.stdin.flush()
        return float(self._line())

    def close(self) -> None:
        """End the process."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait()
        Path(self._file.name).unlink()

    def _line(self) -> str:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise SystemExit("the rivals' process ended: are gbstats and statsmodels in --venv?")
        return line


def _python(folder: Path) -> str:
    program = folder / "bin" / "python"
    if not program.exists():
        venv.create(folder, with_pip=True)
        subprocess.run([str(program), "-m", "pip", "install", "-q", *PACKAGES], check=True)
    return str(program)


def seconds(run: Callable[[], object]) -> float:
    """Wall time of one call."""
    start = time.perf_counter()
    run()
    return time.perf_counter() - start


WAYS = {"gbstats_full": "full", "statsmodels_full": "full", "gbstats_t": "t", "statsmodels_z": "z"}
"""Each rival's way and ours that gives at least as much."""


def race(tests: int, rounds: int, folder: Path) -> dict[str, object]:
    """Time all ways in interleaved rounds; medians, and the median of the rounds' ratios."""
    data = tables(tests)
    mine, few = ours(data), min(FEW, tests)
    rivals = Rivals(folder, data, few)
    times: dict[str, list[float]] = {}
    try:
        for run in mine.values():
            run()
        for _ in range(rounds):
            for name, run in mine.items():
                times.setdefault(name, []).append(min(seconds(run) for _ in range(3)))
            for name in WAYS:
                times.setdefault(name, []).append(rivals.seconds(name) * tests / few)
    finally:
        rivals.close()
    ratios = {
        name: round(statistics.median(r / o for r, o in zip(times[name], times[own], strict=True)))
        for name, own in WAYS.items()
    }
    medians = {name: float(f"{statistics.median(values):.3g}") for name, values in times.items()}
    return {
        "benchmark": "experiments", "tests": tests, "rounds": rounds, "rivals_timed_on": few,
        "seconds": medians, "times_faster": ratios,
    }  # fmt: skip


def peeking(runs: int) -> dict[str, object]:
    """A/A and A/B at 168 hourly looks: false winners, and power beside one test at the end."""
    base = simulation.Scenario(rate=0.02, n=50_400, looks=168, runs=runs)
    even = {o.rule: o for o in simulation.simulate(base)}
    lift = {
        o.rule: o
        for o in simulation.simulate(
            simulation.Scenario(rate=0.02, lift=0.1, n=50_400, looks=168, runs=runs)
        )
    }
    ours, end = "group sequential (Lan-DeMets)", "fixed, last look only"
    return {
        "benchmark": "peeking", "looks": 168, "runs": runs, "per_arm": 50_400, "rate": 0.02,
        "lift": 0.1,
        "false_winners": {name: round(o.winners, 4) for name, o in even.items()},
        "power": {name: round(o.b_wins, 4) for name, o in lift.items()},
        "simulation_error": round(max(o.error for o in (even[ours], lift[ours])), 4),
        "points_below_fixed": round(100 * (lift[end].b_wins - lift[ours].b_wins), 2),
    }  # fmt: skip


def main() -> None:
    """Race, then peek."""
    read = argparse.ArgumentParser(description=(__doc__ or "").split(".")[0])
    read.add_argument("--tests", type=int, default=10_000)
    read.add_argument("--rounds", type=int, default=5)
    read.add_argument("--runs", type=int, default=20_000)
    read.add_argument("--venv", type=Path, default=Path(tempfile.gettempdir()) / "huntaze-rivals")
    asked = read.parse_args()
    print(json.dumps(race(asked.tests, asked.rounds, asked.venv)), flush=True)
    print(json.dumps(peeking(asked.runs)), flush=True)


if __name__ == "__main__":
    sys.exit(main())
