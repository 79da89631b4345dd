"""What live decided beside what was decided again: told as it was when it was decided."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from huntaze_pipeline.rehearsal import comparison
from huntaze_pipeline.rehearsal.comparison import Pairs
from huntaze_pipeline.rulebook.decision import Decision

NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)
HERE = Decision(
    creator_id="maya", source="campaign", source_id="sale", rule_hash="h", fan_id="fan-1",
    platform="email", account_id="mail", address="a@x.org", content="Hi", template_id="note",
    not_before=NOON, expires_at=NOON + 72 * HOUR, decided_at=NOON,
)  # fmt: skip


def row(decision, **moved):
    """A decision as a row that delivery has moved on."""
    found = {name: getattr(decision, name) for name in comparison.FIELDS}
    return found | {"id": decision.message_id, "source": decision.source, "ended_at": None} | moved


@pytest.mark.parametrize(
    "moved",
    [
        {},
        {"state": "queued"},
        {"state": "sent", "ended_at": NOON + HOUR, "not_before": NOON + HOUR},
        {"state": "failed", "reason": "http_500", "ended_at": NOON + HOUR},
        {"state": "skipped", "reason": "consent_withdrawn", "ended_at": NOON + HOUR},
        {"reason": "campaign_paused", "not_before": NOON + HOUR},
        {"state": "cancelled", "reason": "campaign_cancelled", "ended_at": NOON + HOUR},
    ],
)
def test_what_delivery_made_of_a_message_is_no_difference(moved):
    there = row(HERE, **moved)
    assert comparison.differing(there, HERE) == {}
    pairs = Pairs({HERE.message_id: there}, {HERE.message_id: HERE})
    assert comparison.digest(pairs.told()) == comparison.digest(pairs.said())


@pytest.mark.parametrize(
    ("name", "live"),
    [
        ("content", "Hello"),
        ("variant_id", "left"),
        ("earliest_at", NOON + HOUR),
        ("not_before", NOON - HOUR),
        ("expires_at", NOON + HOUR),
        ("address", "b@x.org"),
    ],
)
def test_a_field_that_live_decided_otherwise_is_a_difference(name, live):
    there = row(HERE, **{name: live})
    assert comparison.differing(there, HERE) == {name: (live, getattr(HERE, name))}
    pairs = Pairs({HERE.message_id: there}, {HERE.message_id: HERE})
    assert comparison.digest(pairs.told()) != comparison.digest(pairs.said())


def test_a_refusal_is_compared_with_its_reason_and_a_sent_message_is_none():
    refused = replace(HERE, state="skipped", reason="holdout", content="")
    there = row(refused, ended_at=NOON)
    assert comparison.differing(there, refused) == {}
    other = replace(refused, reason="no_consent")
    assert comparison.differing(there, other) == {"reason": ("holdout", "no_consent")}
    assert comparison.differing(row(HERE, state="sent", ended_at=NOON + HOUR), refused)


@pytest.mark.parametrize("state", ["held", "expired", "cancelled"])
def test_who_waited_for_a_winner_is_told_as_waiting_whatever_came_of_it(state):
    held = replace(HERE, state="held", reason="awaits_winner", content="", template_id=None)
    there = row(held, state=state, ended_at=None if state == "held" else NOON + HOUR)
    assert comparison.waited(there)
    assert comparison.differing(there, held) == {}
    assert "state" in comparison.differing(there, HERE)
    automation = replace(HERE, source="automation", template_id=None)
    assert not comparison.waited(row(automation))
