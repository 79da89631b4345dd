"""Making rules live: as planned or not at all, and with a row that says what came from where."""

from collections.abc import Mapping, Sequence
from datetime import datetime

from sqlalchemy import Connection, insert

from huntaze_pipeline.errors import StalePlanError
from huntaze_pipeline.rehearsal import rulings, standing
from huntaze_pipeline.rehearsal.origin import Origin
from huntaze_pipeline.rehearsal.standing import Rule
from huntaze_pipeline.rulebook import registry
from huntaze_pipeline.rulebook.loader import Rulebook
from huntaze_pipeline.rulebook.registry import Applied
from huntaze_pipeline.store.automations import Release


def apply(
    connection: Connection,
    creators: Sequence[str],
    rulebook: Rulebook,
    origin: Origin,
    now: datetime,
    expected: Mapping[str, str] | None = None,
) -> dict[str, Applied]:
    """Make a rulebook live for some creators, in the caller's transaction: for all or for none.

    Args:
        connection: as the machinery, or as the creator when it is one.
        creators: for whom.
        rulebook: the checked files.
        origin: where the files come from; kept with what becomes live.
        now: the instant that is noted.
        expected: a plan's word on what is live, by creator (`standing.fingerprint`); None: no plan.

    Raises:
        StalePlanError: something else is live for one of them than the plan was made against.
    """
    for creator in sorted(creators):
        registry.lock(connection, creator)
    before = {creator: standing.rules(connection, creator) for creator in creators}
    if expected is not None:
        _current(before, expected)
    return {
        creator: _one(connection, creator, rulebook, origin, now, before[creator])
        for creator in creators
    }


def _current(before: Mapping[str, Mapping[str, Rule]], expected: Mapping[str, str]) -> None:
    stale = sorted(c for c, live in before.items() if standing.fingerprint(live) != expected.get(c))
    if stale:
        raise StalePlanError(
            f"what is live changed since the plan was made, for {', '.join(stale[:10])};"
            " nothing was applied; make the plan again with `huntaze rules plan`"
        )


def _one(
    connection: Connection,
    creator: str,
    rulebook: Rulebook,
    origin: Origin,
    now: datetime,
    before: Mapping[str, Rule],
) -> Applied:
    applied = registry.apply(connection, creator, rulebook, now, origin.commit)
    labels = {"create": applied.created, "change": applied.updated, "stop": applied.stopped}
    ruling = rulings.change(connection, creator, rulebook.policies)
    if any(labels.values()) or ruling:
        after = standing.rules(connection, creator)
        changes = [
            {
                "kind": label.partition("/")[0], "id": label.partition("/")[2], "action": action,
                "before": before[label].hash if label in before else None,
                "after": after[label].hash,
            }
            for action, names in labels.items() for label in names
        ]  # fmt: skip
        changes += [ruling] if ruling else []
        values = {
            "creator_id": creator, "applied_at": now, "git_commit": origin.commit,
            "dirty": origin.dirty, "files_hash": rulebook.content(),
            "live_hash": standing.fingerprint(after), "changes": changes,
        }  # fmt: skip
        connection.execute(insert(Release).values(values))
    return applied
