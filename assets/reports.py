"""Reports as assets: the pictures that `huntaze report` draws, beside the tables they are of."""

from pathlib import Path

import dagster as dg

from huntaze_pipeline.orchestration import factory
from huntaze_pipeline.warehouse import models, reports


def pages(folder: Path) -> list[dg.AssetsDefinition]:
    """Return an asset for every report of the folder.

    Raises:
        ModelError: headers, references, columns or SQL have faults; all of them, with file:line.
    """
    project = models.load(folder)
    return [factory.page(report) for report in reports.load(folder, project).values()]
