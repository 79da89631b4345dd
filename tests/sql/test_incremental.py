"""Whatever arrives in whatever order and portions: taking it in gives what building anew gives."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from unittest.mock import patch

import pytest
from duckdb import DuckDBPyConnection
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from huntaze_pipeline.settings import load
from huntaze_pipeline.warehouse import differences, lake, models, parts, runner

PROJECT = models.load(load().models_dir)
START = datetime(2026, 3, 20, tzinfo=UTC)  # days on both sides of a change to summer time
PORTIONS = 3
STATES = ("decided", "queued", "claimed", "sent", "failed", "skipped", "expired")

event = st.fixed_dictionaries(
    {
        "name": st.sampled_from(
            ["sent", "delivered", "opened", "clicked", "clicked", "purchase", "purchase", "tip",
             "subscribed", "unsubscribed", "redeemed"]
        ),
        "fan": st.sampled_from(["f1", "f2", "f3"]),
        "message": st.sampled_from([None, "m1", "m2", "m3", "foreign"]),
        "campaign": st.sampled_from([None, "past"]),
        "value": st.sampled_from([None, 1, 999_999, 12_340_000]),
        "minutes": st.integers(0, 15 * 1440),
        "portion": st.integers(0, PORTIONS - 1),
    }
)  # fmt: skip
change = st.fixed_dictionaries(
    {
        "message": st.sampled_from(["m1", "m2", "m3"]),
        "state": st.sampled_from(STATES),
        "portion": st.integers(0, PORTIONS - 1),
    }
)
MESSAGES = {
    "m1": ("campaign", "live", "a", START),
    "m2": ("campaign", "live", "b", START + timedelta(days=3)),
    "m3": ("automation", "thanks", None, START + timedelta(days=9)),
}


def at(moment: datetime | None) -> str:
    return "null" if moment is None else f"timestamptz '{moment.isoformat()}'"


def text(value: object) -> str:
    return "null" if value is None else str(value) if isinstance(value, int) else f"'{value}'"


def found(con: DuckDBPyConnection) -> None:
    """What does not change: creator, campaigns, windows, fans, costs, an experiment."""
    con.execute(f"insert into lake.raw.clock values ({at(START + timedelta(days=30))})")
    con.execute(
        "insert into lake.raw.creators (id, zone, currency) values ('maya', 'Europe/Paris', 'USD')"
    )
    con.execute(
        "insert into lake.raw.campaigns (creator_id, id, name, status, source, settings) values"
        " ('maya', 'live', 'Live', 'active', 'api', '{}'),"
        " ('maya', 'past', 'Past', 'completed', 'import:1', '{\"goal\": \"redeemed\"}')"
    )
    con.execute(
        "insert into lake.raw.variants (creator_id, campaign_id, id, position) values"
        " ('maya', 'live', 'a', 0), ('maya', 'live', 'b', 1)"
    )
    con.execute(
        "insert into lake.raw.experiments (creator_id, id, campaign_id, metric, window_s) values"
        " ('maya', 'x', 'live', 'clicked', 86400)"
    )
    con.execute(
        "insert into lake.raw.windows (goal, platform, touch, seconds) values"
        " ('purchase', '*', 'clicked', 432000), ('purchase', '*', 'opened', 86400)"
    )
    con.execute("insert into lake.raw.fans (creator_id, id, name) values ('maya', 'f1', 'Ana')")
    states(con, dict.fromkeys(MESSAGES, "decided"))


def states(con: DuckDBPyConnection, to: dict[str, str]) -> None:
    for message, state in to.items():
        source, source_id, variant, decided = MESSAGES[message]
        sent = at(decided + timedelta(minutes=5)) if state == "sent" else "null"
        con.execute(f"delete from lake.raw.messages where id = '{message}'")
        con.execute(
            "insert into lake.raw.messages (creator_id, id, source, source_id, fan_id, step,"
            " occurrence, platform, account_id, variant_id, state, decided_at, sent_at) values"
            f" ('maya', '{message}', '{source}', '{source_id}', 'f1', 0, '', 'email', 'acc',"
            f" {text(variant)}, '{state}', {at(decided)}, {sent})"
        )


def arrive(con: DuckDBPyConnection, number: int, told: dict[str, Any]) -> None:
    message = told["message"]
    source, source_id, variant, decided = MESSAGES.get(message, (None, None, None, None))
    money = told["value"] if told["name"] in ("purchase", "tip") else None
    con.execute(
        "insert into lake.raw.events (creator_id, event_id, name, fan_id, platform, account_id,"
        " campaign_id, message_id, value_micros, currency, occurred_at, received_at, properties,"
        " source, arrival, message_at, message_source, message_source_id, variant_id) values"
        f" ('maya', 'e{number}', '{told['name']}', '{told['fan']}', 'email', 'acc',"
        f" {text(told['campaign'])}, {text(message)}, {text(money)},"
        f" {text('USD' if money else None)}, {at(START + timedelta(minutes=told['minutes']))},"
        f" {at(START + timedelta(days=30))}, '{{}}', 'api', {told['portion'] + 1},"
        f" {at(decided)}, {text(source)}, {text(source_id)}, {text(variant)})"
    )


def tables(con: DuckDBPyConnection) -> dict[str, list[str]]:
    return {
        model.name: sorted(map(str, con.execute(f"from lake.{model.name}").fetchall()))
        for model in PROJECT.models
    }


@pytest.mark.slow
@pytest.mark.timeout(900)
@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    st.lists(event, min_size=1, max_size=30), st.lists(change, max_size=6), st.sampled_from((0, 99))
)
def test_taking_in_what_is_new_ends_where_building_anew_ends(
    events: list[dict[str, Any]], changes: list[dict[str, Any]], few: int
) -> None:
    with (
        TemporaryDirectory() as folder,
        lake.private(Path(folder)) as con,
        patch.object(differences, "_FEW", few),  # 0: a table of which most changes is replaced
    ):
        found(con)
        runner.build(con, PROJECT)
        for portion in range(PORTIONS):
            for number, told in enumerate(events):
                if told["portion"] == portion:
                    arrive(con, number, told)
            states(con, {c["message"]: c["state"] for c in changes if c["portion"] == portion})
            runner.build(con, PROJECT)
        grown = tables(con)
        runner.build(con, PROJECT, full=True)

        assert grown == tables(con)


@pytest.mark.slow
def test_the_models_in_parts_come_to_what_they_come_to_at_once(tmp_path: Path) -> None:
    names = ["sent", "delivered", "opened", "clicked", "purchase", "unsubscribed", "redeemed"]
    with lake.private(tmp_path) as con:
        found(con)
        for number in range(28):
            told = {"name": names[number % 7], "fan": f"f{number % 3}", "minutes": 700 * number}
            told |= {"message": [None, "m1", "m2", "m3", "foreign"][number % 5], "portion": 0}
            told |= {"campaign": ["past", None][number % 2], "value": 12_340_000}
            arrive(con, number, told)
        states(con, dict.fromkeys(MESSAGES, "sent"))
        runner.build(con, PROJECT)
        whole = tables(con)
        con.execute("set memory_limit = '1 GiB'")
        with patch.object(parts, "_ROW", (1 << 30) // 10):  # as if ten events filled the memory
            runner.build(con, PROJECT, full=True)

        assert whole == tables(con)
