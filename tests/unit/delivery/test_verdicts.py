"""The table from outcome to next state."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from huntaze_pipeline.delivery import verdicts
from huntaze_pipeline.delivery.limiter import Permit
from huntaze_pipeline.delivery.platforms.base import Capabilities, Kind, Outcome
from huntaze_pipeline.delivery.verdicts import Resolution, resolve

KEYED = Capabilities("p", 100, honours_idempotency=True, unknown="resend")
ASKABLE = Capabilities("p", 100, unknown="look_up")
BLIND = Capabilities("p", 100)
LIAR = Capabilities("p", 100, honours_idempotency=False, unknown="resend")


def settle(outcome: Outcome, attempts: int = 0, can: Capabilities = BLIND) -> Resolution:
    return resolve(outcome, message_id="m", fence=1, attempts=attempts, capabilities=can)


def test_an_acceptance_is_sent_and_spends_its_permit() -> None:
    assert settle(Outcome(Kind.SENT)) == Resolution("sent", Permit.SPENT, healthy=True)


def test_a_refusal_is_final_and_no_fault_of_the_platform() -> None:
    found = settle(Outcome(Kind.REFUSED, detail="blocked"))

    assert (found.state, found.reason, found.healthy) == ("failed", "blocked", True)


@pytest.mark.parametrize(("attempts", "state"), [(0, "queued"), (1, "queued"), (2, "failed")])
def test_the_third_real_failure_is_the_last(attempts: int, state: str) -> None:
    found = settle(Outcome(Kind.RETRY), attempts)

    assert (found.state, found.counted, found.permit) == (state, True, Permit.SPENT)


@pytest.mark.parametrize(
    ("said", "rest"), [(7.0, 7.0), (None, 60.0), (1e9, 3600.0), (-5, 0), (0, 0)]
)
def test_too_fast_is_never_a_failure_and_rests_the_account(said: float | None, rest: float) -> None:
    found = settle(Outcome(Kind.LIMITED, retry_after_s=said), attempts=2)

    assert (found.state, found.counted, found.block_s) == ("queued", False, rest)


@pytest.mark.parametrize(
    ("can", "state"),
    [(KEYED, "queued"), (ASKABLE, "claimed"), (BLIND, "unknown"), (LIAR, "unknown")],
)
def test_a_lost_answer_follows_what_the_platform_can_do(can: Capabilities, state: str) -> None:
    found = settle(Outcome(Kind.UNKNOWN), can=can)

    assert (found.state, found.permit) == (state, Permit.HELD)


def test_answers_lost_again_and_again_are_left_to_a_person_in_the_end() -> None:
    assert settle(Outcome(Kind.UNKNOWN), attempts=2, can=KEYED).state == "unknown"


@given(st.text(min_size=1), st.integers(1, 10**6), st.integers(0, 50))
def test_the_wait_grows_with_failures_and_stays_within_its_bound(
    message: str, fence: int, attempts: int
) -> None:
    wait = verdicts.backoff(message, fence, attempts)

    assert 0 <= wait < min(verdicts.CAP_S, verdicts.BASE_S * 2**attempts)
    assert wait == verdicts.backoff(message, fence, attempts)
