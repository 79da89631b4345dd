"""Dagster's home: its configuration, its schema in our PostgreSQL and the variables it reads."""

from importlib.resources import files

from sqlalchemy import text
from sqlalchemy.engine import make_url

from huntaze_pipeline.settings import PACKAGE, Settings
from huntaze_pipeline.store import session

SCHEMA = "dagster"


def prepare(ready: Settings) -> dict[str, str]:
    """Write HUNTAZE_HOME/dagster/dagster.yaml and create the schema; return Dagster's variables.

    Raises:
        StoreError: PostgreSQL does not answer.
    """
    home = ready.root / "dagster"
    home.mkdir(parents=True, exist_ok=True)
    template = files("huntaze_pipeline.local").joinpath("dagster.yaml").read_text()
    (home / "dagster.yaml").write_text(template)
    with session.Store(ready, pooled=False).owner() as connection:
        connection.execute(text(f"create schema if not exists {SCHEMA}"))
    return {"DAGSTER_HOME": str(home), "HUNTAZE_DAGSTER_URL": url(ready)}


def url(ready: Settings) -> str:
    """Return the address of Dagster's storage: our database, its own schema, psycopg 2."""
    address = make_url(session.url(ready, "psycopg2"))
    query = {**address.query, "options": f"-csearch_path={SCHEMA}"}
    return address.set(query=query).render_as_string(hide_password=False)


def workspace() -> list[str]:
    """Return the arguments that name our code location: the checkout's file, or the module."""
    beside = PACKAGE.parent / "workspace.yaml"
    if beside.is_file():
        return ["-w", str(beside)]
    return ["-m", "huntaze_pipeline.definitions"]
