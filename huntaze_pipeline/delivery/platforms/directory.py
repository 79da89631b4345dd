"""Which platforms there are, what each can do, and how each is opened from the settings.

No network here: a door is opened by its first call.
"""

import re
from collections.abc import Callable

from pydantic import SecretStr

from huntaze_pipeline.delivery.platforms import email, instagram, onlyfans, tiktok
from huntaze_pipeline.delivery.platforms.base import Capabilities, Platform
from huntaze_pipeline.delivery.platforms.credentials import Credentials
from huntaze_pipeline.delivery.platforms.letter import DOMAIN, Letterhead
from huntaze_pipeline.delivery.platforms.ses import Ses
from huntaze_pipeline.delivery.platforms.smtp import Pool, server
from huntaze_pipeline.delivery.platforms.wire import Wire
from huntaze_pipeline.errors import SettingsError
from huntaze_pipeline.settings import Settings
from huntaze_pipeline.warehouse import bots


def capabilities() -> dict[str, Capabilities]:
    """Return what each platform can do; needs no settings and no secrets."""
    modules = (
        onlyfans.CAPABILITIES, instagram.CAPABILITIES, tiktok.CAPABILITIES, email.CAPABILITIES,
    )  # fmt: skip
    return {one.platform: one for one in modules}


def platforms(settings: Settings) -> dict[str, Platform]:
    """Open the platforms for which the settings suffice; `missing` tells about the others.

    Raises:
        SettingsError: a value that is set cannot be used.
    """
    gone = missing(settings)
    return {name: make(settings) for name, make in _MAKERS.items() if name not in gone}


def missing(settings: Settings) -> dict[str, str]:
    """Return, for each platform that cannot be opened, what to set."""
    needs: dict[str, dict[str, object]] = {
        "onlyfans": {
            "ONLYFANS_API_URL": settings.onlyfans_url,
            "ONLYFANS_API_TOKEN": settings.onlyfans_token,
        },
        "instagram": {"INSTAGRAM_API_TOKEN": settings.instagram_token},
        "tiktok": {"TIKTOK_API_TOKEN": settings.tiktok_token},
    }
    lacking = {
        name: [variable for variable, value in variables.items() if not value]
        for name, variables in needs.items()
    }
    return {name: f"set {' and '.join(names)}" for name, names in lacking.items() if names}


def _onlyfans(settings: Settings) -> Platform:
    token = _secret(settings.onlyfans_token)
    wire = _wire("ONLYFANS_API_URL", settings.onlyfans_url or "")
    return onlyfans.OnlyFans(wire, Credentials("ONLYFANS_API_TOKEN", token))


def _instagram(settings: Settings) -> Platform:
    token = _secret(settings.instagram_token)
    wire = _wire("INSTAGRAM_API_URL", settings.instagram_url)
    return instagram.Instagram(wire, Credentials("INSTAGRAM_API_TOKEN", token))


def _tiktok(settings: Settings) -> Platform:
    token = _secret(settings.tiktok_token)
    wire = _wire("TIKTOK_API_URL", settings.tiktok_url)
    return tiktok.TikTok(wire, Credentials("TIKTOK_API_TOKEN", token))


def _email(settings: Settings) -> Platform:
    if settings.smtp_url is None:
        carrier = Ses(settings.aws_region, settings.aws_endpoint_url)
        return email.Email(carrier, letterhead(settings))
    where = server(settings.smtp_url.get_secret_value())
    return email.Email(Pool(where), letterhead(settings, where.domain))


def letterhead(settings: Settings, domain: str | None = None) -> Letterhead:
    """Return what all letters share; a domain named by SMTP_URL wins over the setting."""
    secret = _secret(settings.webhook_secret).get_secret_value().encode()
    domain = domain or settings.sender_domain or DOMAIN
    trap = bots.read(settings.rules_dir).honeypot
    hidden = None if trap is None else f"{settings.public}{trap.path}"
    return Letterhead(domain, f"{settings.public}/unsubscribe", secret, hidden)


def _wire(variable: str, url: str) -> Wire:
    if not re.match(r"https?://[^/\s]", url):
        raise SettingsError(
            f"cannot use {variable}={url!r}: write https://host or http://host:port"
        )
    return Wire(url)


def _secret(value: SecretStr | None) -> SecretStr:
    return SecretStr("") if value is None else value


_MAKERS: dict[str, Callable[[Settings], Platform]] = {
    "onlyfans": _onlyfans, "instagram": _instagram, "tiktok": _tiktok, "email": _email,
}  # fmt: skip
