"""Stations two to four: staging, marts and metrics, one asset per file in `dbt_like_sql/`."""

from pathlib import Path

import dagster as dg

from huntaze_pipeline.orchestration import factory
from huntaze_pipeline.warehouse import models


def tables(folder: Path) -> tuple[list[dg.AssetsDefinition], list[dg.AssetChecksDefinition]]:
    """Return an asset for every model of the folder and a check for every audit.

    Raises:
        ModelError: headers, references or the graph have faults; all of them, with file:line.
    """
    project = models.load(folder)
    return factory.assets(project), factory.checks(project)
