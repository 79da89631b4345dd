"""What assets and sensors are handed: one resource that produces the plain objects of the rooms.

Nothing is opened when definitions load or when the resource is made; each use opens what it needs and
closes it. Addresses come from the environment only, so no secret shows in Dagster's UI.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime

import dagster as dg
import duckdb

from huntaze_pipeline import settings
from huntaze_pipeline.clock import system_clock
from huntaze_pipeline.delivery.queue import Queue, SqsQueue
from huntaze_pipeline.rulebook.policies import Policies, load_policies
from huntaze_pipeline.settings import Settings
from huntaze_pipeline.store.session import Store
from huntaze_pipeline.warehouse import lake


class Rooms(dg.ConfigurableResource):
    """The doors to the rooms: store, lake, queue and policies."""

    environment: dict[str, str] = {}
    """Settings that win over the environment, by variable name; for tests."""

    @property
    def settings(self) -> Settings:
        """Return the settings of this process."""
        return settings.load(**self.environment)

    @property
    def clock(self) -> Callable[[], datetime]:
        """Return the clock that every decision of a tick or run is made by."""
        return system_clock

    @property
    def store(self) -> Store:
        """Return PostgreSQL through its two roles."""
        return Store(self.settings)

    @property
    def policies(self) -> Policies:
        """Return the limits, caps and quiet hours of rules/policies.yaml."""
        return load_policies(self.settings.rules_dir)

    @contextmanager
    def lake(self, *, read_only: bool = False) -> Iterator[duckdb.DuckDBPyConnection]:
        """Open the lake for the length of a block."""
        with lake.connect(self.settings, read_only=read_only) as connection:
            yield connection

    @property
    def queue(self) -> Queue:
        """Return the SQS queues, one a priority."""
        return SqsQueue(self.settings)
