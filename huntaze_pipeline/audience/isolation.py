"""Which segments cannot be asked, when a refresh failed: those that fail together are halved.

What passes the checks can be asked; this is for what they did not foresee. Not here: what becomes
of the members of such a segment (`segments`).
"""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime

from duckdb import DuckDBPyConnection
from sqlalchemy import Connection

from huntaze_pipeline.audience import evaluation, lists, standing
from huntaze_pipeline.audience.evaluation import Selection
from huntaze_pipeline.audience.stays import Name
from huntaze_pipeline.sql import quoted
from huntaze_pipeline.warehouse.refusals import FAULTY, told


def wrong(
    connection: Connection, lake: DuckDBPyConnection, segments: Sequence[Selection], now: datetime
) -> dict[Name, str]:
    """Return the segments that DuckDB cannot ask, and what it says; empty when each can be asked.

    Args:
        connection: PostgreSQL, for the lists that segments name.
        lake: the lake; no transaction is open.
        segments: all that were to be asked.
        now: the moment of the question.
    """
    trial, found = _Trial(connection, lake, now), {}
    for group in evaluation.groups(segments):
        one = group.creators[0]
        asked = [s for s in segments if s.creator_id == one and s.fans is None]
        faults = trial.faults(asked, group.creators)
        found |= {
            (creator, name): faults[definition]
            for creator in group.creators
            for name, _, definition in group.names
            if definition in faults
        }
    return found


class _Trial:
    """Asks and keeps nothing of the answers."""

    def __init__(self, connection: Connection, lake: DuckDBPyConnection, now: datetime) -> None:
        self._connection, self._lake, self._now = connection, lake, now

    def faults(self, asked: Sequence[Selection], creators: tuple[str, ...]) -> dict[str, str]:
        """Return the definitions that cannot be asked of these creators' fans, and why."""
        if not asked or (why := self._fault(asked, creators)) is None:
            return {}
        if len(asked) == 1:
            return {asked[0].definition: why}
        half = len(asked) // 2
        return self.faults(asked[:half], creators) | self.faults(asked[half:], creators)

    def _fault(self, asked: Sequence[Selection], creators: tuple[str, ...]) -> str | None:
        (alone,) = evaluation.groups(asked)
        group = replace(alone, creators=creators)
        where = f"fan.creator_id in ({', '.join(map(quoted, creators))})"
        try:
            with standing.reading(self._lake):
                lists.load(self._connection, self._lake, [group], 0)
                question = evaluation.question(group, self._now, where)
                self._lake.execute(f"create or replace temp table _tried as {question}")
        except FAULTY as error:
            return told(error)
        return None
