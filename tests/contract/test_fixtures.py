"""The shared fixtures keep their promises: fresh, migrated, and walled."""

import psycopg
import pytest
import redis
from sqlalchemy import func, insert, select

from huntaze_pipeline.settings import Settings
from huntaze_pipeline.store import migrate
from huntaze_pipeline.store.people import Creator, Fan, Identity
from huntaze_pipeline.store.session import Store


def test_the_database_is_migrated(store: Store) -> None:
    assert migrate.pending(store) == []


def test_a_creator_has_three_fans_on_four_platforms(store: Store, creator: str) -> None:
    with store.tenant(creator) as connection:
        assert connection.scalar(select(func.count()).select_from(Fan)) == 3
        assert connection.scalar(select(func.count()).select_from(Identity)) == 12


def test_nothing_of_another_test_is_left(store: Store, settings: Settings) -> None:
    with store.worker() as connection:
        assert connection.scalar(select(func.count()).select_from(Creator)) == 0
        connection.execute(insert(Creator).values(id="left", name="Left"))
    assert settings.redis_url is not None
    with redis.Redis.from_url(settings.redis_url.get_secret_value()) as client:
        assert client.dbsize() == 0
        client.set("left", 1)


def test_nothing_of_another_test_is_left_again(store: Store, settings: Settings) -> None:
    test_nothing_of_another_test_is_left(store, settings)


def test_the_servers_want_a_password(settings: Settings) -> None:
    assert settings.database_url is not None
    address = settings.database_url.get_secret_value()
    secret = address.partition("huntaze:")[2].partition("@")[0]
    with pytest.raises(psycopg.OperationalError, match="password"):
        psycopg.connect(address.replace(secret, "wrong"))
