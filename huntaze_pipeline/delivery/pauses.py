"""Pausing what goes out: an account, a platform, everything, or only the way in.

The truth is in the books and every intent looks at it, so a pause holds from the next call on and
survives restarts; calls under way end as they end. Campaigns and automations have pauses of their
own (`campaigns.lifecycle`, `rulebook.control`), which the same look respects.
"""

from datetime import datetime
from typing import Any

from sqlalchemy import Connection, text

from huntaze_pipeline.errors import ConflictError, NotFoundError
from huntaze_pipeline.store import audit
from huntaze_pipeline.store.people import PLATFORMS

VERDICTS = """
                when exists (select from pauses where scope = 'all') then 'all_paused'
                when exists (select from pauses p where p.scope = 'platform'
                    and p.name = m.platform) then 'platform_paused'
"""
"""For the sender's and the relay's last look at a message `m`."""
OPEN = "not exists (select from pauses where scope = 'intake')"
"""Whether new messages are taken to the queues."""
_RELEASE = text("""
    update messages set reason = null, not_before = :now
    where state = 'decided' and reason = :reason
        and (cast(:platform as text) is null or platform = :platform)
        and (cast(:account as text) is null or account_id = :account)
""")
_ACCOUNT = text("""
    update accounts set status = :to where id = :id and status = :before returning id
""")


def pause(connection: Connection, scope: str, name: str, *, actor: str, now: datetime) -> None:
    """Pause an account, a platform, everything (`all`) or the way in (`intake`); again is no fault.

    Raises:
        NotFoundError: there is no such account or platform.
        ConflictError: the account is banned.
    """
    if scope == "account":
        _account(connection, name, "active", "paused")
    else:
        _known(scope, name)
        connection.execute(
            text("""
                insert into pauses (scope, name, actor, at) values (:scope, :name, :actor, :now)
                on conflict do nothing
            """),
            {"scope": scope, "name": name, "actor": actor, "now": now},
        )
    audit.record(connection, None, actor, "sending.pause", f"{scope}:{name}", now, {})


def resume(connection: Connection, scope: str, name: str, *, actor: str, now: datetime) -> None:
    """End a pause; what it held goes at once. Resuming everything opens the way in, too.

    Raises:
        NotFoundError: there is no such account or platform.
        ConflictError: the account is banned.
    """
    reason = f"{scope}_paused"
    if scope == "account":
        _account(connection, name, "paused", "active")
    else:
        _known(scope, name)
        scopes = ["all", "intake"] if scope == "all" else [scope]
        connection.execute(
            text("delete from pauses where scope = any(:scopes) and name = :name"),
            {"scopes": scopes, "name": name},
        )
    values = {"reason": reason, "now": now, "platform": None, "account": None}
    connection.execute(_RELEASE, values | ({scope: name} if name else {}))
    audit.record(connection, None, actor, "sending.resume", f"{scope}:{name}", now, {})


def over(connection: Connection, platform: str | None, account: str | None = None) -> list[str]:
    """Return the pauses that hold a platform's messages, or an account's."""
    found = connection.execute(
        text("""
            select scope from pauses where scope = 'all' or scope = 'platform' and name = :platform
            union all
            select 'account' from accounts where id = :account and status = 'paused'
        """),
        {"platform": platform, "account": account},
    ).scalars()
    return [f"{scope}_paused" for scope in found]


def every(connection: Connection) -> list[dict[str, Any]]:
    """Return all pauses, accounts included, oldest first."""
    rows = connection.execute(
        text("""
            select scope, name, actor, at from pauses
            union all select 'account', id, null, null from accounts where status = 'paused'
            order by at nulls last, name
        """)
    )
    return [dict(row) for row in rows.mappings()]


def left(connection: Connection) -> int:
    """Count the messages that were taken in and have not ended."""
    count = connection.scalar(
        text("select count(*) from messages where state in ('queued', 'claimed')")
    )
    return int(count or 0)


def _known(scope: str, name: str) -> None:
    if scope == "platform" and name not in PLATFORMS:
        raise NotFoundError(f"there is no platform {name!r}: {', '.join(PLATFORMS)}")


def _account(connection: Connection, name: str, before: str, to: str) -> None:
    if connection.scalar(_ACCOUNT, {"id": name, "before": before, "to": to}):
        return
    status = connection.scalar(text("select status from accounts where id = :id"), {"id": name})
    if status is None:
        raise NotFoundError(f"there is no account {name!r}")
    if status != to:
        raise ConflictError(f"account {name} is {status}")
