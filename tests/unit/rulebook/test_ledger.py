"""How the ledger finds what it writes on."""

from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import text

from huntaze_pipeline.rulebook import ledger
from huntaze_pipeline.rulebook.live import LiveAutomation
from huntaze_pipeline.rulebook.schema import Automation

NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)


@pytest.fixture
def crowded(store, creator):
    """A creator with many executions of one automation, in tables that were never analyzed."""
    with store.worker() as c:
        c.execute(text(
            "insert into executions (creator_id, id, automation_id, rule_hash, fan_id, entry_key,"
            " event_id, state, entered_at)"
            f" select '{creator}', n::text, 'thanks', 'h', 'fan-' || n % 900, n::text, n::text,"
            " 'active', now() from generate_series(1, 30000) n"
        ))  # fmt: skip
    return store, creator


def plan(store, statement, values):
    with store.worker() as c:
        return "\n".join(c.execute(text(f"explain {statement.text}"), values).scalars())


def test_passages_that_end_are_found_by_their_name(crowded):
    store, creator = crowded
    names = {"creators": [creator] * 100, "ids": [str(n) for n in range(100)]}
    found = plan(store, ledger._CLOSE, names | {"now": NOON, "unreached": ["consent"]})
    assert "ix_executions_state" not in found


def test_open_passages_are_found_among_the_open_ones(crowded):
    store, creator = crowded
    fans = {"creators": [creator] * 100, "fans": [f"fan-{n}" for n in range(100)]}
    assert "ix_executions_fan" in plan(store, ledger._OPEN, fans | {"names": ["purchase"]})
    with store.owner() as c:
        c.execute(text("update executions set state = 'completed' where id::int > 100"))
        c.execute(text("analyze executions"))
    assert "ix_executions_open" in plan(store, ledger._OPEN, fans | {"names": ["purchase"]})


def live(creator, entry):
    rule = Automation.model_validate({
        "name": "X", "trigger": {"event": "purchase"}, "entry": entry, "steps": [{"exit": True}],
    })  # fmt: skip
    return LiveAutomation(creator, "thanks", rule, "h", {})


@pytest.mark.parametrize(
    ("entry", "days"),
    [("always", [0]), ({"every": "7d"}, [0, 3]), ("once", [0, 3, 30]),
     ({"per": "event.properties.order"}, [0, 3, 30])],
)  # fmt: skip
def test_only_entries_that_bear_on_entering_again_are_read(store, creator, entry, days):
    with store.worker() as c:
        for day in (0, 3, 30):
            c.execute(
                text(
                    "insert into executions (creator_id, id, automation_id, rule_hash, fan_id,"
                    " entry_key, event_id, state, entered_at) values (:c, :n, 'thanks', 'h',"
                    " 'fan-1', :n, :n, 'completed', :at)"
                ),
                {"c": creator, "n": f"e{day}", "at": NOON - timedelta(days=day)},
            )
        # Another creator's automation of the same name has a rule of its own.
        every = [live(creator, entry), live("somebody else", "always")]
        found = ledger.entered(c, [(creator, "fan-1")], every, NOON)
    assert [e.key for e in found[creator, "thanks", "fan-1"]] == [f"e{d}" for d in days[::-1]]
