"""Looks on real PostgreSQL: every end state is reached, stored once, and thousands in one pass."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import event, insert, select, text

from huntaze_pipeline.measurement import looks
from huntaze_pipeline.orchestration import ticks
from huntaze_pipeline.rulebook import loader, registry
from huntaze_pipeline.settings import Settings, load
from huntaze_pipeline.store.planning import Campaign, Experiment, Variant
from huntaze_pipeline.store.planning import Look as LookRow
from huntaze_pipeline.store.session import Store
from huntaze_pipeline.warehouse import lake as lakes
from huntaze_pipeline.warehouse import models, refreshing

START = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)
LATER = START + timedelta(days=3)


def make(store: Store, count: int = 1, status: str = "active", **rule: Any) -> None:
    """Experiments x0, x1, … of campaigns of the same name, with arms a (control) and b."""
    base = {"creator_id": "maya"}
    rule = {"started_at": START, "window_s": 86_400, "planned_n": None, "margin": None} | rule
    ids = [f"x{n}" for n in range(count)]
    with store.worker() as c:
        c.execute(
            insert(Campaign),
            [base | {"id": i, "name": i, "platforms": ["email"], "status": status} for i in ids],
        )
        c.execute(insert(Experiment), [base | {"id": i, "campaign_id": i} | rule for i in ids])
        c.execute(
            insert(Variant),
            [
                base | {"campaign_id": i, "id": v, "position": p}
                for i in ids
                for p, v in enumerate("ab")
            ],
        )


def arms(*counts: tuple[int, float], name: str = "x0", **more: Any) -> list[dict[str, Any]]:
    """Rows of the lake's table: (n, sum) for a and b."""
    return [
        {
            "creator_id": "maya", "experiment_id": name, "variant_id": v, "position": p, "epoch": 0,
            "weight": 1.0, "assigned": n, "exposed": n, "waiting": 0, "n": n, "hits": int(total),
            "sum": total, "sum_squares": total, "bad": 0, "last_sent_at": START,
        } | {key: value[p] if isinstance(value, tuple) else value for key, value in more.items()}
        for p, (v, (n, total)) in enumerate(zip("ab", counts, strict=True))
    ]  # fmt: skip


def judge(store: Store, rows: list[dict[str, Any]], now: datetime = LATER) -> looks.Judged:
    with store.worker() as c:
        return looks.judge(c, rows, now)


def stored(store: Store, name: str = "x0") -> tuple[Any, ...]:
    with store.worker() as c:
        wanted = select(
            Experiment.state, Experiment.winner_variant_id, Experiment.fallback_variant_id,
            Experiment.decided_at,
        )  # fmt: skip
        return tuple(c.execute(wanted.where(Experiment.id == name)).one())


@pytest.mark.parametrize(
    ("state", "counts", "more", "rule"),
    [
        ("winner", ((9000, 400.0), (9000, 600.0)), {}, {}),
        ("no_winner", ((9000, 450.0), (9000, 452.0)), {}, {}),
        ("no_difference", ((9000, 450.0), (9000, 452.0)), {}, {"margin": 0.02}),
        ("invalid_srm", ((9000, 450.0), (9000, 450.0)), {"assigned": (9900, 11_000)}, {}),
        ("insufficient_data", ((9000, 450.0), (9000, 20.0)), {}, {}),
        ("stopped_by_guardrail", ((9000, 450.0), (9000, 600.0)), {"bad": (10, 400)}, {}),
    ],
)
@pytest.mark.parametrize("planned", [None, 18_000])
def test_every_end_is_reached_and_only_a_winner_is_called_one(
    store: Store, creator: str, state: str, counts: Any, more: Any, rule: Any, planned: int | None
) -> None:
    make(store, planned_n=planned, **rule)
    judge(store, arms(*counts, **more))

    won = state == "winner"
    assert stored(store) == (state, "b" if won else None, None if won else "a", LATER)


def test_the_declared_fallback_is_stored_and_none_is_none(store: Store, creator: str) -> None:
    even = ((9000, 450.0), (9000, 452.0))
    for fallback, expected in (("highest", "b"), ("none", None), ("b", "b"), ("control", "a")):
        with store.worker() as c:
            c.execute(text("delete from campaigns"))
            c.execute(text("delete from looks"))
        make(store, fallback=fallback)
        judge(store, arms(*even))
        assert stored(store)[:3] == ("no_winner", None, expected)


def test_a_late_conversion_or_another_run_changes_no_closed_decision(
    store: Store, creator: str
) -> None:
    make(store)
    judge(store, arms((9000, 400.0), (9000, 600.0)))
    closed = stored(store)
    judge(store, arms((9000, 600.0), (9000, 400.0)), LATER + timedelta(hours=1))

    assert stored(store) == closed
    with store.worker() as c:
        assert len(c.execute(select(LookRow.step)).all()) == 1


def test_the_same_pass_again_leaves_the_same_rows(store: Store, creator: str) -> None:
    make(store, planned_n=40_000)
    rows = arms((9000, 450.0), (9000, 470.0), waiting=1)
    judge(store, rows)
    with store.worker() as c:
        before = c.execute(select(LookRow.__table__)).all()
    judge(store, rows)
    with store.worker() as c:
        assert c.execute(select(LookRow.__table__)).all() == before
    assert stored(store)[0] == "running"


def test_messages_that_still_wait_and_repetitions_that_come_keep_a_test_open(
    store: Store, creator: str
) -> None:
    even = ((9000, 450.0), (9000, 452.0))
    make(store)
    judge(store, arms(*even, waiting=(0, 1)))
    assert stored(store)[0] == "running"
    with store.worker() as c:
        c.execute(text("update campaigns set next_send_at = :at"), {"at": LATER})
    judge(store, arms(*even), LATER + timedelta(hours=1))
    assert stored(store)[0] == "running"
    with store.worker() as c:
        c.execute(text("update experiments set maximum_s = 86400"))
    judge(store, arms(*even), LATER + timedelta(hours=2))
    assert stored(store)[0] == "no_winner"


def test_revenue_is_decided_on_its_spread(store: Store, creator: str) -> None:
    make(store, metric="revenue")
    calm = {"hits": (300, 330), "sum_squares": (60_000.0, 75_000.0)}
    judge(store, arms((9000, 3000.0), (9000, 4500.0), **calm))
    assert stored(store)[:2] == ("winner", "b")


def test_a_split_that_changed_is_compared_within_its_epochs(store: Store, creator: str) -> None:
    make(store)
    first = arms((9000, 900.0), (1000, 100.0), weight=(9.0, 1.0))
    second = arms((1000, 20.0), (9000, 180.0), weight=(1.0, 9.0), epoch=1)
    (look,) = judge(store, first + second).looks
    assert look.state == "no_winner"
    (pair,) = look.result["pairs"]
    assert abs(pair["estimate"]) < 1e-12


def test_counts_that_cannot_be_are_told_and_stop_nobody_else(store: Store, creator: str) -> None:
    make(store, count=2)
    rows = arms((9000, 400.0), (9000, 9600.0)) + arms((9000, 400.0), (9000, 600.0), name="x1")
    judged = judge(store, rows)
    assert [fault.where for fault in judged.faults] == ["experiment x0, variant b"]
    assert stored(store, "x0")[0] == "running"
    assert stored(store, "x1")[0] == "winner"


def test_many_experiments_cost_four_statements(store: Store, creator: str) -> None:
    make(store, count=300)
    rows = [r for n in range(300) for r in arms((9000, 400.0), (9000, 400.0 + n), name=f"x{n}")]
    seen: list[str] = []
    with store.worker() as c:
        event.listen(c, "before_cursor_execute", lambda *a: seen.append(a[2]))
        judged = looks.judge(c, rows, LATER)
    assert len(judged.looks) == 300
    assert len(seen) == 4


@pytest.mark.slow
def test_from_clicks_to_the_rest_of_the_audience(
    store: Store, creator: str, settings: Settings
) -> None:
    """The whole way: launch, receipts, lake, look, release."""
    rulebook = loader.load(settings.rules_dir)
    with store.worker() as c:
        registry.apply(c, creator, rulebook, START)
        c.execute(
            text("""insert into fans (creator_id, id, name)
                select 'maya', 'f' || n, 'F' from generate_series(1, 1500) n""")
        )
        c.execute(
            text("""insert into identities
                    (creator_id, fan_id, platform, account_id, address, normalised)
                select 'maya', 'f' || n, 'email', 'maya-email', n || '@x.org', n || '@x.org'
                from generate_series(1, 1500) n""")
        )
        c.execute(
            text("""insert into consents (creator_id, fan_id, topic, granted, source)
                select 'maya', 'f' || n, 'marketing', true, 'test'
                from generate_series(1, 1500) n""")
        )
        c.execute(text("update experiments set share = 0.6"))
        c.execute(
            text("""update campaigns set status = 'scheduled', next_send_at = :at, targeting = '{}',
                settings = '{}' where id = 'spring_drop'"""),
            {"at": START},
        )
    ticks.start(store, None, rulebook.policies, START)
    with store.worker() as c:
        c.execute(
            text("update messages set state = 'sent', sent_at = :at where state = 'decided'"),
            {"at": START},
        )
        c.execute(
            text("""insert into inbox (creator_id, event_id, name, fan_id, platform, message_id,
                    campaign_id, occurred_at, properties, source)
                select 'maya', 'click-' || id, 'clicked', fan_id, 'email', id, source_id, :at, '{}',
                    'receipt'
                from messages where state = 'sent' and (variant_id = 'last_call'
                    and substr(fan_id, 2)::text ~ '[1-4]$' or substr(fan_id, 2)::text ~ '7$')"""),
            {"at": START + timedelta(minutes=10)},
        )
    end = START + timedelta(hours=2)
    project = models.load(load().models_dir)
    refreshing.run(settings, store, project, end, ["+metrics.experiment_arms"])
    with lakes.connect(settings) as con:
        rows = con.sql("from lake.metrics.experiment_arms").pl().to_dicts()
    judge(store, rows, end)

    assert stored(store, "spring_drop")[:3] == ("winner", "last_call", None)
    waiting = _count(store, "state = 'held'")
    assert waiting > 400
    assert ticks.start(store, None, rulebook.policies, end) == waiting
    assert _count(store, "followed_variant_id = 'last_call' and variant_id is null") == waiting


def _count(store: Store, where: str) -> int:
    with store.worker() as c:
        return c.scalar(text(f"select count(*) from messages where {where}")) or 0
