"""Dagster's storage in PostgreSQL, over connections that are kept.

Dagster's own connects anew for every question and looks for its tables with every instance, and a
tick of a sensor makes an instance: six sensors that tick together made two hundred connections,
seconds in which no event was answered. What is stored, and how, is Dagster's. The instance's
configuration (`local/dagster.yaml`) names this class; all of its processes load it.
"""

from collections.abc import Mapping
from typing import Any

from dagster_postgres import DagsterPostgresStorage
from dagster_postgres.utils import get_token_provider_from_config, pg_url_from_config

_PATIENCE_MS = 600_000
"""After so long a question is given up; the purge of old ticks takes longest."""
_RECYCLE_S = 3600
_OVERFLOW = 20
"""Connections beside the one that is kept: the threads of all sensors may ask at once."""
_MADE: set[str] = set()
"""Addresses whose tables this process has looked for, and made where they were missing."""


class PooledStorage(DagsterPostgresStorage):
    """Runs, events and schedules of one instance."""

    @classmethod
    def from_config_value(cls, inst_data: Any, config_value: Mapping[str, Any]) -> "PooledStorage":
        """Return what dagster.yaml describes.

        Args:
            inst_data: where Dagster has this class and its configuration from.
            config_value: as for Dagster's own storage in PostgreSQL.
        """
        address = pg_url_from_config(config_value)
        storage = cls(
            postgres_url=address,
            should_autocreate_tables=address not in _MADE,
            inst_data=inst_data,
            token_provider=get_token_provider_from_config(config_value),
        )
        _MADE.add(address)
        for part in (storage.run_storage, storage.event_log_storage, storage.schedule_storage):
            # Named for the web server, which does the same; it is no less true of a daemon.
            part.optimize_for_webserver(_PATIENCE_MS, _RECYCLE_S, _OVERFLOW)
        return storage
