"""Connections that cannot see past their tenant.

The application never works as the owner of the tables: each transaction switches to one of two
roles. `huntaze_app` sees the rows of the creator named by the transaction and of nobody else
(row-level security); `huntaze_worker` serves all creators and is for the machinery only (relay,
sender, sensors, lake loader), never for a request. Both own nothing and bypass nothing.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache

from psycopg.errors import IdleInTransactionSessionTimeout
from sqlalchemy import Connection, Engine, create_engine, text
from sqlalchemy.engine import make_url
from sqlalchemy.exc import DBAPIError, OperationalError
from sqlalchemy.pool import NullPool

from huntaze_pipeline.errors import SettingsError, StoreError
from huntaze_pipeline.settings import Settings
from huntaze_pipeline.store import volley
from huntaze_pipeline.store.creators import digest

_UNREADY = ('role "', 'relation "')
"""How PostgreSQL's answer begins when a role or a table is missing."""


def url(settings: Settings, driver: str = "psycopg") -> str:
    """Return the database address for a driver, in SQLAlchemy's form, secret included.

    Raises:
        SettingsError: DATABASE_URL is absent or is not PostgreSQL.
    """
    if settings.database_url is None:
        raise SettingsError(
            "DATABASE_URL is not set and no embedded stack is running: "
            "run `huntaze up` in another terminal, or set DATABASE_URL=postgresql://…"
        )
    parsed = make_url(settings.database_url.get_secret_value())
    if parsed.get_backend_name() not in ("postgresql", "postgres"):
        raise SettingsError(
            f"DATABASE_URL names {parsed.get_backend_name()}; Huntaze needs postgresql://"
        )
    return parsed.set(drivername=f"postgresql+{driver}").render_as_string(hide_password=False)


_CONNECT = {
    "connect_timeout": 5, "application_name": "huntaze",
    "keepalives_idle": 10, "keepalives_interval": 5, "keepalives_count": 3,
    "tcp_user_timeout": 25_000,
}  # fmt: skip
"""A way to the server that is cut without a word is noticed in 25 s; by itself, after hours."""


@cache
def _pooled(address: str) -> Engine:
    return create_engine(
        address,
        pool_size=5,
        max_overflow=10,
        pool_pre_ping=True,
        hide_parameters=True,  # messages and addresses are none of a traceback's business
        connect_args=_CONNECT,
    )


def _single(address: str) -> Engine:
    return create_engine(address, poolclass=NullPool, hide_parameters=True, connect_args=_CONNECT)


_BEGIN = text("""
    select set_config('role', :role, true) as role,
        set_config('random_page_cost', '1.1', true) as cost,
        set_config('huntaze.creator_id', :id, true) as creator,
        set_config('idle_in_transaction_session_timeout', coalesce(:idle,
            current_setting('idle_in_transaction_session_timeout')), true) as idle
""")
"""What rows are asked for by their keys is in memory, or on a disk that does not turn. At 4.0, made
for those that do, ten messages are found by reading ten thousand."""


_HOLDER = text("select id from creators where key_hash = :hash")


class Store:
    """The database, seen through its two roles."""

    def __init__(self, settings: Settings, *, pooled: bool = True) -> None:
        address = url(settings)
        self.engine = _pooled(address) if pooled else _single(address)

    @contextmanager
    def tenant(self, creator_id: str) -> Iterator[Connection]:
        """Open a transaction that sees one creator's rows only; commit at the end."""
        with self._begin("huntaze_app", creator_id) as connection:
            yield connection

    @contextmanager
    def worker(self, *, idle_s: float | None = None) -> Iterator[Connection]:
        """Open a transaction of the machinery, which serves every creator; commit at the end.

        Args:
            idle_s: PostgreSQL ends the transaction when it hears nothing for so long. For those
                that hold what everybody waits for: a machine that vanished, or stands still, would
                hold it for hours.

        Raises:
            StoreError: it was ended.
        """
        with self._begin("huntaze_worker", "", idle_s) as connection:
            yield connection

    @contextmanager
    def owner(self) -> Iterator[Connection]:
        """Open a transaction as the login role; for migrations and set-up only."""
        with self._reachable() as connection, connection.begin():
            yield connection

    def probe(self) -> None:
        """Return when the database can be worked with.

        Raises:
            StoreError: it does not answer, refuses the password or was never migrated.
        """
        with self.worker() as connection:
            connection.execute(text("select from creators limit 0"))

    def authenticate(self, api_key: str) -> str | None:
        """Return the creator who holds this API key, or None.

        Nobody is known yet: row-level security shows this transaction, which names no creator, the
        one row whose key the transaction names. The condition says the same once more.
        """
        key_hash = digest(api_key)
        with self._begin("huntaze_app", "") as connection:
            connection.execute(
                text("select set_config('huntaze.key_hash', :hash, true)"), {"hash": key_hash}
            )
            return connection.scalar(_HOLDER, {"hash": key_hash})

    @contextmanager
    def _begin(
        self, role: str, creator_id: str, idle_s: float | None = None
    ) -> Iterator[Connection]:
        with self._reachable() as connection, _explained(self.engine), connection.begin():
            idle = None if idle_s is None else f"{round(idle_s * 1000)}ms"
            # The driver's own "begin" goes along, instead of being waited for.
            volley.ask(connection, (_BEGIN, {"role": role, "id": creator_id, "idle": idle}))
            yield connection

    @contextmanager
    def _reachable(self) -> Iterator[Connection]:
        """Connect, or say in one sentence why not."""
        try:
            connection = self.engine.connect()
        except OperationalError as error:
            raise StoreError(_why(error, self.engine)) from None
        with connection:
            yield connection


@contextmanager
def _explained(engine: Engine) -> Iterator[None]:
    """Say in one sentence what a migration would make, or that a transaction was too slow."""
    try:
        yield
    except DBAPIError as error:
        if isinstance(error.orig, IdleInTransactionSessionTimeout):
            raise StoreError("PostgreSQL ended a transaction that was idle for too long") from None
        reason = str(error.orig).partition("\n")[0]
        if not (reason.startswith(_UNREADY) and reason.endswith("does not exist")):
            raise
        raise StoreError(
            f"the database {engine.url.database} is not ready: {reason} (run `huntaze migrate`)"
        ) from None


def _why(error: OperationalError, engine: Engine) -> str:
    place = f"{engine.url.host}:{engine.url.port}/{engine.url.database} as {engine.url.username}"
    lines = [line for line in str(error.orig or "no answer").splitlines() if line[:1].strip()]
    reason = (lines or ["no answer"])[-1].removeprefix("connection failed: ")
    hint = "check the password in DATABASE_URL" if "password" in reason else "is the server up?"
    return f"cannot connect to PostgreSQL at {place}: {reason} ({hint})"
