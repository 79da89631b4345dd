from pathlib import Path

import pytest

from huntaze_pipeline.errors import ModelError
from huntaze_pipeline.settings import load as settings
from huntaze_pipeline.warehouse.models import load

HEADER = """/* ---
description: d
grain: [n]
owner: team:data
materialization: table
columns:
  n: BIGINT | a number
--- */
"""


def write(folder: Path, **bodies: str) -> Path:
    for name, body in bodies.items():
        layer, _, stem = name.partition("__")
        (folder / layer).mkdir(exist_ok=True)
        (folder / layer / f"{stem}.sql").write_text(
            body if body.startswith("/*") else HEADER + body
        )
    return folder


def problems(folder: Path) -> list[str]:
    with pytest.raises(ModelError) as caught:
        load(folder)
    return [str(p).replace(f"{folder}/", "") for p in caught.value.problems]


def test_models_come_in_the_order_of_their_references(tmp_path: Path) -> None:
    write(
        tmp_path,
        staging__z="select n from source('raw.clock')",
        marts__a="select n from ref('metrics.m')",
        metrics__m="select n from ref('staging.z')",
    )
    project = load(tmp_path)
    assert [m.name for m in project.models] == ["staging.z", "metrics.m", "marts.a"]
    assert project.models[1].sql == "select n from lake.staging.z"
    assert [m.name for m in project.select(["+metrics.m"])] == ["staging.z", "metrics.m"]


def test_every_fault_of_every_file_is_told_at_once(tmp_path: Path) -> None:
    write(
        tmp_path,
        staging__a="select 1\nfrom ref('staging.none') join source('raw.none') on true",
        staging__b="/* no header */ select 1",
        staging__c=HEADER.replace("owner: team:data\n", "") + "select 1",
        staging__d=HEADER.replace("BIGINT | a number", "a number") + "select 1",
        staging__e=HEADER.replace("[n]", "[m]") + "select n from lake.raw.events",
        other__f="select 1",
    )
    found = problems(tmp_path)
    assert [text.split(" ")[0] for text in found] == [
        "other/f.sql:1:", "staging/a.sql:10:", "staging/a.sql:10:", "staging/b.sql:1:",
        "staging/c.sql:1:", "staging/d.sql:6:", "staging/e.sql:3:", "staging/e.sql:9:",
    ]  # fmt: skip
    assert "owner: Field required" in found[4]


def test_a_circle_is_told_with_its_members(tmp_path: Path) -> None:
    write(
        tmp_path,
        staging__a="select n from ref('staging.b')",
        staging__b="select n from ref('staging.a')",
        staging__c="select 1",
    )
    assert problems(tmp_path)[0].endswith("refer to each other: staging.a, staging.b")


def test_an_empty_folder_is_told(tmp_path: Path) -> None:
    assert "holds no models" in problems(tmp_path)[0]


def test_the_version_follows_the_sql_and_the_contract_not_the_words(
    tmp_path: Path,
) -> None:
    first = load(write(tmp_path, staging__a="select 1")).models[0].version
    again = HEADER.replace("description: d", "description: other")
    assert load(write(tmp_path, staging__a=again + "select 1")).models[0].version == first
    assert load(write(tmp_path, staging__a="select 2")).models[0].version != first
    harder = HEADER.replace("--- */", "audits: {none: select * from this}\n--- */")
    assert harder != HEADER
    assert load(write(tmp_path, staging__a=harder + "select 1")).models[0].version != first


def test_the_shipped_models_are_sound_and_every_column_has_a_meaning() -> None:
    project = load(settings().models_dir)
    assert len(project.models) >= 18
    assert all(len(column.meaning) > 2 for model in project.models for column in model.columns)
