"""Databases for tests, each as new when it is lent.

To copy the template for every test costs more than most tests do. So a database in which a test
only wrote rows, or made schemas of its own, is emptied and lent again, under a name that nobody
knows yet. One whose tables, rights or statistics were touched, or that grew, is thrown away.
"""

import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
from lakes import ASIDE, Lakes
from psycopg import sql
from pydantic import SecretStr

from huntaze_pipeline.settings import Settings
from huntaze_pipeline.store import migrate
from huntaze_pipeline.store.session import Store

TEMPLATE = "huntaze_template"
LOANS = 50
"""How often a database is lent: deleted rows leave traces, which only time would show."""
BULK = 2_000_000
"""Bytes of a table that is not worth sweeping."""
CATALOGS = (
    "pg_attrdef", "pg_attribute", "pg_constraint", "pg_default_acl", "pg_index", "pg_policy",
    "pg_proc", "pg_sequence", "pg_statistic", "pg_trigger", "pg_type", "public.huntaze_migrations",
)  # fmt: skip
_ROWS = " union all ".join(f"select count(*) + sum(xmin::text::int8) from {c}" for c in CATALOGS)
SHAPE = f"""
    select sum(part) from (
        select hashtextextended((oid, relname, relnamespace, relowner, relacl, reloptions,
            relfilenode, relrowsecurity, relforcerowsecurity)::text, 0)::numeric from pg_class
        union all select hashtextextended(n::text, 0) from pg_namespace n
        union all {_ROWS}) as parts (part)
"""
"""A number that is another one as soon as anything but rows has changed."""
WRITTEN = f"""
    select nspname, relname, pg_total_relation_size(c.oid) > {BULK}
    from pg_class c join pg_namespace n on n.oid = relnamespace
    where relkind = 'r' and nspname = 'public' and relname <> 'huntaze_migrations'
        and pg_relation_size(c.oid) > 0
"""
ADDED = "select nspname from pg_namespace where oid >= 16384 and nspname <> %s"
RESTART = "select setval(oid::regclass, 1, false) from pg_class where relkind = 'S'"
GUESTS = "select pid from pg_stat_activity where datname = %s"


class Databases:
    """Lends the databases of one cluster."""

    def __init__(self, servers: Settings) -> None:
        self.servers = servers
        self._spare: list[tuple[str, int]] = []
        self._admin = psycopg.connect(self.address("postgres"), autocommit=True)
        self._do("create database {}", TEMPLATE)
        template = servers.model_copy(update={"database_url": SecretStr(self.address(TEMPLATE))})
        store = Store(template, pooled=False)
        migrate.upgrade(store)
        store.engine.dispose()
        self._lakes = Lakes(template)
        with psycopg.connect(self.address(TEMPLATE)) as connection:
            self._shape = connection.execute(SHAPE).fetchone()

    def close(self) -> None:
        """Let go of the cluster; the databases end with it."""
        self._admin.close()

    def address(self, name: str) -> str:
        """Return the address of a database."""
        assert self.servers.database_url is not None
        return self.servers.database_url.get_secret_value().rpartition("/")[0] + f"/{name}"

    @contextmanager
    def fresh(self) -> Iterator[str]:
        """Lend a database as new; yield its address."""
        name = f"test_{uuid.uuid4().hex[:12]}"
        loans = self._lent_again(name)
        yield self.address(name)
        self._empty_of_guests(name)
        if loans + 1 < LOANS and self._swept(name):
            self._spare.append((name, loans + 1))
        else:
            self._do("drop database {} with (force)", name)

    def _lent_again(self, name: str) -> int:
        """Give a spare database the name, or make one; return how often it was lent before."""
        while self._spare:
            used, loans = self._spare.pop()
            self._empty_of_guests(used)
            try:
                self._do("alter database {} rename to {}", used, name)
                return loans
            except psycopg.errors.ObjectInUse:  # a thread of an old test came back to it
                self._do("drop database {} with (force)", used)
        self._do("create database {} template {}", name, TEMPLATE)
        return 0

    def _swept(self, name: str) -> bool:
        """Delete what was written, when that makes the database as new; say whether it does."""
        with psycopg.connect(self.address(name)) as connection:
            connection.execute("set client_min_messages = error")
            self._lakes.put_back(connection)
            for added in connection.execute(ADDED, [ASIDE]).fetchall():  # a Dagster instance
                connection.execute(sql.SQL("drop schema {} cascade").format(sql.Identifier(*added)))
            if connection.execute(SHAPE).fetchone() != self._shape:
                return False
            written = connection.execute(WRITTEN).fetchall()
            if any(bulky for *_, bulky in written):
                return False
            connection.execute("set session_replication_role = replica")  # no trigger, no order
            for *table, _ in written:
                connection.execute(sql.SQL("delete from {}").format(sql.Identifier(*table)))
            connection.execute(RESTART)
        return True

    def _empty_of_guests(self, name: str) -> None:
        """Wait for those who are leaving; end those who stay.

        PostgreSQL would do so by itself, but looks again only every tenth of a second.
        """
        deadline = time.monotonic() + 0.1
        while guests := self._admin.execute(GUESTS, [name]).fetchall():
            if time.monotonic() > deadline:
                for (pid,) in guests:
                    self._admin.execute("select pg_terminate_backend(%s, 5000)", [pid])
            time.sleep(0.002)

    def _do(self, statement: str, *names: str) -> None:
        self._admin.execute(sql.SQL(statement).format(*map(sql.Identifier, names)))
