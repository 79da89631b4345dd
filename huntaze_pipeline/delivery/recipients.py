"""What the books know of a fan on a platform: address, account, consent, suppression, limits."""

from collections.abc import Callable
from typing import Any

from sqlalchemy import Connection, text

from huntaze_pipeline.delivery.limiter import Limits
from huntaze_pipeline.delivery.validation import Recipient, Request

_RECIPIENT = text("""
    select i.fan_id, i.account_id, i.address, a.status as account_status,
        coalesce(s.reason, b.reason) as suppressed, c.granted as consent, i.last_inbound_at,
        a.limit_count, a.limit_window_s
    from identities i
    join accounts a on a.creator_id = i.creator_id and a.id = i.account_id
    left join suppressions s on s.creator_id = i.creator_id and s.platform = i.platform
        and s.normalised = i.normalised
    left join barred b on b.platform = i.platform and b.normalised = i.normalised
    left join consents c on c.creator_id = i.creator_id and c.fan_id = i.fan_id
        and c.topic = :topic
    where i.creator_id = :creator and i.fan_id = :fan and i.platform = :platform
        and (cast(:account as text) is null or i.account_id = :account)
""")


def find(
    connection: Connection, creator_id: str, request: Request
) -> tuple[Recipient | None, Callable[[Limits], Limits]]:
    """Return the recipient, or None, and how its account changes the platform's limits."""
    row: Any = (
        connection.execute(
            _RECIPIENT,
            {
                "creator": creator_id, "fan": request.recipient, "platform": request.platform,
                "account": request.account_id, "topic": request.about,
            },
        )
        .mappings()
        .one_or_none()
    )  # fmt: skip
    if row is None:
        return None, lambda standard: standard
    count, window = row["limit_count"], row["limit_window_s"]

    def limits(standard: Limits) -> Limits:
        return Limits(count or standard.count, window or standard.window_s)

    return Recipient(**{name: row[name] for name in Recipient.__slots__}), limits
