"""From a SQL model file to a Dagster asset: its header becomes description, owner, columns."""

from collections.abc import Sequence
from datetime import timedelta

import dagster as dg
from duckdb import DuckDBPyConnection

from huntaze_pipeline.clock import duration
from huntaze_pipeline.errors import ModelError
from huntaze_pipeline.orchestration import pictures
from huntaze_pipeline.orchestration.resources import Rooms
from huntaze_pipeline.warehouse import audits, lineage, runner
from huntaze_pipeline.warehouse.models import Audit, Model, Project
from huntaze_pipeline.warehouse.reports import Report
from huntaze_pipeline.warehouse.turn import Built

WRITERS = "lake"
"""The pool of assets that write to the lake; its limit is the instance's choice."""


def key(name: str) -> dg.AssetKey:
    """Return the asset key of a table of the lake: layer and thing."""
    return dg.AssetKey(name.split("."))


def assets(project: Project) -> list[dg.AssetsDefinition]:
    """Return one asset per model file."""
    tables = lineage.shapes(project)
    return [_asset(project, model, tables) for model in project.models]


def checks(project: Project) -> list[dg.AssetChecksDefinition]:
    """Return one check per audit file, on the model it reads that is built last."""
    order = {model.name: number for number, model in enumerate(project.models)}
    return [
        _check(audit, sorted(audit.refs, key=lambda name: -order[name]))
        for audit in project.audits
        if audit.refs
    ]


def freshness(within: str | None) -> dg.FreshnessPolicy | None:
    """Return the policy of a header's `freshness: 2h`: older fails, three quarters of it warns.

    Raises:
        ValueError: it is no duration such as 2h or 1d, or less than two minutes.
    """
    if within is None:
        return None
    window = duration(within)
    if window < timedelta(minutes=2):
        raise ValueError(f"freshness {within!r} is less than two minutes")
    return dg.FreshnessPolicy.time_window(fail_window=window, warn_window=window * 0.75)


def page(report: Report) -> dg.AssetsDefinition:
    """Return the asset of a report: run for one creator, shown as the charts of its header."""

    @dg.asset(
        key=key(f"reports.{report.name}"),
        deps=[key(name) for name in report.refs],
        description=f"{report.header.title}. {report.header.description}",
        owners=[report.header.owner],
        group_name="reports",
        kinds={"duckdb", "sql"},
        tags={"layer": "reports"},
    )
    def build(rooms: Rooms) -> dg.MaterializeResult:
        with rooms.lake() as lake:
            return dg.MaterializeResult(metadata=pictures.report(lake, report))

    return build


def schema(model: Model) -> dg.TableSchema:
    """Return the model's columns as Dagster shows them."""
    columns = [dg.TableColumn(c.name, type=c.type, description=c.meaning) for c in model.columns]
    return dg.TableSchema(columns=columns)


def ancestry(model: Model, tables: lineage.Shapes) -> dict[str, dg.MetadataValue]:
    """Return the lineage of the model's columns as Dagster shows it; without one, the reason."""
    try:
        found = lineage.columns(model, tables)
    except ModelError as error:
        return {"column_lineage": dg.MetadataValue.text(str(error))}
    deps = {
        column: [dg.TableColumnDep(asset_key=key(o.table), column_name=o.column) for o in origins]
        for column, origins in found.items()
        if origins
    }
    return {"dagster/column_lineage": dg.MetadataValue.column_lineage(dg.TableColumnLineage(deps))}


def as_of(lake: "runner.DuckDBPyConnection") -> dict[str, dg.MetadataValue]:
    """Return what a table's numbers are and as of when: settled, by the clock of the build."""
    row = lake.execute("select as_of from lake.raw.clock").fetchone()
    metadata: dict[str, dg.MetadataValue] = {"numbers": dg.MetadataValue.text("settled")}
    if row is not None:
        metadata["as_of"] = dg.MetadataValue.timestamp(row[0])
    return metadata


def _asset(project: Project, model: Model, tables: lineage.Shapes) -> dg.AssetsDefinition:
    layer, _ = model.name.split(".")

    @dg.asset(
        key=key(model.name),
        deps=[key(name) for name in (*model.refs, *model.sources)],
        description=model.header.description,
        owners=[model.header.owner],
        group_name=layer,
        kinds={"duckdb", "sql"},
        tags={"layer": layer},
        code_version=model.version,
        metadata={"dagster/column_schema": schema(model), "dagster/table_name": model.name},
        freshness_policy=freshness(model.header.freshness),
        pool=WRITERS,
    )
    def build(rooms: Rooms) -> dg.MaterializeResult:
        with rooms.lake() as lake:
            built = _build(lake, project, model)
            picture = pictures.of(model.name, lake, lambda: rooms.policies)
            standing = as_of(lake) if layer == "metrics" else {}
        rows = {} if built.rows is None else {"dagster/row_count": built.rows}
        figures = {**rows, "seconds": round(built.seconds, 3), "how": built.how}
        return dg.MaterializeResult(metadata=figures | standing | picture | ancestry(model, tables))

    return build


def _build(lake: DuckDBPyConnection, project: Project, model: Model) -> Built:
    """Build one model; its faults are for the author of the SQL, and no retry mends them."""
    try:
        return runner.one(lake, project, model)
    except ModelError as error:
        raise dg.Failure(description=str(error), allow_retries=False) from None


def _check(audit: Audit, refs: Sequence[str]) -> dg.AssetChecksDefinition:
    severity = getattr(dg.AssetCheckSeverity, audit.header.severity.upper())

    @dg.asset_check(
        asset=key(refs[0]),
        additional_deps=[key(name) for name in refs[1:]],
        name=audit.name.split(".")[-1],
        description=audit.header.description,
    )
    def check(rooms: Rooms) -> dg.AssetCheckResult:
        with rooms.lake() as lake:
            (results,) = audits.run(lake, [audit])
        return dg.AssetCheckResult(
            passed=results.bad == 0,
            severity=severity,
            metadata={"bad_rows": results.bad, "examples": [str(row) for row in results.sample]},
        )

    return check
