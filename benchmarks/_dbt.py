"""Our models as a dbt project, written as a dbt user would."""

import subprocess
from pathlib import Path

import duckdb

from huntaze_pipeline.warehouse import models, raw


class Dbt:
    """The same models as a dbt project."""

    def __init__(self, python: str, folder: Path, data: Path, project: models.Project) -> None:
        self.python, self.folder, self.data = python, folder, data
        (folder / "models").mkdir(parents=True)
        (folder / "dbt_project.yml").write_text(
            "name: rival\nversion: '1.0'\nprofile: rival\n"
            "flags: {send_anonymous_usage_stats: false}\n"
        )
        (folder / "profiles.yml").write_text(
            "rival: {target: x, outputs: {x: {type: duckdb, threads: 1,"
            f" path: '{folder}/rival.duckdb', settings: {{TimeZone: UTC}}}}}}}}\n"
        )
        tables = "".join(f"\n      - name: {name}" for name in raw.TABLES)
        (folder / "models" / "sources.yml").write_text(
            f"version: 2\nsources:\n  - name: raw\n    schema: raw\n    tables:{tables}\n"
        )
        for model in project.models:
            (folder / "models" / f"{model.name.split('.')[1]}.sql").write_text(_dbt(model))

    def load(self) -> None:
        """Bring the raw tables up to date; not counted."""
        con = duckdb.connect(f"{self.folder}/rival.duckdb")
        con.execute("set timezone = 'UTC'; create schema if not exists raw")
        for table in raw.TABLES:
            con.execute(
                f"create or replace table raw.{table} as from '{self.data}/{table}.parquet'"
            )
        con.close()

    def run(self, *options: str) -> None:
        """Run dbt in a process of its own, as people do."""
        code = "import sys; from dbt.cli.main import cli; sys.exit(cli())"
        command = [self.python, "-c", code, "--quiet", "run", *options]
        here = ["--project-dir", str(self.folder), "--profiles-dir", str(self.folder)]
        subprocess.run([*command, *here], check=True, cwd=self.folder)


def _dbt(model: models.Model) -> str:
    refs = {ref: f"{{{{ ref('{ref.split('.')[1]}') }}}}" for ref in model.refs}
    sources = {s: f"{{{{ source('raw', '{s.split('.')[1]}') }}}}" for s in model.sources}
    body = model.reading(refs | sources)
    part = model.header.incremental
    if part is None:
        kind = model.header.materialization
        return f"{{{{ config(materialized='{kind}') }}}}\n{body}"
    config = "materialized='incremental', incremental_strategy='delete+insert'"
    keys = ", ".join(f"'{name}'" for name in model.header.grain)
    time_ = part.partition or (part.near if part.near in part.key else None)
    if time_:
        where = f"{time_} >= (select max({time_}) from {{{{ this }}}}) - interval 5 day"
    else:
        names = [name for name in part.key if name != "touch"]
        lately = "(select max(arrival) from {{ source('raw', 'events') }})"
        columns = {"message_key": "message_id", "source": "message_source",
                   "source_id": "message_source_id", "kind": "'live'"}  # fmt: skip
        chosen = ", ".join(columns.get(name, name) for name in names)
        where = (
            f"({', '.join(names)}) in (select {chosen} from {{{{ source('raw', 'events') }}}}"
            f" where arrival = {lately})"
        )
    return (
        f"{{{{ config({config}, unique_key=[{keys}]) }}}}\nselect * from ({body}) made\n"
        f"{{% if is_incremental() %}}where {where}{{% endif %}}"
    )
