"""Typed settings. The only reader of the environment; secrets never print.

Every service address may be absent: the embedded stack (`local.stack`) then provides one.
"""

from functools import cache
from pathlib import Path

from pydantic import Field, SecretStr, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from huntaze_pipeline.errors import SettingsError

PACKAGE = Path(__file__).resolve().parent


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
    """HMAC-SHA256 key with which platforms sign the receipts that they post to us."""

    api_host: str = Field("127.0.0.1", alias="HUNTAZE_API_HOST")
    api_port: int = Field(8400, ge=0, le=65535, alias="HUNTAZE_API_PORT")
    dagster_port: int = Field(3000, ge=0, le=65535, alias="HUNTAZE_DAGSTER_PORT")

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
