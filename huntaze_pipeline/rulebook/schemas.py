"""The JSON Schemas in rules/schema, made from the models so that editors complete and complain."""

import json
from pathlib import Path
from typing import Any

from huntaze_pipeline.rulebook.cases import Suite
from huntaze_pipeline.rulebook.policies import PolicyFile
from huntaze_pipeline.rulebook.schema import KINDS
from huntaze_pipeline.rulebook.vocabulary import FieldFile


def json_schemas() -> dict[str, dict[str, Any]]:
    """Return the JSON Schema of every kind of file, for editors."""
    named = {
        **{kind[:-1]: model for kind, model in KINDS.items()},
        "policies": PolicyFile,
        "tests": Suite,
        "fields": FieldFile,
    }
    return {
        name: {
            "$schema": "https://json-schema.org/draft/2020-12/schema",
            **model.model_json_schema(by_alias=True),
        }
        for name, model in named.items()
    }


def texts() -> dict[str, str]:
    """Return file name to content."""
    return {
        f"{name}.json": json.dumps(schema, indent=2, ensure_ascii=False, sort_keys=True) + "\n"
        for name, schema in json_schemas().items()
    }


def stale(rules_dir: Path) -> list[str]:
    """Return the schema files that are missing or differ from the models."""
    folder = rules_dir / "schema"
    return [
        name
        for name, text in texts().items()
        if not (folder / name).is_file() or (folder / name).read_text("utf-8") != text
    ]


def write(rules_dir: Path) -> list[str]:
    """Write the schema files that are stale; return their names."""
    folder = rules_dir / "schema"
    folder.mkdir(parents=True, exist_ok=True)
    changed = stale(rules_dir)
    for name in changed:
        (folder / name).write_text(texts()[name], "utf-8")
    return changed
