"""Shared fixtures: real servers once a run, and everything in them fresh for each test."""

import os
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import effort  # noqa: F401 (its profile can be named on the command line)
import lakes
import pytest
import redis
from databases import Databases
from pydantic import SecretStr
from sqlalchemy import insert

from huntaze_pipeline.clock import FixedClock
from huntaze_pipeline.local import stack
from huntaze_pipeline.settings import Settings, load
from huntaze_pipeline.store.people import (
    PLATFORMS,
    Account,
    Consent,
    Creator,
    Fan,
    Identity,
)
from huntaze_pipeline.store.session import Store
from huntaze_pipeline.warehouse import lake

lake.THREADS = 1  # a run's workers share the machine
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
    """PostgreSQL, Redis and SQS; each worker of a run has its own.

    Transaction ids are the cluster's, not a database's: in a shared cluster an open transaction of
    one worker's test would make the inbox of another's wait, as it must.
    """
    with stack.services(
        load(), home=tmp_path_factory.getbasetemp() / "servers", throwaway=True
    ) as ready:
        yield ready


@pytest.fixture(scope="session")
def databases(servers: Settings) -> Iterator[Databases]:
    """Where a test's database comes from."""
    lending = Databases(servers)
    with lakes.lent():
        yield lending
    lending.close()


@pytest.fixture
def lean(servers: Settings, tmp_path: Path) -> Settings:
    """Settings of a fresh world without a database, for what needs only Redis or SQS."""
    return _world(servers, tmp_path / "home")


@pytest.fixture
def settings(lean: Settings, databases: Databases) -> Iterator[Settings]:
    """Settings of a fresh world: own database, own Redis database, own queue, own home."""
    with databases.fresh() as address:
        yield lean.model_copy(update={"database_url": SecretStr(address)})


@pytest.fixture(scope="module")
def lasting(
    servers: Settings, databases: Databases, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Settings]:
    """Settings of a world that lasts for a whole file of tests, which only read from it."""
    world = _world(servers, tmp_path_factory.mktemp("lasting"))
    with databases.fresh() as address:
        yield world.model_copy(update={"database_url": SecretStr(address)})


def _world(servers: Settings, home: Path) -> Settings:
    assert servers.redis_url is not None
    cache = servers.redis_url.get_secret_value().removesuffix("/0") + f"/{_worker() + 1}"
    with redis.Redis.from_url(cache) as client:
        client.flushdb()
    name = f"test_{uuid.uuid4().hex[:12]}"
    return servers.model_copy(
        update={"home": home, "redis_url": SecretStr(cache), "sqs_queue": name}
    )


@pytest.fixture
def store(settings: Settings) -> Iterator[Store]:
    """The store on the test's own database."""
    found = Store(settings)
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
