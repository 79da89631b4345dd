"""Several statements in one round trip: the same answers, the same errors."""

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from huntaze_pipeline.errors import StoreError
from huntaze_pipeline.store import volley

ONE = text("select cast(:n as int) as n, '50%' as share")
MANY = text("select k from unnest(cast(:names as text[])) k order by k")
PUT = text("insert into creators (id, name) values (:id, :id)")
FIND = text("select id from creators where id = :id")


def test_statements_run_in_their_order_and_give_their_rows(store):
    with store.worker() as c:
        found = volley.ask(
            c, (ONE, {"n": 7}), (PUT, {"id": "zoe"}), (FIND, {"id": "zoe"}),
            (MANY, {"names": ["b", "a"]}),
        )  # fmt: skip
    assert (found[0][0].n, found[0][0].share) == (7, "50%")
    assert found[1] == []
    assert [row.id for row in found[2]] == ["zoe"]
    assert [tuple(row) for row in found[3]] == [("a",), ("b",)]


def test_they_are_part_of_the_transaction(store):
    with store.worker() as c:
        volley.ask(c, (PUT, {"id": "zoe"}))
        c.rollback()
    with store.worker() as c:
        assert volley.ask(c, (FIND, {"id": "zoe"})) == [[]]


def test_an_error_is_sqlalchemy_s_and_nothing_behind_it_runs(store):
    with pytest.raises(DBAPIError, match="duplicate key"), store.worker() as c:
        volley.ask(c, (PUT, {"id": "zoe"}), (PUT, {"id": "zoe"}), (PUT, {"id": "mia"}))
    with store.worker() as c:
        assert volley.ask(c, (FIND, {"id": "zoe"}), (FIND, {"id": "mia"})) == [[], []]


def test_a_missing_table_is_one_sentence(store):
    with pytest.raises(StoreError, match="huntaze migrate"), store.worker() as c:
        volley.ask(c, (text("select 1 from nowhere"), {}))


def test_a_connection_that_was_cut_is_not_used_again(store):
    end = text("select pg_terminate_backend(pg_backend_pid())")
    with pytest.raises(DBAPIError) as fault, store.owner() as c:
        volley.ask(c, (end, {}))
    assert fault.value.connection_invalidated
    with store.worker() as c:
        assert volley.ask(c, (ONE, {"n": 1}))[0][0].n == 1
