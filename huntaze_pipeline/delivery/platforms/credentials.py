"""Tokens of platforms: one for all accounts, or one an account. They never print.

Whether a token is any good only the platform knows.
"""

import json
from dataclasses import dataclass, field
from typing import Any

from pydantic import SecretStr

from huntaze_pipeline.errors import SettingsError


@dataclass(frozen=True, slots=True)
class Credential:
    """How to speak for one account."""

    user: str
    """The account's id on the platform."""
    token: str = field(repr=False)


class Credentials:
    """The tokens of one platform.

    The variable holds a bare token, or a JSON object `{"account id": "token"}`, or
    `{"account id": {"user": "id on the platform", "token": "…"}}` where the two ids differ. `"*"`
    stands for every account that is not named.

    Raises:
        SettingsError: the value is neither; it is not shown.
    """

    def __init__(self, variable: str, secret: SecretStr) -> None:
        self._variable = variable
        self._single: str | None = secret.get_secret_value().strip()
        self._accounts: dict[str, Any] = {}
        if self._single.startswith("{"):
            self._accounts = self._parsed(self._single)
            self._single = None
        elif not _usable(self._single):
            raise self._wrong("a token is one word of plain ASCII")

    def of(self, account: str) -> Credential | None:
        """Return how to speak for an account, or nothing if nobody said."""
        if self._single is not None:
            return Credential(account, self._single)
        entry = self._accounts.get(account, self._accounts.get("*"))
        if entry is None:
            return None
        if isinstance(entry, str):
            return Credential(account, entry)
        return Credential(entry.get("user", account), entry["token"])

    def _parsed(self, text: str) -> dict[str, Any]:
        try:
            value = json.loads(text)
        except ValueError:
            raise self._wrong("it starts with { but is no JSON") from None
        for account, entry in value.items():
            token = entry.get("token") if isinstance(entry, dict) else entry
            if not isinstance(token, str) or not _usable(token):
                raise self._wrong(f"the entry of {account!r} holds no token of plain ASCII")
        return value

    def _wrong(self, what: str) -> SettingsError:
        return SettingsError(
            f"cannot use {self._variable}: {what}. Write a bare token, or "
            '{"account id": "token"}, or {"account id": {"user": "…", "token": "…"}}'
        )


def _usable(token: str) -> bool:
    """Whether a header can carry it."""
    return bool(token) and token.isascii() and token.isprintable() and " " not in token
