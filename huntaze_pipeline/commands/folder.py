"""The option that names the folder of rules, shared by commands."""

from pathlib import Path
from typing import Annotated

import typer

Folder = Annotated[
    Path | None, typer.Option("--rules", help="Another folder than HUNTAZE_RULES_DIR or ./rules.")
]


def rules_folder(given: Path | None) -> Path:
    """Return the folder that was given, else the one of the settings."""
    from huntaze_pipeline.settings import load

    return given or load().rules_dir
