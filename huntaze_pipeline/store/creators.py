"""Creators: how one comes to be, with its sending accounts and its one API key.

A key is shown once and kept as a hash only. Who calls by it is `Store.authenticate`; what rules a
creator has is `rulebook.registry`.
"""

import hashlib
import re
import secrets
from collections.abc import Sequence

from sqlalchemy import Connection, update
from sqlalchemy.dialects.postgresql import insert

from huntaze_pipeline.clock import zones
from huntaze_pipeline.currency import CURRENCIES
from huntaze_pipeline.errors import ConflictError, NotFoundError, Problem, Problems
from huntaze_pipeline.store.people import PLATFORMS, Account, Creator

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
    if faults := _faults(creator_id, zone, currency, accounts):
        raise Problems(faults)
    key = new()
    row = {"id": creator_id, "name": name, "zone": zone, "currency": currency}
    wanted = insert(Creator).values(**row, key_hash=digest(key)).on_conflict_do_nothing()
    if connection.scalar(wanted.returning(Creator.id)) is None:
        raise ConflictError(
            f"there is a creator {creator_id} already: give it a new key with "
            f"`huntaze creators rotate-key {creator_id}`"
        )
    for platform, handle in accounts:
        _add_account(connection, creator_id, platform, handle)
    return key


def _add_account(connection: Connection, creator_id: str, platform: str, handle: str) -> None:
    identity = account_id(creator_id, platform, handle)
    values = {"creator_id": creator_id, "id": identity, "platform": platform, "handle": handle}
    wanted = insert(Account).values(values).on_conflict_do_nothing()
    if connection.scalar(wanted.returning(Account.id)) is None:
        raise ConflictError(f"the account {platform}:{handle} belongs to a creator already")


def account_id(creator_id: str, platform: str, handle: str) -> str:
    """Return the id that `add` gives an account; files name it in `identity.account_id`."""
    return f"{creator_id}-{platform}-{handle}"


def _faults(
    creator_id: str, zone: str, currency: str, accounts: Sequence[tuple[str, str]]
) -> list[Problem]:
    faults: list[Problem] = []
    if not _ID.fullmatch(creator_id):
        faults.append(Problem("creator", f"{creator_id!r}: use letters, digits, - and _, up to 64"))
    if zone not in zones():
        faults.append(Problem("--zone", f"{zone!r} is no IANA time zone; write Europe/Paris"))
    if currency not in CURRENCIES:
        faults.append(Problem("--currency", f"{currency!r} is no ISO 4217 code; write USD"))
    for platform, handle in accounts:
        if platform not in PLATFORMS or not handle:
            form = f"write platform:handle, platform one of {', '.join(PLATFORMS)}"
            faults.append(Problem("--account", f"'{platform}:{handle}': {form}"))
    return faults


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
