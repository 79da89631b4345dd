"""How long five attribution models take: ours against `marketing-attribution-models`.

Both get the same touches as data frames in memory, build journeys and give credit by first and last
touch, equal parts, position and time decay; the credits are compared too. The rival has an
environment of its own (made once under the temporary folder) and is timed in its own process, in
interleaved rounds. With `--memory` one file of journeys is analysed instead and the process's
peak is measured. Prints one line of JSON.

    python benchmarks/attribution.py [journeys] [rounds]
    python benchmarks/attribution.py --memory [journeys]
"""

import json
import resource
import statistics
import subprocess
import sys
import tempfile
import time
import venv
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

RIVAL = "marketing-attribution-models"
VERSION = "2.1.1"
MODELS = ("first", "last", "linear", "time_decay", "position")
START_US = 1_770_000_000_000_000
DAY_US = 86_400_000_000


def made(journeys: int, seed: int = 1) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Touches of so many fans in 25 days, and conversions of a fifth at their last touch."""
    rng = np.random.default_rng(seed)
    lengths = np.minimum(rng.geometric(0.35, journeys), 40)
    fan = np.repeat(np.arange(journeys) + seed * 100_000_000, lengths)
    at = START_US + rng.integers(0, 25 * DAY_US, len(fan))
    channel = np.array([f"channel_{n}" for n in range(10)])[rng.integers(0, 10, len(fan))]
    touches = pl.DataFrame({"fan_id": fan, "ts": at, "channel": channel}).sort("fan_id", "ts")
    last = touches.group_by("fan_id", maintain_order=True).agg(pl.col("ts").last())
    bought = last.filter(pl.Series(rng.random(len(last)) < 0.2))
    bought = bought.with_columns(pl.Series("value", rng.integers(100, 20_000, len(bought)) / 100))
    return _typed(touches), _typed(bought)


def _typed(frame: pl.DataFrame) -> pl.DataFrame:
    time_ = pl.from_epoch("ts", time_unit="us").dt.replace_time_zone("UTC")
    return frame.with_columns(pl.col("fan_id").cast(pl.String), time_)


def ours(touches: pl.DataFrame, conversions: pl.DataFrame) -> dict[str, dict[str, float]]:
    """Credit in units by model and channel."""
    from huntaze_pipeline.measurement import attribution

    rules = attribution.Rules(lookback=timedelta(days=30))
    micros = (pl.col("value") * 1e6).round().cast(pl.Int64).alias("value_micros")
    joined = attribution.join(
        touches.with_row_index("event_id"), conversions.select("fan_id", "ts", micros), rules
    )
    credits = attribution.credit(joined, rules, MODELS)
    return {m: {c: r["value_micros"] / 1e6 for c, r in t.items()} for m, t in credits.items()}


_WORKER = """
import json, sys, time
import polars as pl
from mam.core import MAM

frame = pl.read_parquet(sys.argv[1])
RUNS = ("first_click", "last_click", "linear", "time_decay", "position_based")
for line in sys.stdin:
    start = time.perf_counter()
    mam = MAM(df=frame, format_type="session", channels_colname="channel",
              journey_with_conv_colname="won", datetime_colname="ts", user_id_colname="fan_id",
              conversion_value_colname="value")
    tables = [getattr(mam, f"run_{name}")().to_polars() for name in RUNS]
    seconds = time.perf_counter() - start
    credits = [dict(zip(t["channels"].to_list(), t["attribution"].to_list())) for t in tables]
    print(json.dumps({"seconds": seconds, "credits": credits}), flush=True)
"""


def rival(folder: Path) -> tuple[Path | None, str]:
    """The interpreter of an environment that has the rival, or why there is none."""
    home = Path(tempfile.gettempdir()) / "huntaze-rivals" / "attribution"
    python = home / "bin" / "python"
    try:
        if not python.is_file():
            venv.create(home, with_pip=True)
        wanted = [str(python), "-m", "pip", "install", "-q", f"{RIVAL}=={VERSION}"]
        done = subprocess.run(wanted, capture_output=True, text=True, check=False)
    except OSError as error:
        return None, str(error)
    last = done.stderr.strip().splitlines()[-1:] or ["pip failed"]
    return (python, "") if done.returncode == 0 else (None, last[0])


def compared(journeys: int, rounds: int) -> dict[str, Any]:
    """Both in turn, on the same journeys."""
    touches, conversions = made(journeys)
    size = {"journeys": journeys, "touches": len(touches), "conversions": len(conversions)}
    with tempfile.TemporaryDirectory() as folder:
        process, reason = _started(Path(folder), touches, conversions)
        mine, theirs, gap = [], [], 0.0
        for _ in range(rounds + 1):
            start = time.perf_counter()
            credits = ours(touches, conversions)
            mine.append(time.perf_counter() - start)
            if process:
                answer = _round(process)
                theirs.append(answer["seconds"])
                gap = _gap(credits, answer["credits"])
        if process and process.stdin:
            process.stdin.close()
            process.wait()
    ours_s = statistics.median(mine[1:])
    result = {"benchmark": "attribution", **size, "rounds": rounds, "ours_s": _short(ours_s)}
    if not theirs:
        return result | {"skipped": {RIVAL: reason}}
    rival_s = statistics.median(theirs[1:])
    return result | {
        f"{RIVAL} {VERSION}": _short(rival_s), "ratio": round(rival_s / ours_s, 1),
        "largest_difference": _short(gap),
    }  # fmt: skip


def _started(
    folder: Path, touches: pl.DataFrame, conversions: pl.DataFrame
) -> tuple[subprocess.Popen[str] | None, str]:
    python, reason = rival(folder)
    if python is None:
        return None, reason
    won = conversions.with_columns(pl.lit(True).alias("won"))
    flat = touches.join(won, on=["fan_id", "ts"], how="left").with_columns(
        pl.col("won").fill_null(False), pl.col("value").fill_null(0.0),
        pl.col("ts").dt.replace_time_zone(None),
    )  # fmt: skip
    flat.write_parquet(folder / "sessions.parquet")
    command = [str(python), "-c", _WORKER, str(folder / "sessions.parquet")]
    pipe = subprocess.PIPE
    return subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True), ""


def _round(process: subprocess.Popen[str]) -> dict[str, Any]:
    assert process.stdin
    assert process.stdout
    process.stdin.write("go\n")
    process.stdin.flush()
    return json.loads(process.stdout.readline())


def _gap(mine: dict[str, dict[str, float]], theirs: list[dict[str, float]]) -> float:
    """The largest difference of one channel's credit, as a share of all credit."""
    total = sum(mine["linear"].values())
    return max(
        abs(mine[model][channel] - credits[channel]) / total
        for model, credits in zip(MODELS, theirs, strict=True)
        for channel in mine[model]
    )


def memory(journeys: int) -> dict[str, Any]:
    """Peak memory and time of `huntaze attribution analyze` on a file of so many journeys."""
    with tempfile.TemporaryDirectory() as folder:
        rows = _files(Path(folder), journeys)
        command = [
            sys.executable, "-m", "huntaze_pipeline.cli", "attribution", "analyze", "--json",
            "--touches", f"{folder}/touches.parquet",
            "--conversions", f"{folder}/conversions.parquet",
        ]  # fmt: skip
        start = time.perf_counter()
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        seconds = time.perf_counter() - start
        peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 2**20
    totals = json.loads(done.stdout)["totals"]
    return {
        "benchmark": "attribution memory", "journeys": journeys, "touches": rows,
        "conversions": totals["conversions"], "seconds": _short(seconds), "peak_gib": _short(peak),
    }  # fmt: skip


_TOUCHES = """
    copy (
        select 'fan-' || fan as fan_id,
            make_timestamptz({start} + (hash(fan, touch) % {span})::bigint) as ts,
            'channel_' || hash(touch, fan) % 10 as channel
        from (
            select fan, unnest(range(least(40, 1 + floor(
                ln((1 + hash(fan) % 1000000) / 1000001.0) / ln(0.65)))::bigint)) as touch
            from range({journeys}) t (fan)
        )
    ) to '{folder}/touches.parquet'
"""
_CONVERSIONS = """
    copy (
        select 'fan-' || fan as fan_id, make_timestamptz({start} + {span}) as ts,
            (100 + hash(fan, 'value') % 20000) / 100 as value
        from range({journeys}) t (fan) where hash(fan, 'won') % 5 = 0
    ) to '{folder}/conversions.parquet'
"""


def _files(folder: Path, journeys: int) -> int:
    """Write the files with DuckDB, whose memory is not the child's; return how many touches."""
    import duckdb

    names = {"start": START_US, "span": 25 * DAY_US, "journeys": journeys, "folder": folder}
    with duckdb.connect() as con:
        con.execute("set memory_limit = '1GiB'")
        for statement in (_TOUCHES, _CONVERSIONS):
            con.execute(statement.format(**names))
        row = con.execute(f"select count(*) from '{folder}/touches.parquet'").fetchone()
    return int(row[0]) if row else 0


def _short(value: float) -> float:
    return float(f"{value:.3g}")


def main() -> None:
    """Run what was asked for and print the figures."""
    words = [word for word in sys.argv[1:] if word != "--memory"]
    if "--memory" in sys.argv:
        print(json.dumps(memory(int(words[0]) if words else 10_000_000)))
        return
    journeys = int(words[0]) if words else 100_000
    print(json.dumps(compared(journeys, int(words[1]) if len(words) > 1 else 7)))


if __name__ == "__main__":
    main()
