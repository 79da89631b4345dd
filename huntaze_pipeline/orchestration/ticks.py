"""What a sensor does with one piece of work, without Dagster: read, call the rooms, write.

Each function confirms its work and its checkpoint together, in one transaction (`start` in one a
campaign), and returns how much it did, so that `drain` can repeat it. Running one twice, or two at
once, changes nothing more.
"""

from collections.abc import Callable, Collection, Iterable
from datetime import datetime
from functools import partial
from typing import NamedTuple

import duckdb
from sqlalchemy import Connection, text

from huntaze_pipeline.audience import segments
from huntaze_pipeline.audience.segments import Delta
from huntaze_pipeline.campaigns import inspection, launch, reactions, rest
from huntaze_pipeline.campaigns.writing import Campaign
from huntaze_pipeline.delivery import outbox, relay
from huntaze_pipeline.delivery.sender import Parts
from huntaze_pipeline.events import inbox
from huntaze_pipeline.rulebook import live, recount, selection, tally
from huntaze_pipeline.rulebook.policies import Policies
from huntaze_pipeline.store import checkpoints, volley
from huntaze_pipeline.store.session import Store
from huntaze_pipeline.timing import clocks, occasions, silences
from huntaze_pipeline.warehouse import lake as lakes
from huntaze_pipeline.webhooks import courier

READER = tally.READER
BATCH = 1_900
"""The most events, or steps, of a round. A round costs tens of milliseconds whatever it holds, so
what has piled up goes faster in large ones; from 2,000 on each is planned anew (`matching`)."""

Lake = duckdb.DuckDBPyConnection
Tell = Callable[[str], object]
"""Hears, in a sentence, what a person should look at."""


def _nobody(_: str) -> None:
    """Listen to nothing."""


_EVALUATED = text("select creator_id || '/' || id from segments where refreshed_at is not null")


def react(
    store: Store, lake: Lake | None, policies: Policies, now: datetime, tell: Tell = _nobody
) -> int:
    """Let the automations react to the next events of the inbox; return how many were read.

    A live rule that cannot be read does not react; `tell` hears which, and the others go on.
    """
    with store.worker() as connection:
        if not inbox.waits(connection, READER):
            return 0
        place = _place(checkpoints.take(connection, READER))
        with lakes.still(lake) as snapshot:
            if lake is not None and snapshot is not None:
                recount.within(connection, lake, place, snapshot)
            events = inbox.tail(connection, place, BATCH)
            if not events:
                return 0
            reaction = reactions.react(connection, lake, events, policies, now, snapshot)
        outbox.record(connection, reaction.decisions)
        for fault in reaction.faults:
            tell(str(fault))
        upto = events[-1].position
        moved = checkpoints.moving(READER, upto._asdict())
        volley.ask(connection, tally.adding(place, upto), moved)
    return len(events)


def count(store: Store, lake: Lake) -> int:
    """Count anew the facts of fans of whom something has come from files; return how many."""
    with store.worker() as connection:
        place = _place(checkpoints.take(connection, READER))
        return recount.step(connection, lake, place)


def _place(position: dict[str, int]) -> inbox.Position:
    return inbox.Position(position.get("tx", 0), position.get("id", 0))


def wake(
    store: Store, lake: Lake | None, policies: Policies, now: datetime, tell: Tell = _nobody
) -> int:
    """Take the automations' steps that have come due; return how many."""
    with store.worker() as connection:
        reaction = reactions.wake(connection, lake, policies, now, BATCH)
        outbox.record(connection, reaction.decisions)
        for fault in reaction.faults:
            tell(str(fault))
    return reaction.steps


def chime(store: Store, lake: Lake | None, now: datetime, tell: Tell = _nobody) -> int:
    """Turn the moments of the calendar and silences that have come into events; return how many.

    What is too late to act on is put down as missed, and told.
    """
    with store.worker() as connection:
        clocks.sync(connection)
    silences.seed(store, lake)
    with store.worker() as connection:
        for late in [
            *occasions.open_due(connection, now).missed,
            *occasions.lapse(connection, now),
        ]:
            tell(late)
    with store.worker() as connection:
        made = occasions.make(connection)
    return made + _hush(store, lake, now, tell)


def _hush(store: Store, lake: Lake | None, now: datetime, tell: Tell) -> int:
    """Follow what breaks silences; once all of that is known, tell of the long ones."""
    with store.worker() as connection:
        if read := silences.follow(connection):
            return read
    if lake is not None:
        silences.learn(store, lake)
    with store.worker() as connection:
        due, missed = silences.fire(connection, now)
    if missed:
        tell(f"{missed} silences came to light too late and were not acted on")
    return due


def post(store: Store, secret: bytes, now: datetime, tell: Tell = _nobody) -> int:
    """Deliver the webhooks that are due; return how many were tried."""
    done = courier.deliver(store, secret, now)
    if done.failed:
        tell(f"{done.failed} webhooks were given up; `huntaze webhooks list` says why")
    return done.sent + done.failed + done.later


def start(
    store: Store, lake: Lake | None, policies: Policies, now: datetime, tell: Tell = _nobody
) -> int:
    """Decide the campaigns whose time has come, audience and all; return how many decisions.

    Whoever waits for a test that is over is decided as well.
    One whose audience fails its gate is paused with the reason; nothing of it is decided.
    Each campaign is a transaction: one that cannot be decided is told, and the others go.
    """
    moment = Moment(lake, policies, now)
    with store.worker() as connection:
        coming = launch.coming(connection, now)
    decided = _each(store, coming, partial(_launch, moment), tell)
    with store.worker() as connection:
        rest.expire(connection, now)
        waiting = rest.waiting(connection)
    decided += _each(store, waiting, partial(_follow, moment), tell)
    with store.worker() as connection:
        launch.settle(connection, now)
    return decided


class Moment(NamedTuple):
    """By what campaigns are decided."""

    lake: Lake | None
    policies: Policies
    now: datetime

    @property
    def snapshot(self) -> int | None:
        """Where the lake stands."""
        return None if self.lake is None else lakes.snapshot(self.lake)


def _each(
    store: Store, campaigns: Iterable[Campaign], decide: Callable[[Connection, Campaign], int],
    tell: Tell,
) -> int:  # fmt: skip
    """Decide campaigns one by one; return how many decisions."""
    decided = 0
    for campaign in campaigns:
        try:
            with store.worker() as connection:
                decided += decide(connection, campaign)
        except Exception as error:  # whatever is wrong with one is no reason to stop the others
            reason = (str(error).splitlines() or [""])[0]
            name = f"campaign {campaign.id} of {campaign.creator_id}"
            tell(f"{name} was not decided: {type(error).__name__}: {reason}")
    return decided


def _launch(moment: Moment, connection: Connection, campaign: Campaign) -> int:
    """Decide what has come of a campaign; nothing if another process does."""
    lake, policies, now = moment
    decided = 0
    for due in launch.due(connection, now, campaign):
        if inspection.stops(connection, due, policies, now):
            continue
        snapshot = moment.snapshot
        decisions = launch.plan(connection, due, now, policies, lake=lake, snapshot_id=snapshot)
        decided += outbox.record(connection, decisions).new
        launch.advance(connection, due, now)
    return decided


def _follow(moment: Moment, connection: Connection, campaign: Campaign) -> int:
    """Give those who waited for a test its winner (or fallback); return how many were decided."""
    lake, policies, now = moment
    decided = 0
    for over in rest.ready(connection, campaign):
        snapshot = moment.snapshot
        decisions = rest.plan(connection, over, now, policies, lake=lake, snapshot_id=snapshot)
        decided += outbox.release(connection, decisions)
    return decided


def ring(bell: Parts, now: datetime) -> int:
    """Publish the messages that are due; return how many are on their way."""
    direct = relay.Direct(bell.limiter, bell.directory)
    return relay.publish(bell.store, bell.queue, now, direct=direct, rollout=bell.rollout)


def refresh(
    store: Store,
    lake: Lake,
    now: datetime,
    creators: Collection[str] | None = None,
    *,
    whole: bool = False,
    tell: Tell = _nobody,
) -> list[Delta]:
    """Evaluate every segment (of some creators), store who came and left, and tell the rules.

    A segment's first evaluation tells nobody: everyone in it was there before it had a name. One
    that cannot be evaluated keeps its members; `tell` hears which, and the others go on.
    """
    faults: dict[tuple[str, str], str] = {}
    with store.worker() as connection:
        known = set(connection.execute(_EVALUATED).scalars())
        declared = live.segments(connection, creators, strict=False)
        wanted = selection.selections(declared, now, faults)
        refreshed = segments.refresh(connection, lake, wanted, now, whole=whole, faults=faults)
        news = [d for d in refreshed.deltas if f"{d.creator_id}/{d.segment_id}" in known]
        inbox.append(connection, segments.published(news, now))
    refreshed.settle(lake)
    for (creator, name), what in sorted(faults.items()):
        tell(f"segment {creator}/{name} keeps its members: {what}")
    return refreshed.deltas
