"""Data contracts on a batch, checked by Great Expectations: suites are files, results are values.

A suite (`dbt_like_sql/quality/*.yaml`) lists expectations by their Great Expectations names. It
runs on one batch as a frame, never on the whole lake: the library reads pandas, and a batch is what
can be wrong.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl
import yaml

from huntaze_pipeline.errors import ModelError, Problem


@dataclass(frozen=True, slots=True)
class Expectation:
    """One expectation and what the batch made of it."""

    name: str
    column: str
    success: bool
    unexpected: int
    examples: tuple[str, ...]


def load(path: Path) -> list[dict[str, Any]]:
    """Read a suite's expectations.

    Raises:
        ModelError: the file is no suite, or names an expectation that does not exist.
    """
    document = yaml.safe_load(path.read_text())
    listed = document.get("expectations") if isinstance(document, dict) else None
    if not isinstance(listed, list) or not listed:
        raise ModelError([Problem(str(path), "a suite has a list `expectations`")])
    known = _library()
    problems = [
        Problem(f"{path}: expectation {number}", f"{entry.get('type')!r} does not exist")
        for number, entry in enumerate(listed, 1)
        if not hasattr(known, str(entry.get("type")))
    ]
    if problems:
        raise ModelError(problems)
    return listed


def validate(frame: pl.DataFrame, suite: list[dict[str, Any]]) -> list[Expectation]:
    """Check a batch against a suite; an empty batch meets every expectation."""
    if frame.is_empty():
        return []
    import great_expectations as gx

    context = gx.get_context(mode="ephemeral")
    context.enable_analytics(enable=False)
    context.variables.progress_bars = {"globally": False}  # pyright: ignore[reportAttributeAccessIssue]
    asset = context.data_sources.add_pandas("batch").add_dataframe_asset("rows")
    batch = asset.add_batch_definition_whole_dataframe("all")
    expectations = [
        getattr(_library(), entry["type"])(**{k: v for k, v in entry.items() if k != "type"})
        for entry in suite
    ]
    result = batch.get_batch({"dataframe": frame.to_pandas()}).validate(
        gx.ExpectationSuite(name="suite", expectations=expectations), result_format="SUMMARY"
    )
    return [_read(entry) for entry in result.results]


def _library() -> Any:
    import great_expectations.expectations as library

    return library


def _read(entry: Any) -> Expectation:
    """Take what we show out of a result."""
    config, found = entry.expectation_config, entry.result or {}
    column = config.kwargs.get("column") or ", ".join(config.kwargs.get("column_list", []))
    examples = tuple(str(value) for value in found.get("partial_unexpected_list", [])[:5])
    return Expectation(
        config.type, column, bool(entry.success), int(found.get("unexpected_count") or 0), examples
    )
