"""Campaigns and segments over the past: the same store, the same lake, the decisions of then."""

import json
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path

import pytest
from sqlalchemy import insert, update
from typer.testing import CliRunner

from huntaze_pipeline import cli
from huntaze_pipeline.campaigns import lifecycle
from huntaze_pipeline.errors import NotFoundError
from huntaze_pipeline.events import inbox
from huntaze_pipeline.events.envelope import Event
from huntaze_pipeline.orchestration import ticks
from huntaze_pipeline.rehearsal import mailing, meaning, tides
from huntaze_pipeline.rehearsal.mailing import Script
from huntaze_pipeline.rehearsal.past import Past
from huntaze_pipeline.rulebook import loader, registry
from huntaze_pipeline.rulebook.policies import Cap, Policies
from huntaze_pipeline.store.inflow import InboxEvent
from huntaze_pipeline.store.outflow import Message
from huntaze_pipeline.store.people import Account, Consent, Creator, Fan, Identity
from huntaze_pipeline.store.session import Store
from huntaze_pipeline.warehouse import declarations, lake, mirror, models, pull, runner

pytestmark = pytest.mark.slow
RULES = Path(__file__).parents[2] / "rules"
START = datetime(2026, 2, 2, 9, tzinfo=UTC)
WENT = START + timedelta(days=10)
END = START + timedelta(days=20)
DAY = timedelta(days=1)
FANS = [f"fan-{n:02}" for n in range(40)]
SEGMENT = "name: Fresh\nwhere: fan.purchases >= 1 and days_since(fan.last_purchase_at) <= 5\n"
OFTEN = "name: Often\nwhere: performed('purchase', within => '8d', at_least => 3)\n"
SALE = """\
name: Sale
platforms: [onlyfans]
template: note
schedule: {start: "2026-02-12T09:00:00Z"}
targeting: {segments: [fresh, often], exclude: [mute]}
holdout: 0.1
variants: [{id: left}, {id: right, variables: {word: R}}]
"""
NOTE = """\
name: Note
category: sales
platforms: [onlyfans]
variables: [{name: word, default: L}]
content: {onlyfans: {en: {body: "{{ word }} {{ fan.purchases | int }} already, {{ fan.name }}"}}}
"""
NEWS = """\
name: News
platforms: [onlyfans]
template: content_teaser
schedule: {recurring: weekly, start: "2026-02-04T18:00:00Z"}
targeting: {segments: [fresh]}
"""


def put(folder):
    """Write the rules of these tests beside the shipped ones."""
    import shutil

    shutil.copytree(RULES, folder)
    for name, text in {
        "segments/fresh": SEGMENT, "segments/often": OFTEN, "campaigns/sale": SALE,
        "templates/note": NOTE,
        "campaigns/news": NEWS, "segments/mute": "name: Mute\nfans: [fan-09]\n",
    }.items():  # fmt: skip
        (folder / f"{name}.yaml").write_text(text, "utf-8")
    return folder


@pytest.fixture(scope="module")
def month(lasting, tmp_path_factory):
    """Forty fans who buy now and then; one sale that live really sent; minds that changed since."""
    folder = put(tmp_path_factory.mktemp("month") / "rules")
    book, store = loader.load(folder), Store(lasting, pooled=False)
    people(store)
    with store.worker() as c:
        registry.apply(c, "maya", book, START)
        lifecycle.start(c, "maya", "sale", now=START, actor="test")
    for day in range(20):
        at = START + day * DAY
        happen(store, at, [fan for n, fan in enumerate(FANS) if (n * 7 + day) % (3 + n % 9) == 0])
        if day not in (3, 10, 17):
            continue
        with lake.connect(lasting) as con:
            pull.inbox(store, con)
            if at == WENT:
                lake.write(con, lambda: mirror.refresh(con, WENT, declarations.load(RULES)))
                runner.build(con, models.load(lasting.models_dir), ["+marts.fan_facts"])
                ticks.refresh(store, con, WENT)
                ticks.start(store, con, book.policies, WENT)
    with store.worker() as c:
        no = {"granted": False, "changed_at": END - DAY}
        c.execute(update(Consent).where(Consent.fan_id == "fan-03").values(no))
        c.execute(update(Fan).where(Fan.id == "fan-04").values(name="Somebody Else"))
    yield lasting, store, book, folder
    store.engine.dispose()


def people(store):
    mine, long_ago = {"creator_id": "maya"}, START - 30 * DAY
    with store.worker() as c:
        c.execute(insert(Creator).values(id="maya", name="Maya", zone="Europe/Paris"))
        account = {"id": "of", "platform": "onlyfans", "handle": "maya", "created_at": long_ago}
        c.execute(insert(Account).values(mine | account))
        for fan in FANS:
            about = {"name": fan.title(), "zone": "Europe/Paris", "created_at": long_ago}
            c.execute(insert(Fan).values(mine | {"id": fan} | about))
            where = {"platform": "onlyfans", "account_id": "of", "address": fan}
            c.execute(insert(Identity).values(mine | {"fan_id": fan, "normalised": fan} | where))
            agreed = {"topic": "marketing", "granted": fan != "fan-00", "source": "test"}
            c.execute(insert(Consent).values(
                mine | {"fan_id": fan} | agreed | {"changed_at": long_ago}
            ))  # fmt: skip


def happen(store, at, fans):
    """Let some fans buy; what they buy is known a second later."""
    events = [
        Event(creator_id="maya", event_id=f"{at:%d}-{fan}", name="purchase", fan_id=fan,
              occurred_at=at - timedelta(minutes=5), source="api", platform="onlyfans",
              value_micros=20_000_000, currency="USD")
        for fan in fans
    ]  # fmt: skip
    with store.worker() as c:
        inbox.append(c, events)
        names = [event.event_id for event in events]
        known = {"received_at": at - timedelta(minutes=4)}
        c.execute(update(InboxEvent).where(InboxEvent.event_id.in_(names)).values(known))


@contextmanager
def looking(month, until=END):
    with lake.connect(month[0]) as con:
        past = Past(con, ["maya"])
        past.open(until)
        yield past


@pytest.mark.slow
def test_a_campaign_over_the_past_decides_what_live_decided_then(month):
    _, store, book, _ = month
    with looking(month) as past:
        (maya,) = past.people()
        found = mailing.occurrences(Script.filed(book, "sale", maya, START), START, END)
        done = mailing.run(past, found, book.policies, START, END)
        told = meaning.mailed(past, done, "sale", book.policies)
    with store.worker() as c:
        columns = (Message.fan_id, Message.state, Message.reason, Message.content,
                   Message.variant_id, Message.not_before, Message.expires_at)  # fmt: skip
        rows = c.execute(Message.__table__.select().where(Message.source_id == "sale")).all()
    names = [column.key for column in columns]
    assert sorted(str([getattr(row, n) for n in names]) for row in rows) == sorted(
        str([getattr(d, n) for n in names]) for d in done.decisions
    )
    assert told["live"] == {
        "same": len(rows), "different": 0, "only_live": 0, "only_here": 0, "examples": [],
        "other_version": 0,
    }  # fmt: skip
    assert len(rows) > 10
    assert {"holdout", "consent_withdrawn"} <= told["blocked"].keys()
    assert set(told["arms"]) == {"left", "right"}
    assert told["bought"]["purchases"][0]["purchases"] > 0
    (occurrence,) = told["occurrences"]
    assert (occurrence["fans"], occurrence["outside"]["excluded"]) == (40, 1)
    assert occurrence["audience"] + sum(occurrence["outside"].values()) == 40


def test_one_moment_is_decided_by_what_was_known_at_it_and_by_nothing_later(month):
    book = month[2]
    early = START + timedelta(hours=1)
    with looking(month) as past:
        (maya,) = past.people()
        script = Script.filed(book, "sale", maya, early)
        done = mailing.run(past, [mailing.at(script, early)], book.policies, early, END)
    bought = {fan for n, fan in enumerate(FANS) if n * 7 % (3 + n % 9) == 0} - {"fan-09"}
    assert {d.fan_id for d in done.decisions} == bought
    assert all("1 already" in d.content for d in done.decisions if d.variant_id == "left"
               and d.state == "decided")  # fmt: skip


def test_gates_know_the_fans_of_every_creator_whose_past_is_asked(month):
    """Whoever was asked last is not the only one whose other messages count."""
    caps = Policies(month[2].policies.file.model_copy(update={"caps": (Cap(count=1, per=DAY),)}))
    book = replace(month[2], policies=caps)
    later = WENT + timedelta(hours=1)
    with month[1].worker() as c:
        c.execute(insert(Creator).values(id="zoe", name="Zoe", zone="UTC"))
        c.execute(insert(Fan).values(creator_id="zoe", id="z-1", created_at=START - DAY))
    found = {}
    for names in (["maya"], ["maya", "zoe"]):
        with lake.connect(month[0]) as con:
            past = Past(con, names)
            past.open(END)
            due = [
                mailing.at(Script.filed(book, "news", creator, later), later)
                for creator in past.people()
            ]
            done = mailing.run(past, due, book.policies, later, END)
            found[len(names)] = done.decisions
    assert "frequency_cap" in {d.reason for d in found[1]}
    assert [d for d in found[2] if d.creator_id == "maya"] == found[1]
    with month[1].worker() as c:
        c.exec_driver_sql("delete from creators where id = 'zoe'")


def test_a_repetition_comes_as_its_schedule_says_in_the_creators_zone(month):
    book = month[2]
    with looking(month) as past:
        (maya,) = past.people()
        found = mailing.occurrences(Script.filed(book, "news", maya, START), START, END)
        assert [s.campaign.due_at for s in found] == [
            datetime(2026, 2, day, 18, tzinfo=UTC) for day in (4, 11, 18)
        ]
        done = mailing.run(past, found, book.policies, START, END)
    assert len({d.occurrence for d in done.decisions}) == 3


def test_what_has_no_moment_in_the_period_is_refused_with_the_reason(month):
    book = month[2]
    with looking(month) as past:
        (maya,) = past.people()
        with pytest.raises(NotFoundError, match="has no schedule: say when it would have gone"):
            mailing.occurrences(Script.filed(book, "spring_drop", maya, START), START, END)
        late = START + 11 * DAY
        with pytest.raises(NotFoundError, match="does not come from"):
            mailing.occurrences(Script.filed(book, "sale", maya, late), late, END)


def test_a_segment_over_the_past_agrees_with_its_size_when_live_evaluated_it(month):
    _, store, book, _ = month
    with looking(month) as past:
        found = tides.run(past, book.segments, "fresh", START, WENT)
        often = tides.run(past, book.segments, "often", WENT - DAY, WENT)
    with store.worker() as c:
        sizes = {
            name: c.exec_driver_sql(
                "select count(*) from members where segment_id = %s", (name,)
            ).scalar_one()
            for name in ("fresh", "often")
        }
    assert len(found) == 11
    assert (found[-1].size, often[-1].size) == (sizes["fresh"], sizes["often"])
    for before, after in pairwise(found):
        assert after.size == before.size + len(after.entered) - len(after.left)
    assert any(tide.left for tide in found)


@pytest.mark.slow
def test_the_command_tells_a_campaign_and_a_segment_and_refuses_what_it_cannot_do(
    month, monkeypatch
):
    settings, _, _, folder = month
    monkeypatch.setenv("DATABASE_URL", settings.database_url.get_secret_value())
    monkeypatch.setenv("HUNTAZE_HOME", str(settings.home))

    def run(*words):
        done = CliRunner().invoke(cli.app, ["rules", "backtest", *words, "--rules", str(folder)])
        return done.exit_code, " ".join(f"{done.output} {done.exception or ''}".split())

    period = ["--from", "2026-02-02", "--to", "2026-02-22"]
    code, told = run("sale", *period)
    assert code == 0, told
    assert "2026-02-12 09:00 maya" in told
    assert "drained" in told
    code, told = run("campaigns/sale", "--at", "2026-02-06T10:00:00", "--format", "json")
    assert (code, json.loads(told)["rule"]) == (0, "sale")
    (folder / "campaigns" / "sale.yaml").write_text(SALE.replace("0.1", "0.9"), "utf-8")
    of_file, of_live = (
        json.loads(run("sale", *period, *more, "--format", "json")[1]) for more in ([], ["--live"])
    )
    told = of_live["live"]
    assert (told["different"], told["only_live"], told["only_here"]) == (0, 0, 0)
    assert told["same"] > 20
    assert of_file["live"]["different"] > 0
    code, told = run("sale", *period[2:])
    assert (code, "2025-11-24 00:00 to 2026-02-22" in told) == (0, True)
    code, told = run("fresh", *period)
    assert (code, "fans at first" in told, "+ maya/fan" in told) == (0, True, True)
    when = ["--from", "2026-02-02", "--to", WENT.isoformat()[:19], "--format", "json"]
    code, told = run("fresh", *when)
    live = json.loads(told)["live"]
    assert (code, live["only_live"], live["only_here"]) == (0, [], [])
    assert live["same"] > 0
    assert json.loads(told)["days"][0]["live"] is None
    assert run("fresh", *when, "--live") == (code, told)
    for words, fault in (
        (["fresh", "--at", "2026-02-06"], "--at is for campaigns"),
        (["sale", *period[2:], "--from", "2026-03-01"], "is not after --from"),
        (["sale", *period, "--at", "2026-02-06"], "either --at or --from"),
        (["campaigns/nobody", *period, "--live"], "no campaign 'nobody' is live"),
        (["segments/nobody", *period, "--live"], "no segment 'nobody' is live"),
        (["flash_sale", *period], "is a template"),
        (["policies/caps", *period], "have no past"),
        (["sael", *period], "did you mean 'sale'"),
    ):
        code, told = run(*words)
        assert code != 0
        assert fault in told, (words, told)
