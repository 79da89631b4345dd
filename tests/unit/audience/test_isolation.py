"""Finding out which segments made a refresh fail."""

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from duckdb import DuckDBPyConnection
from sqlalchemy import Connection

from huntaze_pipeline.audience import isolation, standing
from huntaze_pipeline.rulebook.fields import Type
from huntaze_pipeline.rulebook.language import FUNCTIONS, Function
from huntaze_pipeline.rulebook.live import LiveSegment
from huntaze_pipeline.rulebook.schema import Segment
from huntaze_pipeline.rulebook.selection import selections
from huntaze_pipeline.store.session import Store
from huntaze_pipeline.warehouse import lake as room

NOON = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)


@pytest.fixture
def lake(tmp_path: Path) -> Iterator[DuckDBPyConnection]:
    with room.private(tmp_path) as con:
        con.execute(
            "create table lake.marts.fan_facts as select * from (values ('maya', 'fan-1', 4),"
            " ('tom', 'fan-2', 0)) t(creator_id, fan_id, purchases)"
        )
        standing.prepare(con)
        yield con


@pytest.fixture
def connection(store: Store) -> Iterator[Connection]:
    with store.worker() as c:
        yield c


def live(creator: str, number: int, where: str) -> LiveSegment:
    name = f"segment-{number}"
    return LiveSegment(creator, name, Segment.model_validate({"name": name, "where": where}))


def test_the_one_among_many_is_found_by_halving(
    connection: Connection, lake: DuckDBPyConnection, monkeypatch: pytest.MonkeyPatch
) -> None:
    bad = Function((Type.NUMBER,), Type.NUMBER, "abs({0}, 'no')")
    monkeypatch.setitem(FUNCTIONS, "unforeseen", bad)
    asked = [live("maya", n, f"fan.purchases > {n}") for n in range(31)]
    asked.append(live("maya", 31, "unforeseen(fan.purchases) > 1"))
    questions: list[int] = []
    ask = isolation.evaluation.question

    def counting(group: isolation.evaluation.Group, *rest: object) -> str:
        questions.append(len(group.predicates))
        return ask(group, *rest)  # pyright: ignore[reportArgumentType]

    monkeypatch.setattr(isolation.evaluation, "question", counting)
    found = isolation.wrong(connection, lake, selections(asked, NOON), NOON)

    assert list(found) == [("maya", "segment-31")]
    assert questions == [32, 16, 16, 8, 8, 4, 4, 2, 2, 1, 1]


def test_only_the_creator_of_whose_fans_it_cannot_be_asked_is_told(
    connection: Connection, lake: DuckDBPyConnection, monkeypatch: pytest.MonkeyPatch
) -> None:
    fails = "case when {0} = 0 then error('no fan like that') else {0} end"
    monkeypatch.setitem(FUNCTIONS, "unforeseen", Function((Type.NUMBER,), Type.NUMBER, fails))
    where = "unforeseen(fan.purchases) > 1"
    asked = [live("maya", 1, where), live("tom", 1, where), live("tom", 2, "fan.purchases = 0")]
    found = isolation.wrong(connection, lake, selections(asked, NOON), NOON)

    assert list(found) == [("tom", "segment-1")]


def test_where_all_can_be_asked_nobody_is_to_blame(
    connection: Connection, lake: DuckDBPyConnection
) -> None:
    asked = [live("maya", n, f"fan.purchases > {n}") for n in range(3)]

    assert isolation.wrong(connection, lake, selections(asked, NOON), NOON) == {}
