"""What fans do follows from the seed and the content, and steps imply each other."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from huntaze_pipeline.local.simulator.behaviour import Lift, Receipts
from huntaze_pipeline.local.simulator.receipts import Step, plan

EAGER = Receipts(open=0.6, click=0.6, buy=0.6, reply=0.3, unsubscribe=0.2)


def steps(number: int, settings: Receipts = EAGER, text: str = "hello") -> list[Step]:
    return plan(settings, "seed", "email", f"message-{number}", text)


@given(st.integers(0, 100_000))
def test_every_stage_implies_the_one_before_and_happens_once(number: int) -> None:
    kinds = [step.kind for step in steps(number)]
    assert len(kinds) == len(set(kinds))
    chain = ["delivered", "opened", "clicked", "bought"]
    for before, after in pairwise(chain):
        assert after not in kinds or kinds.index(before) < kinds.index(after)
    assert ("bounced" in kinds) != ("delivered" in kinds)


@given(st.integers(0, 100_000))
def test_the_same_message_gets_the_same_receipts(number: int) -> None:
    assert steps(number) == steps(number)


def share(kind: str, settings: Receipts, text: str) -> float:
    found = [steps(n, settings, text) for n in range(3000)]
    return sum(any(step.kind == kind for step in one) for one in found) / 3000


def test_words_lift_the_share_of_opens() -> None:
    settings = Receipts(deliver=1, open=0.2, lift=(Lift(contains="Hey", open=1.5),))
    assert share("opened", settings, "Hello") == pytest.approx(0.2, abs=0.02)
    assert share("opened", settings, "Hey you") == pytest.approx(0.3, abs=0.025)


def test_lifted_fans_include_all_that_would_have_opened_anyway() -> None:
    settings = Receipts(lift=(Lift(contains="Hey", open=1.5),))
    for number in range(300):
        plain = {step.kind for step in steps(number, settings, "Hello")}
        lifted = {step.kind for step in steps(number, settings, "Hey")}
        assert "opened" not in plain or "opened" in lifted


def test_a_chance_never_exceeds_certainty() -> None:
    settings = Receipts(deliver=1, open=0.9, lift=(Lift(contains="x", open=100),))
    assert share("opened", settings, "x") == 1


def test_purchases_are_worth_money_and_nothing_else_is() -> None:
    found = [step for n in range(500) for step in steps(n)]
    assert all((step.value is not None) == (step.kind == "bought") for step in found)
    worth = [step.value for step in found if step.value is not None]
    assert worth
    assert all(5 <= value <= 60 and round(value, 2) == value for value in worth)


def test_scanners_open_e_mail_and_say_so() -> None:
    settings = Receipts(deliver=1, open=1, machine=0.5)
    agents = [steps(n, settings)[1].user_agent or "" for n in range(400)]
    assert sum("Barracuda" in agent for agent in agents) == pytest.approx(200, abs=50)
    other = [plan(settings, "seed", "tiktok", f"m{n}", "")[1].user_agent for n in range(100)]
    assert not any("Barracuda" in (agent or "") for agent in other)
