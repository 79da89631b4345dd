"""Bring a database to the newest schema, and say whether it is there."""

from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy import Connection, text

from huntaze_pipeline.store.session import Store

if TYPE_CHECKING:
    from alembic.config import Config

_HERE = Path(__file__).parent / "migrations"
_LOCK = 0x48554E54  # "HUNT": one migration at a time, whoever starts first


def _config(connection: Connection) -> "Config":
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(_HERE))
    config.attributes["connection"] = connection
    return config


def upgrade(store: Store) -> None:
    """Apply every migration that is missing; two processes at once wait for each other.

    Raises:
        StoreError: the database does not answer or refuses.
    """
    from alembic import command

    with store.owner() as connection:
        connection.execute(text("select pg_advisory_xact_lock(:key)"), {"key": _LOCK})
        command.upgrade(_config(connection), "head")


def pending(store: Store) -> list[str]:
    """Return the migrations that this database still lacks, oldest first."""
    from alembic.runtime.migration import MigrationContext
    from alembic.script import ScriptDirectory

    with store.owner() as connection:
        context = MigrationContext.configure(
            connection, opts={"version_table": "huntaze_migrations"}
        )
        current = context.get_current_revision()
        script = ScriptDirectory.from_config(_config(connection))
        revisions = [r.revision for r in script.walk_revisions()]
    missing = revisions[: revisions.index(current)] if current in revisions else revisions
    return missing[::-1]
