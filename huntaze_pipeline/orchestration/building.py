"""Materializing in this process instead of a launched run, on the instance that the UI shows."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import dagster as dg

from huntaze_pipeline.errors import WarehouseError

EVERYTHING = "everything"
QUIET = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}
"""The instance keeps every event of the run; the terminal is the caller's."""


def build(
    definitions: dg.Definitions, tell: Callable[[str, float], None], job: str = EVERYTHING
) -> None:
    """Materialize the assets of a job and run their checks.

    Args:
        definitions: the code location.
        tell: called with each finished asset and the share that is done.
        job: which; by default every asset.

    Raises:
        WarehouseError: an asset could not be built or an audit failed; says which and why.
    """
    chosen = definitions.resolve_job_def(job)
    with dg.DagsterInstance.get() as instance, _told(instance, len(chosen.graph.node_dict), tell):
        result = chosen.execute_in_process(
            instance=instance, run_config=QUIET, raise_on_error=False
        )
    if not result.success:
        raise WarehouseError("the build failed:\n" + "\n".join(_failures(result)))
    failed = [
        check.check_name
        for check in result.get_asset_check_evaluations()
        if not check.passed and check.severity == dg.AssetCheckSeverity.ERROR
    ]
    if failed:
        raise WarehouseError(f"audits found bad rows: {', '.join(failed)}; see the Dagster UI")


@contextmanager
def _told(
    instance: dg.DagsterInstance, steps: int, tell: Callable[[str, float], None]
) -> Iterator[None]:
    """Call `tell` for every step that the instance hears of, as long as the block runs."""
    done = 0
    hear = instance.handle_new_event

    def listen(event: Any, **rest: Any) -> Any:
        nonlocal done
        inner = event.dagster_event
        if inner is not None and inner.is_step_success:
            done += 1
            tell(str(inner.step_key).replace("__", "."), min(done / steps, 1.0))
        return hear(event, **rest)

    instance.handle_new_event = listen
    try:
        yield
    finally:
        instance.handle_new_event = hear


def _failures(result: dg.ExecuteInProcessResult) -> list[str]:
    """Name every step that failed with the innermost reason."""
    lines = []
    for event in result.all_events:
        if event.is_step_failure:
            error = event.step_failure_data.error
            while error is not None and error.cause is not None:
                error = error.cause
            lines.append(f"  {event.step_key}: {error.message.strip() if error else 'failed'}")
    return lines
