"""The judge can say no: each thing that may go wrong, made by hand, is counted."""

from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from huntaze_pipeline.local.chaos.verdict import Evidence, bound, judge, missed
from huntaze_pipeline.local.chaos.world import World

START = datetime(2026, 1, 1, tzinfo=UTC)
WORLD = World(messages=0, accounts=1, limit=10, window_s=60)


def row(name: str, state: str = "sent", account: str = "a", at_s: float = 0) -> dict[str, Any]:
    decided = START + timedelta(seconds=at_s)
    return {"id": name, "platform": "onlyfans", "state": state, "account_id": account,
            "decided_at": decided}  # fmt: skip


def arrival(
    name: str, t: float, verdict: str = "accepted", account: str = "a", platform: str = "onlyfans"
) -> dict[str, Any]:
    at = (START + timedelta(seconds=t)).isoformat()
    return {"message": name, "t": t, "at": at, "verdict": verdict, "account": account,
            "platform": platform}  # fmt: skip


def verdict(
    rows: Iterable[dict[str, Any]], arrivals: Iterable[dict[str, Any]], **extra: Any
) -> dict[str, Any]:
    rows = list(rows)
    planned = extra.pop("planned", {r["id"] for r in rows})
    return judge(Evidence(planned, rows, list(arrivals), **extra), WORLD)


def test_a_clean_run_misses_no_mark() -> None:
    line = verdict([row("m1"), row("m2")], [arrival("m1", 1), arrival("m2", 2)])
    assert (line["messages"], line["delivered_unique"]) == (2, 2)
    assert missed(line, WORLD) == []


def test_a_message_that_came_twice_is_a_duplicate() -> None:
    line = verdict([row("m1")], [arrival("m1", 1), arrival("m1", 2), arrival("m1", 3)])
    assert line["duplicates_avoidable"] == 2
    assert line["delivered_unique"] == 1
    assert missed(line, WORLD) == ["duplicates_avoidable is 2, not 0"]


def test_a_copy_whose_answer_was_lost_is_a_duplicate_too() -> None:
    line = verdict([row("m1")], [arrival("m1", 1, "silent_accepted"), arrival("m1", 2)])
    assert line["duplicates_avoidable"] == 1


def test_a_replay_of_the_same_key_and_a_failed_call_are_no_duplicates() -> None:
    calls = [arrival("m1", 1, "error"), arrival("m1", 2), arrival("m1", 3, "replayed")]
    assert verdict([row("m1")], calls)["duplicates_avoidable"] == 0


def test_a_second_copy_is_allowed_where_the_policy_says_at_least_once() -> None:
    calls = [arrival("m1", 1), arrival("m1", 2)]
    line = verdict([row("m1")], calls, at_least_once={"onlyfans"})
    assert line["duplicates_avoidable"] == 0


def test_a_message_that_is_not_there_is_lost() -> None:
    assert verdict([], [], planned={"m1"})["lost"] == 1


def test_a_message_that_has_not_ended_is_lost() -> None:
    for state in ("decided", "queued", "claimed", "expired", "skipped"):
        line = verdict([row("m1", state)], [])
        assert line["lost"] == 1
        assert missed(line, WORLD) == ["lost is 1, not 0"]


def test_a_message_called_sent_that_never_came_is_lost() -> None:
    assert verdict([row("m1")], [arrival("m1", 1, "error")])["lost"] == 1


def test_unknown_is_counted_apart() -> None:
    line = verdict([row("m1", "unknown"), row("m2", "unknown")], [arrival("m1", 1)])
    assert (line["unknown"], line["lost"]) == (2, 0)
    assert missed(line, WORLD) == []


def test_eleven_in_a_window_are_seen_wherever_the_window_lies() -> None:
    calls = [arrival(f"m{n}", 55 + n) for n in range(11)]
    line = verdict([], calls, planned=())
    assert (line["max_in_any_window"], line["bans"]) == (11, 1)
    assert "max_in_any_window is 11, above 10" in missed(line, WORLD)


def test_the_eleventh_one_window_after_the_first_is_fine() -> None:
    calls = [arrival(f"m{n}", n / 10) for n in range(10)] + [arrival("m10", 60)]
    line = verdict([], calls, planned=())
    assert (line["max_in_any_window"], line["bans"]) == (10, 0)


def test_failed_calls_count_against_the_limit_and_accounts_count_apart() -> None:
    calls = [arrival(f"m{n}", n, "error") for n in range(8)]
    calls += [arrival(f"k{n}", n, account="b") for n in range(6)]
    assert verdict([], calls, planned=())["max_in_any_window"] == 8


def test_a_ban_that_the_platform_speaks_of_is_counted() -> None:
    assert verdict([], [arrival("m1", 1, "banned")], planned=())["bans"] == 1


def test_dead_notes_are_false_for_nothing_was_wrong_with_them() -> None:
    assert verdict([row("m1")], [arrival("m1", 1)], dead=3)["false_dlq"] == 3


def test_a_message_given_up_before_three_failures_is_a_false_dead_letter() -> None:
    two = [arrival("m1", 1, "error"), arrival("m1", 2, "error"), arrival("m1", 3, "limited")]
    assert verdict([row("m1", "failed")], two)["false_dlq"] == 1
    three = [*two, arrival("m1", 4, "reset")]
    assert verdict([row("m1", "failed")], three)["false_dlq"] == 0


def test_a_message_given_up_although_the_platform_took_it_is_a_false_dead_letter() -> None:
    calls = [arrival("m1", 1, "reset_accepted"), *(arrival("m1", t, "error") for t in (2, 3))]
    assert verdict([row("m1", "failed")], calls)["false_dlq"] == 1


def test_a_refused_message_is_rightly_failed() -> None:
    assert verdict([row("m1", "failed")], [arrival("m1", 1, "refused")])["false_dlq"] == 0


def test_a_worker_that_ended_by_itself_misses_a_mark() -> None:
    line = verdict([], [], planned=()) | {"crashes": 1}
    assert missed(line, WORLD) == ["crashes is 1, not 0"]


def test_the_bound_is_what_limit_and_arrival_leave() -> None:
    backlog = [row(f"m{n}") for n in range(25)]
    assert bound(backlog, WORLD) == 120
    trickle = [row(f"m{n}", at_s=10 * n) for n in range(25)]
    assert bound(trickle, WORLD) == 240
    assert bound([*backlog, row("late", account="b", at_s=300)], WORLD) == 300
    assert bound([], WORLD) == 0


def test_the_makespan_is_told_in_bounds() -> None:
    rows = [row(f"m{n}") for n in range(11)]
    calls = [*(arrival(f"m{n}", n) for n in range(10)), arrival("m10", 90)]
    assert verdict(rows, calls)["makespan_over_bound"] == 1.5
    assert verdict([row("m1")], [arrival("m1", 1)])["makespan_over_bound"] is None


def test_accounts_that_share_a_limit_and_pass_it_together_miss_a_mark() -> None:
    shared = replace(WORLD, total=12)
    calls = [arrival(f"m{n}", n, account=f"a{n % 3}") for n in range(13)]
    line = judge(Evidence((), [], calls), shared)
    assert (line["max_in_any_window"], line["max_on_a_platform"], line["bans"]) == (5, 13, 0)
    assert missed(line, shared) == ["max_on_a_platform is 13, above 12"]
    assert missed(line, WORLD) == []


def test_the_bound_knows_the_shared_limit() -> None:
    backlog = [row(f"m{n}", account=f"a{n % 3}") for n in range(25)]
    assert bound(backlog, WORLD) == 0
    assert bound(backlog, replace(WORLD, total=12)) == 120
