"""Shared fixtures: real servers once a run, and everything in them fresh for each test."""

import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import psycopg
import pytest
import redis
from pydantic import SecretStr
from sqlalchemy import insert

from huntaze_pipeline.clock import FixedClock
from huntaze_pipeline.local import stack
from huntaze_pipeline.settings import Settings, load
from huntaze_pipeline.store import migrate
from huntaze_pipeline.store.people import (
    PLATFORMS,
    Account,
    Consent,
    Creator,
    Fan,
    Identity,
)
from huntaze_pipeline.store.session import Store

TEMPLATE = "huntaze_template"
ADDRESSES = {
    "onlyfans": "{fan}",
    "instagram": "ig-{fan}",
    "tiktok": "tt-{fan}",
    "email": "{fan}@example.com",
}

for field in Settings.model_fields.values():  # the developer's own environment is not the test's
    os.environ.pop(str(field.alias), None)


@pytest.fixture(scope="session")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Settings]:
    """PostgreSQL with a migrated template, Redis and SQS; each worker of a run has its own.

    Transaction ids are the cluster's, not a database's: in a shared cluster an open transaction of
    one worker's test would make the inbox of another's wait, as it must.
    """
    with stack.services(
        load(), home=tmp_path_factory.getbasetemp() / "servers", throwaway=True
    ) as ready:
        _template(ready)
        yield ready


@pytest.fixture
def settings(servers: Settings, tmp_path: Path) -> Iterator[Settings]:
    """Settings of a fresh world: own database, own Redis database, own queue, own home."""
    with _world(servers, tmp_path / "home") as fresh:
        yield fresh


@pytest.fixture(scope="module")
def lasting(servers: Settings, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Settings]:
    """Settings of a world that lasts for a whole file of tests, which only read from it."""
    with _world(servers, tmp_path_factory.mktemp("lasting")) as fresh:
        yield fresh


@contextmanager
def _world(servers: Settings, home: Path) -> Iterator[Settings]:
    name = f"test_{uuid.uuid4().hex[:12]}"
    _administer(servers, f"create database {name} template {TEMPLATE}")
    assert servers.redis_url is not None
    cache = servers.redis_url.get_secret_value().removesuffix("/0") + f"/{_worker() + 1}"
    with redis.Redis.from_url(cache) as client:
        client.flushdb()
    yield servers.model_copy(
        update={
            "home": home,
            "database_url": SecretStr(_database(servers, name)),
            "redis_url": SecretStr(cache),
            "sqs_queue": name,
        }
    )
    _administer(servers, f"drop database {name} with (force)")


@pytest.fixture
def store(settings: Settings) -> Iterator[Store]:
    """The store on the test's own database."""
    found = Store(settings, pooled=False)
    yield found
    found.engine.dispose()


@pytest.fixture
def creator(store: Store) -> str:
    """A creator with one account a platform and three fans who agreed to marketing."""
    people = {"creator_id": "maya"}
    fans = [f"fan-{number}" for number in (1, 2, 3)]
    when = datetime(2026, 1, 1, tzinfo=UTC)
    with store.worker() as connection:
        connection.execute(insert(Creator).values(id="maya", name="Maya", zone="Europe/Paris"))
        connection.execute(
            insert(Account),
            [people | {"id": f"maya-{p}", "platform": p, "handle": "maya"} for p in PLATFORMS],
        )
        connection.execute(
            insert(Fan),
            [people | {"id": fan, "name": fan.title(), "zone": "Europe/Paris"} for fan in fans],
        )
        connection.execute(
            insert(Identity), [people | _identity(fan, p) for fan in fans for p in PLATFORMS]
        )
        agreed = {"topic": "marketing", "granted": True, "source": "test", "changed_at": when}
        connection.execute(insert(Consent), [people | {"fan_id": fan} | agreed for fan in fans])
    return "maya"


@pytest.fixture
def clock() -> FixedClock:
    """Monday noon, UTC, standing still."""
    return FixedClock(datetime(2026, 3, 2, 12, 0, tzinfo=UTC))


def _identity(fan: str, platform: str) -> dict[str, str]:
    address = ADDRESSES[platform].format(fan=fan)
    account = f"maya-{platform}"
    names = {"fan_id": fan, "platform": platform, "account_id": account}
    return names | {"address": address, "normalised": address.lower()}


def _worker() -> int:
    return int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))


def _database(servers: Settings, name: str) -> str:
    assert servers.database_url is not None
    return servers.database_url.get_secret_value().rpartition("/")[0] + f"/{name}"


def _administer(servers: Settings, statement: str) -> None:
    with psycopg.connect(_database(servers, "postgres"), autocommit=True) as connection:
        connection.execute(statement.encode())


def _template(servers: Settings) -> None:
    """Migrate the template once; the next worker finds it whole, for its last step is a rename."""
    with psycopg.connect(_database(servers, "postgres")) as connection:
        query = "select 1 from pg_database where datname = %s"
        if connection.execute(query, [TEMPLATE]).fetchone():
            return
    half = f"{TEMPLATE}_half"
    _administer(servers, f"create database {half}")
    address = SecretStr(_database(servers, half))
    half_store = Store(servers.model_copy(update={"database_url": address}), pooled=False)
    migrate.upgrade(half_store)
    half_store.engine.dispose()
    _administer(servers, f"alter database {half} rename to {TEMPLATE}")
