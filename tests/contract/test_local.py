"""`huntaze doctor`, `status` and Dagster's instance against the real servers."""

import json
import subprocess
from pathlib import Path

import pytest
import terminal
from dagster import DagsterInstance
from pydantic import SecretStr

from huntaze_pipeline.errors import SettingsError
from huntaze_pipeline.local import doctor, health, instance, stack
from huntaze_pipeline.settings import Settings
from huntaze_pipeline.store.session import Store


def huntaze(settings: Settings, *words: str) -> "subprocess.CompletedProcess[str]":
    return terminal.run(*words, env=stack.environment(settings))


def spoilt(settings: Settings) -> Settings:
    assert settings.database_url is not None
    address = settings.database_url.get_secret_value()
    secret = address.partition("huntaze:")[2].partition("@")[0]
    wrong = SecretStr(address.replace(secret, "wr0ng"))
    return settings.model_copy(update={"database_url": wrong})


def test_a_healthy_machine_passes_every_check(settings: Settings) -> None:
    findings = {one.what: one for one in doctor.examine(lambda: settings)}
    services = ["home", "disk", "postgres", "redis", "sqs", "migrations", "clock"]
    assert [name for name in services if not findings[name].ok] == []
    assert findings["packages"].ok, findings["packages"].detail


def test_a_wrong_password_fails_with_a_remedy_and_no_traceback(settings: Settings) -> None:
    done = huntaze(spoilt(settings), "doctor")
    assert done.returncode == 1
    assert "fail postgres" in done.stdout
    assert "check DATABASE_URL" in done.stdout
    assert "Traceback" not in done.stdout + done.stderr
    assert "wr0ng" not in done.stdout + done.stderr


def test_a_wrong_password_is_one_clear_sentence(settings: Settings) -> None:
    done = huntaze(spoilt(settings), "migrate")
    assert done.returncode == 3
    assert "check the password in DATABASE_URL" in done.stderr
    assert "wr0ng" not in done.stderr
    assert "Traceback" not in done.stderr


def test_settings_that_cannot_be_used_are_a_finding() -> None:
    def load() -> Settings:
        raise SettingsError("cannot use these settings:\n  HUNTAZE_API_PORT: too big")

    findings = list(doctor.examine(load))
    assert [one.what for one in findings if not one.ok] == ["settings"]


def test_a_fault_of_one_check_does_not_hide_the_others(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fall_ill(_: Settings) -> doctor.Finding:
        raise ZeroDivisionError("no luck")

    monkeypatch.setattr(doctor, "rules", fall_ill)
    findings = {one.what: one for one in doctor.examine(lambda: settings)}
    assert findings["rules"].detail == "ZeroDivisionError: no luck"
    assert findings["migrations"].ok


def test_a_state_file_that_others_can_read_is_found(settings: Settings) -> None:
    assert doctor.home(settings).ok
    (settings.root / "stack.json").write_text("{}")
    (settings.root / "stack.json").chmod(0o644)
    assert not doctor.home(settings).ok


def test_status_shows_addresses_without_passwords(settings: Settings) -> None:
    done = huntaze(settings, "status", "--json")
    assert done.returncode == 0, done.stdout
    found = {one["service"]: one for one in json.loads(done.stdout)}
    assert set(found) == {"postgres", "redis", "sqs"}
    assert found["postgres"]["version"].startswith("PostgreSQL 18")
    for secret in (settings.database_url, settings.redis_url):
        assert secret is not None
        assert secret.get_secret_value().split(":")[2].split("@")[0] not in done.stdout


def test_what_does_not_run_is_said_and_started_by_nobody(tmp_path: Path) -> None:
    settings = Settings(HUNTAZE_HOME=tmp_path)  # pyright: ignore[reportCallIssue]
    assert {one.detail for one in health.services(settings)} == {"not running"}
    assert huntaze(settings, "status").returncode == 1
    assert huntaze(settings, "down").stdout == "nothing was running\n"
    assert list(tmp_path.iterdir()) == []


@pytest.mark.filterwarnings("ignore")  # the library's own habits, not ours
def test_dagster_keeps_everything_in_a_schema_of_its_own(
    settings: Settings, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in (stack.environment(settings) | instance.prepare(settings)).items():
        monkeypatch.setenv(name, value)
    with DagsterInstance.get() as dagster:
        assert dagster.get_runs() == []
    with store.owner() as connection:
        query = "select distinct schemaname from pg_tables where tablename = 'runs'"
        assert connection.exec_driver_sql(query).scalars().all() == ["dagster"]


def test_dagsters_file_holds_no_password(settings: Settings) -> None:
    instance.prepare(settings)
    assert settings.database_url is not None
    secret = settings.database_url.get_secret_value().split(":")[2].split("@")[0]
    written = [path for path in settings.root.rglob("*") if path.is_file()]
    assert [path.name for path in written] == ["dagster.yaml"]
    assert secret not in written[0].read_text()
