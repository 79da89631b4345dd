"""A database as a user has it: cleaned and analyzed while it works. Tests do without."""

from sqlalchemy import text

from huntaze_pipeline.store import migrate
from huntaze_pipeline.store.session import Store


def upgrade(store: Store) -> None:
    """Make the tables, and let PostgreSQL look after them."""
    migrate.upgrade(store)
    with store.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text("alter system set autovacuum = on"))
        connection.execute(text("select pg_reload_conf()"))
