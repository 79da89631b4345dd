"""Typed settings. The only reader of the environment; secrets never print.

Every service address may be absent: the embedded stack (`local.stack`) then provides one.
"""

import re
from functools import cache
from pathlib import Path
from urllib.parse import urlsplit

from pydantic import Field, SecretStr, ValidationError, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from huntaze_pipeline.errors import SettingsError

PACKAGE = Path(__file__).resolve().parent
_DOMAIN = re.compile(r"(?!-)[a-z0-9-]{1,63}(\.(?!-)[a-z0-9-]{1,63})+", re.IGNORECASE)


def _shipped(name: str) -> Path:
    """Return a data folder: beside the package in a checkout, inside it when installed."""
    beside = PACKAGE.parent / name
    return beside if beside.is_dir() else PACKAGE / "data" / name


class Settings(BaseSettings):
    """Everything that can be set from outside. Names are those of the environment variables."""

    # The prefix matters although every field has its alias: without it the field `home` would be
    # read from the variable HOME as well, for fields may be given by name too.
    model_config = SettingsConfigDict(
        extra="ignore", populate_by_name=True, frozen=True, env_prefix="HUNTAZE_"
    )

    home: Path = Field(Path(".huntaze"), alias="HUNTAZE_HOME")
    database_url: SecretStr | None = Field(None, alias="DATABASE_URL")
    redis_url: SecretStr | None = Field(None, alias="REDIS_URL")
    sqs_queue: str | None = Field(None, alias="SQS_RATE_LIMITER_QUEUE")
    aws_region: str = Field("us-east-1", alias="AWS_REGION")
    aws_endpoint_url: str | None = Field(None, alias="AWS_ENDPOINT_URL")

    limiter_enabled: bool = Field(False, alias="RATE_LIMITER_ENABLED")
    rollout_percentage: float = Field(10, ge=0, le=100, alias="RATE_LIMITER_ROLLOUT_PERCENTAGE")

    rules_dir: Path = Field(default_factory=lambda: _shipped("rules"), alias="HUNTAZE_RULES_DIR")
    models_dir: Path = Field(
        default_factory=lambda: _shipped("dbt_like_sql"), alias="HUNTAZE_MODELS_DIR"
    )
    lake_path: str | None = Field(None, alias="HUNTAZE_LAKE_PATH")
    """Folder or s3:// prefix of the lake's Parquet files; default HUNTAZE_HOME/lake."""

    onlyfans_url: str | None = Field(None, alias="ONLYFANS_API_URL")
    onlyfans_token: SecretStr | None = Field(None, alias="ONLYFANS_API_TOKEN")
    instagram_url: str = Field("https://graph.instagram.com", alias="INSTAGRAM_API_URL")
    instagram_token: SecretStr | None = Field(None, alias="INSTAGRAM_API_TOKEN")
    tiktok_url: str = Field("https://business-api.tiktok.com", alias="TIKTOK_API_URL")
    tiktok_token: SecretStr | None = Field(None, alias="TIKTOK_API_TOKEN")
    smtp_url: SecretStr | None = Field(None, alias="SMTP_URL")
    """smtp://user:password@host:port; without it e-mail goes through SES."""
    webhook_secret: SecretStr | None = Field(None, alias="HUNTAZE_WEBHOOK_SECRET")
    """HMAC-SHA256 key of the receipts that platforms post to us and of unsubscribe links."""
    sender_domain: str | None = Field(None, alias="HUNTAZE_SENDER_DOMAIN")
    """Domain of e-mail senders whose account id is no address; ?domain= in SMTP_URL wins."""

    public_url: str | None = Field(None, alias="HUNTAZE_PUBLIC_URL")
    """Where fans reach the API; links in messages begin with it."""
    api_host: str = Field("127.0.0.1", alias="HUNTAZE_API_HOST")
    api_port: int = Field(8400, ge=0, le=65535, alias="HUNTAZE_API_PORT")
    dagster_port: int = Field(3000, ge=0, le=65535, alias="HUNTAZE_DAGSTER_PORT")

    @field_validator("*")
    @classmethod
    def _told(cls, value: object) -> object:
        """Take an empty secret for none: everybody knows the empty one."""
        empty = isinstance(value, SecretStr) and not value.get_secret_value().strip()
        return None if empty else value

    @field_validator("public_url")
    @classmethod
    def _base(cls, value: str | None) -> str | None:
        """Accept a base address that a path can be put behind, and nothing that would hide it."""
        if not value:
            return None
        parts = urlsplit(value)
        hidden = "@" in parts.netloc or re.search(r"[?#\s<>\"]", value)
        if parts.scheme not in ("http", "https") or not parts.hostname or hidden or parts.port == 0:
            raise ValueError("write https://host, with a path if need be, and nothing after it")
        return value.rstrip("/")

    @field_validator("sender_domain")
    @classmethod
    def _domain(cls, value: str | None) -> str | None:
        if value and not _DOMAIN.fullmatch(value):
            raise ValueError("write a domain in ASCII, such as mail.example.com")
        return value or None

    @property
    def public(self) -> str:
        """Base address of links in messages, without a slash at its end."""
        host = f"[{self.api_host}]" if ":" in self.api_host else self.api_host
        return self.public_url or f"http://{host}:{self.api_port}"

    @property
    def root(self) -> Path:
        """The home folder, absolute."""
        return self.home.expanduser().absolute()

    @property
    def lake(self) -> str:
        """Where the lake's files are."""
        return self.lake_path or str(self.root / "lake")


def load(**overrides: object) -> Settings:
    """Read the environment; keyword arguments (by variable or field name) win over it.

    Raises:
        SettingsError: a variable holds a value that cannot be used; all of them are named.
    """
    try:
        return Settings(**overrides)  # pyright: ignore[reportArgumentType]
    except ValidationError as error:
        lines = [f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors()]
        raise SettingsError("cannot use these settings:\n  " + "\n  ".join(lines)) from None


@cache
def version() -> str:
    """Return the installed version."""
    from importlib.metadata import PackageNotFoundError
    from importlib.metadata import version as installed

    try:
        return installed("huntaze-pipeline")
    except PackageNotFoundError:
        return "0+source"
