"""The walls between tenants, on a real PostgreSQL."""

import pytest
from sqlalchemy import inspect, text
from sqlalchemy.exc import DBAPIError, ProgrammingError

from huntaze_pipeline.errors import SettingsError, StoreError
from huntaze_pipeline.settings import Settings, load
from huntaze_pipeline.store import migrate
from huntaze_pipeline.store.base import tenant_tables
from huntaze_pipeline.store.session import Store
from huntaze_pipeline.store.tables import metadata


@pytest.fixture
def two(store: Store) -> Store:
    with store.worker() as c:
        c.execute(text("insert into creators (id, name) values ('ana', 'Ana'), ('bo', 'Bo')"))
        c.execute(text("insert into fans (creator_id, id) values ('ana', 'f'), ('bo', 'f')"))
    return store


def test_every_tenant_table_has_row_level_security_forced(store: Store) -> None:
    with store.owner() as c:
        rows = c.execute(
            text("select relname from pg_class where relrowsecurity and relforcerowsecurity")
        )
        walled = {row[0] for row in rows}

    assert set(tenant_tables()) | {"creators"} == walled


def test_the_migrations_make_exactly_the_tables_of_the_models(store: Store) -> None:
    from alembic.autogenerate import compare_metadata
    from alembic.migration import MigrationContext

    with store.owner() as c:
        context = MigrationContext.configure(c, opts={"version_table": "huntaze_migrations"})
        ours = set(metadata.tables)
        found = [d for d in compare_metadata(context, metadata) if _concerns(d, ours)]

    assert found == []


def _concerns(difference: object, ours: set[str]) -> bool:
    head = difference[0] if isinstance(difference, tuple) else ""
    return head != "remove_table" or difference[1].name in ours  # type: ignore[index]


def test_a_tenant_sees_its_own_rows_only(two: Store) -> None:
    with two.tenant("ana") as c:
        assert c.execute(text("select creator_id, id from fans")).all() == [("ana", "f")]


def test_a_tenant_cannot_write_for_another(two: Store) -> None:
    with pytest.raises(ProgrammingError, match="row-level security"), two.tenant("ana") as c:
        c.execute(text("insert into fans (creator_id, id) values ('bo', 'g')"))


def test_a_tenant_cannot_move_its_rows_to_another(two: Store) -> None:
    with pytest.raises(ProgrammingError, match="row-level security"), two.tenant("ana") as c:
        c.execute(text("update fans set creator_id = 'bo', id = 'x'"))


def test_naming_no_tenant_shows_nothing(two: Store) -> None:
    with two.tenant("") as c:
        assert c.execute(text("select count(*) from fans")).scalar() == 0


def test_the_application_roles_own_nothing_and_bypass_nothing(store: Store) -> None:
    with store.owner() as c:
        rows = c.execute(
            text(
                "select rolsuper, rolbypassrls, rolcanlogin from pg_roles"
                " where rolname in ('huntaze_app', 'huntaze_worker')"
            )
        ).all()

    assert rows == [(False, False, False)] * 2


def test_history_cannot_be_rewritten_by_the_application(two: Store) -> None:
    for table in ("inbox", "audit", "automation_versions"):
        with pytest.raises(ProgrammingError, match="permission denied"), two.tenant("ana") as c:
            c.execute(text(f"delete from {table}"))


def test_the_tenant_of_one_transaction_is_gone_in_the_next(two: Store) -> None:
    with two.tenant("ana"):
        pass
    with two.owner() as c:
        assert c.execute(text("select current_setting('huntaze.creator_id', true)")).scalar() in (
            None,
            "",
        )


def test_a_key_opens_one_creator_and_a_wrong_one_none(two: Store) -> None:
    with two.worker() as c:
        c.execute(
            text("update creators set key_hash = encode(sha256('secret'), 'hex') where id = 'bo'")
        )

    assert two.authenticate("secret") == "bo"
    assert two.authenticate("guess") is None


def test_a_fault_does_not_print_what_the_statement_was_given(store: Store) -> None:
    with pytest.raises(DBAPIError) as raised, store.worker() as c:
        c.execute(text("select 1 / 0 where :words <> ''"), {"words": "dear ana"})

    assert "dear ana" not in str(raised.value)


def test_migrating_twice_changes_nothing(store: Store) -> None:
    migrate.upgrade(store)

    assert migrate.pending(store) == []


def test_the_schema_can_be_taken_down_and_put_up_again(store: Store) -> None:
    from alembic import command

    with store.owner() as c:
        config = migrate._config(c)
        command.downgrade(config, "base")
        left = set(inspect(c).get_table_names())
    migrate.upgrade(store)

    assert left <= {"huntaze_migrations"}
    assert migrate.pending(store) == []


def test_every_table_is_reachable_by_the_machinery(store: Store) -> None:
    with store.worker() as c:
        for name in metadata.tables:
            c.execute(text(f"select count(*) from {name}"))
        assert inspect(c).has_table("messages")


def test_a_wrong_password_is_one_clear_sentence_without_the_password(settings: Settings) -> None:
    assert settings.database_url is not None
    from sqlalchemy.engine import make_url

    url = make_url(settings.database_url.get_secret_value()).set(password="wr0ng")
    broken = Store(load(DATABASE_URL=url.render_as_string(hide_password=False)), pooled=False)
    with pytest.raises(StoreError, match="check the password in DATABASE_URL") as raised:
        broken.authenticate("x")

    assert "wr0ng" not in str(raised.value)


def test_another_database_is_refused_by_name() -> None:
    with pytest.raises(SettingsError, match="names sqlite"):
        Store(load(DATABASE_URL="sqlite:///x.db"))


def test_a_connection_that_is_cut_without_a_word_is_noticed(store: Store) -> None:
    with store.engine.connect() as connection:
        driver = connection.connection.driver_connection
        assert driver is not None
        told = driver.info.get_parameters()

    assert (told["keepalives_idle"], told["tcp_user_timeout"]) == ("10", "25000")
