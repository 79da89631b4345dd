"""The split of a running test, changed by hand: from now on new recipients fall differently.

What was assigned before stays in its own epoch, and analysis compares within epochs; a split that
changes in secret would look like an effect. How a fan falls is `variants`.
"""

import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, text

from huntaze_pipeline.campaigns import lookup
from huntaze_pipeline.errors import ConflictError, Problem, Problems
from huntaze_pipeline.store import audit

_ARMS = text(
    """
    select id, weight from variants where creator_id = :creator_id and campaign_id = :id
    order by position
    """
)
_TEST = text(
    """
    select started_at, decided_at from experiments
    where creator_id = :creator_id and campaign_id = :id for update
    """
)
_FIRST = text(
    """
    insert into allocations (creator_id, campaign_id, epoch, variant_id, weight, since)
    select creator_id, campaign_id, 0, id, weight, :since from variants
    where creator_id = :creator_id and campaign_id = :id
    on conflict do nothing
    """
)
_SET = text(
    """
    update variants v set weight = k.value::float8
    from jsonb_each_text(cast(:weights as jsonb)) as k(name, value)
    where v.creator_id = :creator_id and v.campaign_id = :id and v.id = k.name
    """
)
_NEXT = text(
    """
    insert into allocations (creator_id, campaign_id, epoch, variant_id, weight, since)
    select v.creator_id, v.campaign_id,
           (select max(epoch) + 1 from allocations a
            where a.creator_id = v.creator_id and a.campaign_id = v.campaign_id),
           v.id, v.weight, :now
    from variants v where v.creator_id = :creator_id and v.campaign_id = :id
    """
)


def reweigh(
    connection: Connection,
    creator_id: str,
    campaign_id: str,
    weights: Mapping[str, float],
    *,
    now: datetime,
    actor: str,
) -> dict[str, float]:
    """Change the weights of a campaign's arms; return all of them. The same again changes nothing.

    Before the test has started its plan changes; afterwards a new epoch begins.

    Args:
        connection: a transaction of this creator, or of the machinery.
        creator_id: whose campaign.
        campaign_id: which.
        weights: arms and their new weights, relative to each other; others keep theirs.
        now: when the new split begins.
        actor: who asks, for the audit.

    Raises:
        NotFoundError: there is no such campaign.
        ConflictError: nobody is assigned any more.
        Problems: an unknown arm, or weights that cannot be.
    """
    row = lookup.get(connection, creator_id, campaign_id)
    names = {"creator_id": creator_id, "id": campaign_id}
    test = connection.execute(_TEST, names).one_or_none()
    before = {arm.id: arm.weight for arm in connection.execute(_ARMS, names)}
    after = {**before, **weights}
    _check(row, test, before, after)
    if after == before:
        return after
    started = test.started_at if test is not None else None
    if started is not None:
        connection.execute(_FIRST, names | {"since": started})
    connection.execute(_SET, names | {"weights": json.dumps(after)})
    if started is not None:
        connection.execute(_NEXT, names | {"now": now})
    change = {"from": before, "to": after}
    audit.record(connection, creator_id, actor, "campaign.reweigh", campaign_id, now, change)
    return after


def _check(row: Any, test: Any, before: Mapping[str, float], after: Mapping[str, float]) -> None:
    if row.status in ("completed", "cancelled") or (test is not None and test.decided_at):
        raise ConflictError(f"campaign {row.id}: its test is over; nobody is assigned any more")
    if test is not None and test.started_at and row.next_send_at is None:
        raise ConflictError(f"campaign {row.id} goes once and has gone: everybody has an arm")
    problems = [
        Problem(f"variant {name}", f"is none of {', '.join(before) or 'its arms: it has none'}")
        for name in after
        if name not in before
    ]
    problems += [
        Problem(f"variant {name}", f"weight is {weight:g}: must be 0 or more")
        for name, weight in after.items()
        if not 0 <= weight < float("inf")
    ]
    if not any(weight > 0 for weight in after.values()):
        problems.append(Problem("weights", "are all 0: nobody would get anything"))
    if problems:
        raise Problems(problems)
