"""Segments in the lake's light: who is in, who came, who left; kept in PostgreSQL for ever.

One refresh from end to end. Its parts are beside it: what is asked (`evaluation`, `timing`), of
whom (`standing`), who differs (`moves`), lists (`lists`), and the stays that it opens and closes
(`stays`).
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from difflib import get_close_matches

import duckdb
import polars as pl
from sqlalchemy import Connection, text

from huntaze_pipeline.audience import evaluation, isolation, lists, moves, standing, stays
from huntaze_pipeline.audience.evaluation import Selection
from huntaze_pipeline.audience.stays import Name
from huntaze_pipeline.errors import NotFoundError
from huntaze_pipeline.events.envelope import Event
from huntaze_pipeline.store import checkpoints
from huntaze_pipeline.warehouse.refusals import FAULTY

_LOCK = 0x5345474D  # "SEGM": one refresh at a time
_READER = "segments"
_VERSIONS = text(
    """
    insert into segment_versions (creator_id, segment_id, live_at, rule_hash, criteria)
    select s.creator_id, s.id, :now, s.rule_hash, s.criteria
    from unnest(cast(:creators as text[]), cast(:segments as text[])) as k(creator_id, segment_id)
    join segments s on s.creator_id = k.creator_id and s.id = k.segment_id
    left join lateral (
        select v.rule_hash from segment_versions v
        where v.creator_id = s.creator_id and v.segment_id = s.id
        order by v.live_at desc limit 1) v on true
    where v.rule_hash is distinct from s.rule_hash
    on conflict (creator_id, segment_id, live_at)
    do update set rule_hash = excluded.rule_hash, criteria = excluded.criteria
    """
)


@dataclass(frozen=True, eq=False)
class Delta:
    """What one refresh changed in one segment."""

    creator_id: str
    segment_id: str
    came: pl.Series
    went: pl.Series
    size: int
    redefined: bool = False
    """Its definition is another one than at the refresh before."""

    @property
    def entered(self) -> list[str]:
        """Return the fans who entered, by id."""
        return self.came.to_list()

    @property
    def left(self) -> list[str]:
        """Return the fans who left, by id."""
        return self.went.to_list()


@dataclass(frozen=True)
class Refreshed:
    """A refresh that PostgreSQL holds once its transaction ends; the lake is told after that."""

    deltas: list[Delta]
    plan: standing.Plan
    now: datetime
    asked: int
    """How many fans had to be asked."""
    number: int
    before: int

    def settle(self, lake: duckdb.DuckDBPyConnection) -> bool:
        """Remember in the lake where every fan stands now; call it after the commit.

        When it is never called, or another refresh was here first (False), the next refresh asks
        everybody and compares with PostgreSQL: slower, and as right.
        """
        return standing.settle(lake, self.plan, self.now, self.number, self.before)


def refresh(
    connection: Connection,
    lake: duckdb.DuckDBPyConnection,
    segments: Sequence[Selection],
    now: datetime,
    *,
    whole: bool = False,
    faults: dict[Name, str] | None = None,
) -> Refreshed:
    """Evaluate segments and store what changed; stays are opened and closed at `now`.

    Only fans of whom something changed are asked: their facts, their time or their creator's
    segments. A changed definition is evaluated beside the live one and takes its place in the
    caller's transaction. Repeating a refresh changes nothing. Segments of one refresh are seen
    together: all or none.

    Args:
        connection: PostgreSQL, as the machinery.
        lake: the lake; left as it is until `Refreshed.settle`.
        segments: all segments of the creators that they belong to.
        now: the moment of the question.
        whole: ask everybody, whatever is known.
        faults: segments that are left as they are, and why; those that turn out not to be askable
            are put there too. None: such a one is an error.

    Raises:
        WarehouseError: the facts about the fans were never built.
    """
    connection.execute(text("select pg_advisory_xact_lock(:key)"), {"key": _LOCK})
    standing.prepare(lake)
    number = int(checkpoints.take(connection, _READER).get("number", 0))
    turn = _Refresh(connection, lake, segments, now, faults)
    return turn.run(number, whole)


class _Refresh:
    """One refresh: what it reads and writes."""

    def __init__(
        self,
        connection: Connection,
        lake: duckdb.DuckDBPyConnection,
        segments: Sequence[Selection],
        now: datetime,
        faults: dict[Name, str] | None,
    ) -> None:
        self.connection, self.lake, self.now = connection, lake, now
        self.faults = faults
        self._choose(segments)
        self.bases: dict[Name, int] = {}

    def _choose(self, segments: Sequence[Selection]) -> None:
        self.segments = segments
        self.names = [(s.creator_id, s.id) for s in segments]
        self.groups = evaluation.groups(segments)

    def run(self, number: int, whole: bool) -> Refreshed:
        horizon = lists.horizon(self.connection)
        listed = self._lists()
        try:
            plan, before, redefined, asked = self._ask(number, whole, horizon)
        except FAULTY:
            if not self._leave_out():
                raise
            plan, before, redefined, asked = self._ask(number, whole, horizon)
        trusted = before == number
        moved = moves.any_at_all(self.lake)
        if moved:
            stays.write(self.connection, self.lake, self.now)
        deltas = self._deltas(listed, redefined)
        self._versions()
        if moved or not trusted:
            number = max(number, before) + 1
            checkpoints.move(self.connection, _READER, {"number": number})
        return Refreshed(deltas, plan, self.now, asked, number, before)

    def _ask(
        self, number: int, whole: bool, horizon: int
    ) -> tuple[standing.Plan, int, set[Name], int]:
        """Ask, and gather who moves.

        Return the plan, the lake's number, what has another definition, and how many were asked.
        """
        with standing.reading(self.lake):
            before = standing.number_of(self.lake)
            plan = standing.plan(
                self.lake, self.groups, self.now, trusted=before == number, whole=whole,
                horizon=horizon,
            )  # fmt: skip
            lists.load(self.connection, self.lake, self.groups, plan.listed)
            standing.candidates(self.lake, plan, self.now)
            standing.named(self.lake, plan, self.faults or ())
            standing.ask(self.lake, plan, self.now)
            return plan, before, self._moves(), _count(self.lake, "_fresh")

    def _leave_out(self) -> bool:
        """Leave out the segments that cannot be asked; say whether there are any."""
        if self.faults is None:
            return False
        wrong = isolation.wrong(self.connection, self.lake, self.segments, self.now)
        self.faults |= wrong
        self._choose([s for s in self.segments if (s.creator_id, s.id) not in wrong])
        return bool(wrong)

    def _lists(self) -> dict[Name, tuple[list[str], list[str]]]:
        """Bring static segments in line with their lists."""
        listed: dict[Name, tuple[list[str], list[str]]] = {}
        for segment in self.segments:
            if segment.fans is not None:
                came, left, size = lists.reconcile(self.connection, segment, self.now)
                name = segment.creator_id, segment.id
                listed[name] = came, left
                self.bases[name] = size - len(came) + len(left)
        return listed

    def _moves(self) -> set[Name]:
        """Gather who comes and goes; return the segments with another definition."""
        moves.gather(self.lake, self._base(moves.unrecorded(self.lake)))
        return moves.redefined(self.lake)

    def _base(self, new: set[Name]) -> pl.DataFrame:
        """Read the members of segments that the lake does not remember."""
        held = stays.held(self.connection, new) if new else []
        base = stays.current(self.connection, held) if held else pl.DataFrame(schema=stays.KEYS)
        self.bases |= dict.fromkeys(new, 0)
        for creator, segment, count in base.group_by("creator_id", "segment_id").len().iter_rows():
            self.bases[creator, segment] = count
        return base

    def _deltas(
        self, listed: dict[Name, tuple[list[str], list[str]]], redefined: set[Name]
    ) -> list[Delta]:
        came, went = moves.fans(self.lake, entered=True), moves.fans(self.lake, entered=False)
        for name, (entered, left) in listed.items():
            came[name], went[name] = _fans(entered), _fans(left)
        none = _fans([])
        changes = {n: len(came.get(n, none)) - len(went.get(n, none)) for n in self.names}
        sizes = stays.sizes(self.connection, self.names, self.bases, changes, self.now)
        return [
            Delta(*n, came.get(n, none), went.get(n, none), sizes.get(n, 0), n in redefined)
            for n in dict.fromkeys(self.names)
        ]

    def _versions(self) -> None:
        values = {"creators": [n[0] for n in self.names], "segments": [n[1] for n in self.names]}
        self.connection.execute(_VERSIONS, values | {"now": self.now})


def _count(lake: duckdb.DuckDBPyConnection, table: str) -> int:
    return int((lake.execute(f"select count(*) from {table}").fetchone() or (0,))[0])


def _fans(ids: list[str]) -> pl.Series:
    return pl.Series("fan_id", ids, dtype=pl.String)


def published(deltas: Iterable[Delta], now: datetime) -> list[Event]:
    """Return the deltas as events `entered_segment` and `left_segment`, for rules to react to.

    Who moved because the definition changed has the property `cause: definition`.
    """
    return [
        Event(
            creator_id=delta.creator_id,
            event_id=f"segment:{delta.segment_id}:{fan}:{name}:{now.isoformat()}",
            name=name,
            fan_id=fan,
            occurred_at=now,
            source="rule",
            properties={"segment": delta.segment_id}
            | ({"cause": "definition"} if delta.redefined else {}),
        )
        for delta in deltas
        for name, fans in (("entered_segment", delta.entered), ("left_segment", delta.left))
        for fan in fans
    ]


def require(connection: Connection, creator_id: str, segment_id: str) -> None:
    """Make sure that a creator has a segment.

    Raises:
        NotFoundError: there is none; the nearest names are told.
    """
    query = text("select id from segments where creator_id = :creator order by id")
    names = list(connection.execute(query, {"creator": creator_id}).scalars())
    if segment_id not in names:
        near = " or ".join(map(repr, get_close_matches(segment_id, names, n=3)))
        hint = f"did you mean {near}?" if near else f"there are: {', '.join(names) or 'none'}"
        raise NotFoundError(f"there is no segment {segment_id!r} of {creator_id!r}; {hint}")


def members(
    connection: Connection, creator_id: str, segment_id: str, at: datetime | None = None
) -> list[str]:
    """Return the fans in a segment, now or as of a moment."""
    rows = connection.execute(
        text(
            """
            select distinct fan_id from members
            where creator_id = :creator and segment_id = :segment
              and case when cast(:at as timestamptz) is null then left_at is null
                       else entered_at <= :at and (left_at is null or left_at > :at) end
            order by fan_id
            """
        ),
        {"creator": creator_id, "segment": segment_id, "at": at},
    )
    return [row.fan_id for row in rows]
