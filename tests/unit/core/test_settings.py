from pathlib import Path

import pytest

from huntaze_pipeline import settings
from huntaze_pipeline.errors import SettingsError
from huntaze_pipeline.settings import Settings


def test_a_secret_never_prints(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_URL", "postgresql://u:hunter2@h/db")

    assert "hunter2" not in repr(settings.load())


@pytest.mark.parametrize("value", ["", "  "])
def test_an_empty_secret_is_none(value: str) -> None:
    fields = Settings.model_fields.items()
    names = [name for name, field in fields if "SecretStr" in str(field.annotation)]
    loaded = Settings.model_validate(dict.fromkeys(names, value))

    assert "webhook_secret" in names
    assert {getattr(loaded, name) for name in names} == {None}


def test_every_bad_variable_is_named_at_once() -> None:
    with pytest.raises(SettingsError) as raised:
        settings.load(RATE_LIMITER_ROLLOUT_PERCENTAGE="120", HUNTAZE_API_PORT="web")

    assert "RATE_LIMITER_ROLLOUT_PERCENTAGE" in str(raised.value)
    assert "HUNTAZE_API_PORT" in str(raised.value)


@pytest.mark.parametrize(
    "url", ["huntaze.example.com", "ftp://x", "https://", "https://x?a=1", "https://u@x",
            "https://x:web", "https://x y", "https://[x"],
)  # fmt: skip
def test_a_base_that_no_link_can_begin_with_is_refused(url: str) -> None:
    with pytest.raises(SettingsError, match="HUNTAZE_PUBLIC_URL"):
        settings.load(HUNTAZE_PUBLIC_URL=url)


def test_links_begin_with_the_public_address_or_else_with_the_apis_own() -> None:
    named = settings.load(HUNTAZE_PUBLIC_URL="https://h.example.com/mail/")

    assert named.public == "https://h.example.com/mail"
    assert settings.load(HUNTAZE_API_PORT="9").public == "http://127.0.0.1:9"
    assert settings.load(HUNTAZE_PUBLIC_URL="").public == "http://127.0.0.1:8400"


@pytest.mark.parametrize("domain", ["localhost", "a b.com", "x@y.com", "-a.com", "münchen.de"])
def test_a_sender_domain_that_is_none_is_refused(domain: str) -> None:
    with pytest.raises(SettingsError, match="HUNTAZE_SENDER_DOMAIN"):
        settings.load(HUNTAZE_SENDER_DOMAIN=domain)


def test_the_limiter_rollout_starts_off_at_ten_per_cent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("RATE_LIMITER_ENABLED", raising=False)
    monkeypatch.delenv("RATE_LIMITER_ROLLOUT_PERCENTAGE", raising=False)
    loaded = settings.load()

    assert (loaded.limiter_enabled, loaded.rollout_percentage) == (False, 10)


def test_the_home_folder_is_not_the_users(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/somewhere")
    monkeypatch.delenv("HUNTAZE_HOME", raising=False)

    assert settings.load().home == Path(".huntaze")


def test_rules_and_models_are_found_from_any_folder(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    loaded = settings.load()

    assert loaded.rules_dir.is_dir()
    assert loaded.models_dir.is_dir()
