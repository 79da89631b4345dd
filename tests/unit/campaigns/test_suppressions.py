"""Lists of addresses that nobody may write to, on the real store."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from huntaze_pipeline.campaigns import gates, suppressions
from huntaze_pipeline.campaigns.suppressions import Entry
from huntaze_pipeline.delivery import recipients
from huntaze_pipeline.delivery.validation import Request
from huntaze_pipeline.errors import Problems
from huntaze_pipeline.rulebook.decision import Decision
from huntaze_pipeline.rulebook.policies import load_policies

POLICIES = load_policies(Path(__file__).parents[3] / "rules")
NOON = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)
ADA = Entry("email", "ada@x.org", "asked us")


def test_a_list_is_written_and_read_back(tmp_path):
    found = [ADA, Entry("onlyfans", "@bo", 'said "no", twice')]
    path = tmp_path / "list.csv"
    path.write_text(suppressions.written(found), "utf-8")
    assert suppressions.read(path) == found


def test_bare_lines_take_the_platform_and_the_reason_that_are_named(tmp_path):
    path = tmp_path / "list.txt"
    path.write_text(" Ada@X.org \n\nbo@x.org\n", "utf-8")
    assert suppressions.read(path, "email", "asked us") == [
        ADA,
        Entry("email", "bo@x.org", "asked us"),
    ]


def test_every_fault_of_a_file_is_told_with_its_line(tmp_path):
    path = tmp_path / "list.csv"
    path.write_text("address,platfrom,platform\na@x.org,,emial\n,,email\na b,,email\n", "utf-8")
    with pytest.raises(Problems) as told:
        suppressions.read(path)
    lines = str(told.value).replace(str(path), "list").splitlines()
    assert lines == [
        "list:1: unknown column 'platfrom'; did you mean 'platform'?",
        "list:2: unknown platform 'emial'; did you mean 'email'?",
        "list:3: has no address",
        "list:4: 'a b' is no address",
    ]


def test_adding_twice_and_removing_twice_change_nothing_more(store, creator):
    with store.tenant(creator) as c:
        assert suppressions.add(c, creator, [ADA], NOON, "test") == 1
        assert suppressions.add(c, creator, [ADA, ADA], NOON, "test") == 0
        assert [e.reason for e in suppressions.entries(c, creator, "email")] == ["asked us"]
        assert suppressions.entries(c, creator, "tiktok") == []
        assert suppressions.remove(c, creator, [ADA], NOON, "test") == 1
        assert suppressions.remove(c, creator, [ADA], NOON, "test") == 0


def reasons(store):
    """Judge an e-mail to fan-1, as a campaign, a single send and the agency see it."""
    decision = Decision(
        creator_id="maya", source="campaign", source_id="c", rule_hash="", fan_id="fan-1",
        platform="email", account_id="maya-email", address="Fan-1@example.com", content="x",
        not_before=NOON, decided_at=NOON,
    )  # fmt: skip
    with store.tenant("maya") as c:
        (judged,) = gates.screen(c, [decision], POLICIES, NOON)
        asked = Request(recipient="fan-1", content="x", platform="email")
        recipient, _ = recipients.find(c, "maya", asked)
    assert recipient is not None
    return judged.reason, recipient.suppressed


def test_the_agencys_list_holds_for_every_creator_and_only_the_machinery_writes_it(store, creator):
    assert reasons(store) == (None, None)
    barred = [Entry("email", "fan-1@example.com", "court order")]
    with store.worker() as c:
        assert suppressions.add(c, None, barred, NOON, "test") == 1
        assert [e.address for e in suppressions.entries(c, None)] == ["fan-1@example.com"]
    assert reasons(store) == ("suppressed: court order", "court order")
    with pytest.raises(Exception, match="permission denied"), store.tenant(creator) as c:
        suppressions.remove(c, None, barred, NOON, "test")
    with store.worker() as c:
        assert suppressions.remove(c, None, barred, NOON, "test") == 1
    assert reasons(store) == (None, None)
