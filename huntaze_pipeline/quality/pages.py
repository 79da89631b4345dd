"""Great Expectations' own data docs: suites and a batch's results as pages for a browser.

They need nothing from the web: `offline` says how they look.
"""

import json
from collections.abc import Sequence
from pathlib import Path

import polars as pl

from huntaze_pipeline.quality import judge
from huntaze_pipeline.quality.suite import Suite

SITE = "huntaze"
PAGE = {"module_name": "huntaze_pipeline.quality.offline", "class_name": "Page"}


def build(batches: Sequence[tuple[Suite, pl.DataFrame]], out: Path) -> Path:
    """Validate batches and write the pages of their suites and results.

    Args:
        batches: suites whose formulas are computed, with frames that have the derived columns.
        out: a folder; what is in it of an earlier build is replaced.

    Returns:
        The page to open.
    """
    import great_expectations as gx
    from great_expectations.core import RunIdentifier

    context = judge.context()
    backend = {"class_name": "TupleFilesystemStoreBackend", "base_directory": str(out.absolute())}
    sections = {key: {"view": PAGE} for key in ("expectations", "validations", "profiling")}
    context.add_data_docs_site(
        SITE,
        {"class_name": "SiteBuilder", "store_backend": backend, "site_section_builders": sections,
         "site_index_builder": {"class_name": "DefaultSiteIndexBuilder", "view": PAGE}},
    )  # fmt: skip
    source = context.data_sources.add_pandas("batches")
    for suite, frame in batches:
        whole = source.add_dataframe_asset(suite.name).add_batch_definition_whole_dataframe("whole")
        kept = context.suites.add(judge.library_suite(suite))
        definition = context.validation_definitions.add(
            gx.ValidationDefinition(name=suite.name, data=whole, suite=kept)
        )
        checkpoint = gx.Checkpoint(name=suite.name, validation_definitions=[definition])
        context.checkpoints.add(checkpoint).run(
            batch_parameters={"dataframe": frame.to_pandas(use_pyarrow_extension_array=True)},
            run_id=RunIdentifier(run_name=f"{frame.height}-rows"),
        )
    built = context.build_data_docs(site_names=[SITE])
    return Path(json.loads(json.dumps(built))[SITE].removeprefix("file://"))
