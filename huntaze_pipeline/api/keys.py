"""Who is calling: one API key per creator. Keys are shown once and kept as a hash only."""

import hashlib
import re
import secrets
from collections.abc import Sequence
from typing import Annotated

from fastapi import Depends, Request, Security
from fastapi.security import APIKeyHeader, HTTPAuthorizationCredentials, HTTPBearer
from sqlalchemy import Connection, update
from sqlalchemy.dialects.postgresql import insert

from huntaze_pipeline.api.problems import Refusal
from huntaze_pipeline.clock import zones
from huntaze_pipeline.errors import ConflictError, NotFoundError, Problem, Problems
from huntaze_pipeline.events.envelope import CURRENCIES
from huntaze_pipeline.store.people import PLATFORMS, Account, Creator
from huntaze_pipeline.store.session import Store

_bearer = HTTPBearer(auto_error=False, description="The creator's key: `Authorization: Bearer …`")
_header = APIKeyHeader(name="X-API-Key", auto_error=False, description="The same key, by header")


_ID = re.compile(r"^[A-Za-z0-9][A-Za-z0-9_-]{0,63}$")


def new() -> str:
    """Return a fresh key: 256 random bits, with a prefix that secret scanners can find."""
    return f"hz_{secrets.token_urlsafe(32)}"


def digest(key: str) -> str:
    """Return what the database keeps of a key."""
    return hashlib.sha256(key.encode()).hexdigest()


def add(
    connection: Connection,
    creator_id: str,
    *,
    name: str,
    zone: str,
    currency: str,
    accounts: Sequence[tuple[str, str]] = (),
) -> str:
    """Make a creator with its sending accounts and return its key; run as `Store.worker`.

    Args:
        connection: a transaction of the machinery.
        creator_id: a short word.
        name: how it is shown.
        zone: IANA time zone.
        currency: ISO 4217 code.
        accounts: (platform, handle) of each.

    Raises:
        Problems: a value cannot be used; all of them are listed.
        ConflictError: there is a creator of that id, or somebody has that account.
    """
    if found := _faults(creator_id, zone, currency, accounts):
        raise Problems(found)
    key = new()
    row = {"id": creator_id, "name": name, "zone": zone, "currency": currency}
    wanted = insert(Creator).values(**row, key_hash=digest(key)).on_conflict_do_nothing()
    if connection.scalar(wanted.returning(Creator.id)) is None:
        raise ConflictError(
            f"there is a creator {creator_id} already: give it a new key with "
            f"`huntaze creators rotate-key {creator_id}`"
        )
    for platform, handle in accounts:
        identity = account_id(creator_id, platform, handle)
        values = {"creator_id": creator_id, "id": identity, "platform": platform, "handle": handle}
        wanted = insert(Account).values(values).on_conflict_do_nothing()
        if connection.scalar(wanted.returning(Account.id)) is None:
            raise ConflictError(f"the account {platform}:{handle} belongs to a creator already")
    return key


def account_id(creator_id: str, platform: str, handle: str) -> str:
    """Return the id that `add` gives an account; files name it in `identity.account_id`."""
    return f"{creator_id}-{platform}-{handle}"


def _faults(
    creator_id: str, zone: str, currency: str, accounts: Sequence[tuple[str, str]]
) -> list[Problem]:
    found: list[Problem] = []
    if not _ID.fullmatch(creator_id):
        found.append(Problem("creator", f"{creator_id!r}: use letters, digits, - and _, up to 64"))
    if zone not in zones():
        found.append(Problem("--zone", f"{zone!r} is no IANA time zone; write Europe/Paris"))
    if currency not in CURRENCIES:
        found.append(Problem("--currency", f"{currency!r} is no ISO 4217 code; write USD"))
    for platform, handle in accounts:
        if platform not in PLATFORMS or not handle:
            told = f"'{platform}:{handle}': write platform:handle, platform one of "
            found.append(Problem("--account", told + ", ".join(PLATFORMS)))
    return found


def rotate(connection: Connection, creator_id: str) -> str:
    """Give a creator a new key and return it; the old one stops working at once.

    Raises:
        NotFoundError: there is no such creator.
    """
    key = new()
    changed = connection.execute(
        update(Creator).where(Creator.id == creator_id).values(key_hash=digest(key))
    )
    if changed.rowcount == 0:
        raise NotFoundError(f"there is no creator {creator_id}: see `huntaze creators list`")
    return key


def caller(
    request: Request,
    bearer: Annotated[HTTPAuthorizationCredentials | None, Security(_bearer)],
    header: Annotated[str | None, Security(_header)],
) -> str:
    """Return the creator whose key came with the request.

    Raises:
        Refusal: no key, or one that nobody holds.
    """
    key = bearer.credentials if bearer else header
    store: Store = request.app.state.store
    creator = store.authenticate(key) if key else None
    if creator is None:
        told = "this key is not known" if key else "no key: send `Authorization: Bearer <key>`"
        raise Refusal(401, told, {"WWW-Authenticate": 'Bearer realm="huntaze"'})
    return creator


CreatorId = Annotated[str, Depends(caller)]
