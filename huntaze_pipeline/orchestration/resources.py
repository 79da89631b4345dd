"""What assets and sensors are handed: one resource that opens the doors of the rooms.

Nothing is opened when definitions load or when the resource is made. Addresses come from the
environment only, so no secret shows in Dagster's UI.
"""

import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import dagster as dg
import duckdb

from huntaze_pipeline import settings
from huntaze_pipeline.clock import Clock, system_clock
from huntaze_pipeline.delivery import worker
from huntaze_pipeline.delivery.outfit import Parts
from huntaze_pipeline.rulebook.policies import Policies, load_policies
from huntaze_pipeline.settings import Settings
from huntaze_pipeline.store.session import Store
from huntaze_pipeline.warehouse import lake


class Lakes:
    """The lake of each address, opened once in this process and shared through cursors.

    Opening loads two extensions and attaches two databases: 0.3–0.6 s. A build opens it for every
    table and the sensors for every tick, so that is paid once. After an error of DuckDB the shared
    one is dropped: PostgreSQL may have been restarted underneath it.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._open: dict[tuple[str, str], tuple[duckdb.DuckDBPyConnection, ExitStack]] = {}

    @contextmanager
    def cursor(self, given: Settings) -> Iterator[duckdb.DuckDBPyConnection]:
        """Give a connection of its own on the shared engine, for the length of a block."""
        address = given.database_url.get_secret_value() if given.database_url else ""
        key = (address, given.lake)
        cursor = self._shared(key, given).cursor()
        try:
            cursor.execute("set timezone = 'UTC'")  # a session's own setting; cursors start anew
            yield cursor
        except duckdb.Error:
            self.forget(key)
            raise
        finally:
            cursor.close()

    def _shared(self, key: tuple[str, str], given: Settings) -> duckdb.DuckDBPyConnection:
        with self._lock:
            if key not in self._open:
                holder = ExitStack()
                self._open[key] = (holder.enter_context(lake.connect(given)), holder)
            return self._open[key][0]

    def forget(self, key: tuple[str, str] | None = None) -> None:
        """Drop one shared engine, or all; blocks that still use it keep their cursors."""
        with self._lock:
            keys = list(self._open) if key is None else [key]
            for name in keys:
                shared = self._open.pop(name, None)
                if shared:
                    shared[1].close()


LAKES = Lakes()


class Rooms(dg.ConfigurableResource):
    """The doors to the rooms: store, lake, policies and the doorbell."""

    environment: dict[str, str] = {}
    """Settings that win over the environment, by variable name; for tests."""
    linger_s: float = 0.0
    """How long the loops of sensors go on when no further tick comes."""

    @property
    def settings(self) -> Settings:
        """The settings of this process."""
        return settings.load(**self.environment)

    @property
    def clock(self) -> Clock:
        """The clock that every decision of a tick or run is made by."""
        return system_clock

    @property
    def store(self) -> Store:
        """PostgreSQL through its two roles."""
        return Store(self.settings)

    @property
    def policies(self) -> Policies:
        """The limits, caps and quiet hours of rules/policies.yaml."""
        return load_policies(self.settings.rules_dir)

    @contextmanager
    def lake(self) -> Iterator[duckdb.DuckDBPyConnection]:
        """Open the lake for the length of a block."""
        with LAKES.cursor(self.settings) as connection:
            yield connection

    @contextmanager
    def doorbell(self) -> Iterator[Parts]:
        """Open what publishing needs (SQS, and the direct way beside it) for a block."""
        made = worker.parts(self.settings, store=self.store, platforms={}, out=None)
        try:
            yield made
        finally:
            worker.close(made)
