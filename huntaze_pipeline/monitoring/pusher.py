"""The regular push: what happened since the last one, once, whoever pushes."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, select, update
from sqlalchemy.dialects.postgresql import insert

from huntaze_pipeline.delivery.queue import Queue
from huntaze_pipeline.monitoring import cloudwatch, metrics
from huntaze_pipeline.store.inflow import Checkpoint
from huntaze_pipeline.store.session import Store
from huntaze_pipeline.warehouse.goals import Declared
from huntaze_pipeline.warehouse.raw import Bot

NAME = "monitoring"
FIRST = timedelta(minutes=1)
"""How far back the very first push looks."""


def push(
    store: Store,
    client: Any,
    namespace: str,
    *,
    now: datetime,
    goals: Declared,
    bots: Sequence[Bot] = (),
    queue: Queue | None = None,
    open_circuits: Mapping[str, bool] | None = None,
) -> int:
    """Send what happened since the last push; return how many metrics went.

    The checkpoint moves after CloudWatch took them, in a transaction that a second pusher waits
    for: a crash in between sends the last window again, and nothing is ever left out.

    Raises:
        ServiceError: CloudWatch refuses or does not answer; the next push covers the time.
    """
    until = now - metrics.SETTLE
    with store.worker() as connection:
        since = _since(connection, until)
        if until <= since:
            return 0
        samples = metrics.gather(
            store,
            since=since,
            until=until,
            goals=goals,
            bots=bots,
            queue=queue,
            open_circuits=open_circuits,
        )
        sent = cloudwatch.push(client, namespace, samples, until)
        connection.execute(
            update(Checkpoint)
            .where(Checkpoint.name == NAME)
            .values(position={"until": until.isoformat()}, updated_at=now)
        )
    return sent


def _since(connection: Connection, until: datetime) -> datetime:
    """Return the end of the last window and hold the checkpoint until the transaction ends."""
    start = {"until": (until - FIRST).isoformat()}
    connection.execute(
        insert(Checkpoint).values(name=NAME, position=start).on_conflict_do_nothing()
    )
    position = connection.execute(
        select(Checkpoint.position).where(Checkpoint.name == NAME).with_for_update()
    ).scalar_one()
    return datetime.fromisoformat(position["until"])
