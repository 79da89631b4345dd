"""Great Expectations as the judge of record: the same suite, on the same batch, by the library.

It reads pandas and takes seconds to import, so it stands beside the gate and never in its way: the
gate is `sieve`, this is what checks, commands and tests hold it against.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import polars as pl
from duckdb import DuckDBPyConnection

from huntaze_pipeline.errors import ModelError, Problem
from huntaze_pipeline.quality import results, sieve
from huntaze_pipeline.quality.results import Result
from huntaze_pipeline.quality.suite import Expectation, Suite

SAMPLE = 100_000
"""Rows that the library is given of a larger batch; the gate has seen all of them."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the library made of a batch."""

    rows: int
    judged: int
    """How many of them it was given."""
    results: tuple[Result, ...]
    disputed: tuple[str, ...] = ()
    """Where gate and library do not say the same of these rows; there is never a reason for it."""


def judge(
    con: DuckDBPyConnection, relation: str, suite: Suite, *, sample: int | None = SAMPLE
) -> Verdict:
    """Validate a batch, or a reproducible sample of it, by Great Expectations and by the gate.

    Args:
        con: where the relation is.
        relation: a table, or a SELECT in brackets.
        suite: a suite whose formulas are computed.
        sample: rows at most; None: all of them.

    Raises:
        ModelError: the batch lacks columns, or the library refuses an expectation's arguments.
    """
    batch = sieve.prepared(con, relation, suite)
    (rows,) = con.execute(f"select count(*) from {batch}").fetchone() or (0,)
    some = "" if sample is None or rows <= sample else (
        f" using sample reservoir({sample} rows) repeatable (1)"
    )  # fmt: skip
    con.execute(f"create or replace temp table _judged as select * from {batch}{some}")
    frame = con.sql("select * from _judged").pl()
    results = validate(frame, suite)
    bare = replace(suite, derive={})  # they are columns of the table now
    disputed = _disputed(results, sieve.measure(con, "_judged", bare))
    con.execute("drop table _judged")
    return Verdict(int(rows), frame.height, tuple(results), disputed)


def validate(frame: pl.DataFrame, suite: Suite) -> list[Result]:
    """Validate a frame that has the derived columns already."""
    # The library answers in an order of its own; the number in `meta` says which is which.
    entries = {r.expectation_config.meta["n"]: r for r in describe(frame, suite).results}
    return [_result(e, entries[n], frame.height) for n, e in enumerate(suite.expectations)]


def _disputed(ours: Sequence[Result], gate: Sequence[Result]) -> tuple[str, ...]:
    compiled = {r.expectation: r for r in gate}
    return tuple(
        f"{r.expectation}: Great Expectations {r.unexpected:,}, the gate {g.unexpected:,}"
        for r in ours
        if (g := compiled.get(r.expectation)) is not None
        and (r.success, r.unexpected) != (g.success, g.unexpected)
    )


def describe(frame: pl.DataFrame, suite: Suite) -> Any:
    """Return the library's own result, as its data docs show it."""
    asset = context().data_sources.add_pandas("batches").add_dataframe_asset(suite.name)
    batch = asset.add_batch_definition_whole_dataframe("whole")
    # Arrow's types keep nulls and NaN apart, and whole numbers whole.
    pandas = frame.to_pandas(use_pyarrow_extension_array=True)
    return batch.get_batch({"dataframe": pandas}).validate(
        library_suite(suite), result_format={"result_format": "SUMMARY"}
    )


def context() -> Any:
    """Return the library's context: in memory, telling nobody, drawing no bars."""
    import great_expectations as gx

    made = gx.get_context(mode="ephemeral")
    made.enable_analytics(enable=False)
    made.variables.progress_bars = {"globally": False}  # pyright: ignore[reportAttributeAccessIssue]
    return made


def library_suite(suite: Suite) -> Any:
    """Return the suite as the library knows it.

    Raises:
        ModelError: it refuses some expectations' arguments; all of them are named.
    """
    import great_expectations as gx

    made, problems = [], []
    for number, expectation in enumerate(suite.expectations):
        try:
            made.append(_made(expectation, number))
        except (ValueError, TypeError) as error:
            reason = " ".join(str(error).split())[:300]
            problems.append(Problem(f"{suite.path}:{expectation.line}", reason))
    if problems:
        raise ModelError(problems)
    return gx.ExpectationSuite(name=suite.name, expectations=made)


def _made(expectation: Expectation, number: int) -> Any:
    import great_expectations.expectations as library
    from great_expectations.expectations.row_conditions import Column

    given: dict[str, Any] = dict(expectation.arguments)
    if "regex" in given:
        given["regex"] = _re2(str(given["regex"]))
    if expectation.where:
        given["row_condition"] = Column(expectation.where) == True  # noqa: E712 - the library's own form
    if expectation.mostly != 1:
        given["mostly"] = expectation.mostly
    if expectation.meaning:
        given["notes"] = expectation.meaning
    given["severity"] = "critical" if expectation.severity == "error" else "warning"
    return getattr(library, expectation.type)(**given, meta={"n": number})


def _re2(regex: str) -> str:
    """Make pandas match by RE2, as DuckDB does.

    Python's `$` also ends before a last newline and its classes are Unicode's. pandas hands what
    Python cannot parse to Arrow, whose engine is RE2; a Unicode property, repeated no times,
    matches nothing and is such a thing.
    """
    return regex + r"\p{L}{0}"


def _result(expectation: Expectation, entry: Any, rows: int) -> Result:
    """Take what we show out of the library's result."""
    counts: Mapping[str, Any] = entry.result or {}
    examples = list(dict.fromkeys(map(_shown, counts.get("partial_unexpected_list") or [])))
    if not counts and not entry.success:
        examples = [_raised(entry)]
    return results.of(
        expectation,
        success=bool(entry.success),
        rows=int(counts.get("element_count", rows) or 0),
        unexpected=int(counts.get("unexpected_count") or 0),
        examples=examples,
    )


def _shown(value: Any) -> str:
    """Write an example as the gate does: the values of several columns with commas between."""
    return ", ".join(map(str, value.values())) if isinstance(value, dict) else str(value)


def _raised(entry: Any) -> str:
    """Say why the library could not judge at all."""
    exceptions = entry.exception_info or {}
    first = exceptions if "exception_message" in exceptions else next(iter(exceptions.values()), {})
    return str(first.get("exception_message", "could not be judged")) if first else ""
