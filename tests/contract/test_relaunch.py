"""Campaigns decided again: what live launched, through the same store, lake and gates."""

import json
import shutil
from collections import Counter
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import insert, text
from typer.testing import CliRunner

from huntaze_pipeline import cli
from huntaze_pipeline.campaigns import lifecycle, reactions, split
from huntaze_pipeline.delivery import outbox
from huntaze_pipeline.events import inbox
from huntaze_pipeline.events.envelope import Event
from huntaze_pipeline.orchestration import ticks
from huntaze_pipeline.rehearsal import replay
from huntaze_pipeline.rehearsal.past import Past
from huntaze_pipeline.rehearsal.rulings import Rulings
from huntaze_pipeline.rulebook import loader, registry
from huntaze_pipeline.rulebook.policies import Cap, Policies
from huntaze_pipeline.store.people import Account, Consent, Creator, Fan, Identity
from huntaze_pipeline.store.session import Store
from huntaze_pipeline.warehouse import declarations, lake, mirror, models, pull, runner

pytestmark = pytest.mark.slow
RULES = Path(__file__).parents[2] / "rules"
DAY, HOUR = timedelta(days=1), timedelta(hours=1)
START = datetime(2026, 2, 2, 9, tzinfo=UTC)
DAWN = datetime(2026, 2, 3, 6, 30, tzinfo=UTC)
"""Quiet hours in Paris and New York, the afternoon in Tokyo."""
CLOSED = DAWN + 2 * DAY + HOUR
END = DAWN + 5 * DAY
FANS = [f"fan-{n:02}" for n in range(60)]
ZONES = ("Europe/Paris", "America/New_York", "Asia/Tokyo")
FILES = {
    "segments/buyers": "name: Buyers\nwhere: fan.purchases >= 1\n",
    "segments/mute": "name: Mute\nfans: [fan-07, fan-14]\n",
    "templates/note": """\
name: Note
category: sales
platforms: [instagram, onlyfans, email]
variables: [{name: word, default: L}]
content:
  instagram: {en: {body: "{{ word }} {{ fan.name }}, {{ creator.name }}"}}
  onlyfans: {en: {body: "{{ word }} {{ fan.purchases | int }} already, {{ fan.first_name }}"}}
  email: {en: {subject: "{{ word }}", body: "{{ fan.attributes.city }} {{ creator.name }}"}}
""",
    "campaigns/drop": f"""\
name: Drop
platforms: [instagram, onlyfans, email]
template: note
schedule: {{start: "{DAWN:%Y-%m-%dT%H:%M:%SZ}"}}
targeting: {{segments: [buyers], exclude: [mute], cap: 40}}
holdout: 0.1
variants: [{{id: left}}, {{id: right, variables: {{word: R}}}}]
experiment: {{metric: clicked, window: 24h, share: 0.5}}
""",
    "campaigns/news": f"""\
name: News
platforms: [onlyfans]
template: note
schedule: {{recurring: daily, start: "{DAWN:%Y-%m-%dT%H:%M:%SZ}"}}
targeting: {{exclude: [mute]}}
variants: [{{id: plain}}, {{id: loud, variables: {{word: "!"}}}}]
""",
    "campaigns/evening": """\
name: Evening
platforms: [email, onlyfans]
template: note
schedule: {local: "18:00"}
targeting: {segments: [buyers]}
""",
}


@dataclass
class World:
    """What live went through, and where it is kept."""

    settings: object
    store: Store
    rulings: Rulings
    decided: int = 0

    def change(self, *statements, **values):
        with self.store.worker() as connection:
            for statement in statements:
                connection.execute(text(statement), values)

    def ask(self, query, **values):
        with self.store.worker() as connection:
            return connection.execute(text(query), values).all()

    def happen(self, at, name, fans, **more):
        """Let something of these fans be known, a minute after it was so."""
        events = [
            Event(creator_id="maya", event_id=f"{name}-{at:%d%H%M}-{fan}", name=name, fan_id=fan,
                  occurred_at=at - timedelta(minutes=1), **{"source": "api"} | more)
            for fan in fans
        ]  # fmt: skip
        with self.store.worker() as connection:
            inbox.append(connection, events)
            connection.execute(
                text("update inbox set received_at = :at where event_id = any(:ids)"),
                {"at": at, "ids": [event.event_id for event in events]},
            )
            reaction = reactions.react(connection, None, events, self.policies, at)
            self.decided += outbox.record(connection, reaction.decisions).new

    @property
    def policies(self):
        return self.rulings.today

    def tick(self, at):
        with lake.connect(self.settings) as con:
            self.decided += ticks.start(self.store, con, self.policies, at)

    def wake(self, at):
        """Take the automation's steps that have come due."""
        with self.store.worker() as connection:
            reaction = reactions.wake(connection, None, self.policies, at)
            self.decided += outbox.record(connection, reaction.decisions).new

    def replay(self, since=START, until=END, rulings=None):
        with lake.connect(self.settings) as con, self.store.worker() as connection:
            kept = rulings or self.rulings
            return replay.run(connection, Past(con, ["maya"]), "maya", kept, since, until)

    @contextmanager
    def changed(self, do, undo):
        """Decide again what live decided while something else is kept than it was."""
        self.change(*do)
        try:
            yield self.replay()
        finally:
            with self.store.engine.begin() as owner:  # who may forget what was before
                for statement in undo:
                    owner.exec_driver_sql(statement)


def people(store):
    """Sixty fans in three zones, some on two platforms or on three."""
    mine, long_ago = {"creator_id": "maya"}, START - 30 * DAY
    rows = {Account: [], Fan: [], Identity: [], Consent: []}
    for platform in ("instagram", "onlyfans", "email"):
        account = {"id": platform, "platform": platform, "handle": "maya", "created_at": long_ago}
        rows[Account].append(mine | account)
    for n, fan in enumerate(FANS):
        about = {"name": f"{fan.title()} Doe", "zone": ZONES[n % 3], "created_at": long_ago}
        rows[Fan].append(mine | about | {"id": fan, "attributes": {"city": f"City {n}"}})
        there = ["onlyfans"] + ["instagram"] * (n % 2) + ["email"] * (n % 5 == 0)
        for platform in there if n != 11 else []:
            address = f"{fan if n != 33 else 'Fan-31'}@x.org" if platform == "email" else fan
            where = {"platform": platform, "account_id": platform, "address": address}
            rows[Identity].append(mine | {"fan_id": fan, "normalised": address.lower()} | where)
        agreed = {"topic": "marketing", "granted": n != 4, "source": "test"}
        rows[Consent].append(mine | {"fan_id": fan, "changed_at": long_ago} | agreed)
    with store.worker() as connection:
        connection.execute(insert(Creator).values(id="maya", name="Maya", zone="Europe/Paris"))
        for table, values in rows.items():
            connection.execute(insert(table), values)


@pytest.fixture(scope="module")
def world(lasting, tmp_path_factory):
    """Three campaigns and an automation that live decided, and all that was changed afterwards."""
    folder = tmp_path_factory.mktemp("world") / "rules"
    shutil.copytree(RULES, folder)
    for name, body in FILES.items():
        (folder / f"{name}.yaml").write_text(body, "utf-8")
    book = loader.load(folder)
    caps = (Cap(count=2, per=timedelta(hours=30)),)
    policies = Policies(book.policies.file.model_copy(update={"caps": caps}))
    store = Store(lasting, pooled=False)
    people(store)
    world = World(lasting, store, Rulings([], policies))
    with store.worker() as connection:
        registry.apply(connection, "maya", book, START - HOUR)
        for name in ("drop", "news", "evening"):
            lifecycle.start(connection, "maya", name, now=START, actor="test")
    live(world)
    aftermath(world)
    yield world
    store.engine.dispose()


def live(world):
    """Five days of ticks, with what delivery makes of messages between them."""
    bought = {"platform": "onlyfans", "value_micros": 25_000_000, "currency": "USD"}
    world.happen(START, "purchase", FANS[:50], **bought)
    reply(world, START + HOUR, FANS[1:40:4])
    with lake.connect(world.settings) as con:
        pull.inbox(world.store, con)
        lake.write(con, lambda: mirror.refresh(con, START + 2 * HOUR, declarations.load(RULES)))
        runner.build(con, models.load(world.settings.models_dir), ["+marts.fan_facts"])
        ticks.refresh(world.store, con, START + 2 * HOUR)
    world.tick(datetime(2026, 2, 3, 3, 0, 1, tzinfo=UTC))  # the evening's fans, on their own clocks
    world.happen(DAWN - HOUR, "purchase", FANS[:10], **bought)
    world.tick(DAWN + timedelta(seconds=1))
    deliver(world, DAWN + 4 * HOUR)
    world.happen(DAWN + 5 * HOUR, "purchase", FANS[10:20], **bought)
    world.tick(DAWN + DAY + timedelta(seconds=2))
    with world.store.worker() as connection:
        given = {"plain": 1.0, "loud": 9.0}
        split.reweigh(connection, "maya", "news", given, now=DAWN + DAY + HOUR, actor="test")
    world.change(
        "update members set left_at = :at where fan_id = 'fan-22' and segment_id = 'buyers'",
        "update consents set granted = false, changed_at = :at where fan_id = 'fan-23'",
        "update experiments set decided_at = :at, winner_variant_id = 'right', state = 'winner'"
        " where campaign_id = 'drop'",
        at=CLOSED,
    )  # fmt: skip
    world.tick(CLOSED + timedelta(minutes=1))
    world.wake(CLOSED + 2 * HOUR)
    world.wake(CLOSED + 2 * DAY)


def reply(world, at, fans):
    """Let fans write on Instagram, as a receipt tells it."""
    world.happen(at, "replied", fans, source="receipt", platform="instagram")
    world.change(
        "update identities set last_inbound_at = :at where platform = 'instagram'"
        " and fan_id = any(:fans)", at=at - timedelta(minutes=1), fans=fans,
    )  # fmt: skip


def deliver(world, at):
    """Move messages on as relay and sender do: sent, failed, too late, refused."""
    world.change(
        "update messages set state = 'sent', sent_at = greatest(not_before, :at), ended_at ="
        " greatest(not_before, :at), reason = null, queued_at = :at"
        " where state = 'decided' and right(fan_id, 1) in ('1', '3', '5', '7')",
        "update messages set state = 'failed', reason = 'http_500', ended_at = :at"
        " where state = 'decided' and right(fan_id, 1) = '2'",
        "update messages set state = 'expired', reason = 'expired', ended_at = :at"
        " where state = 'decided' and fan_id = 'fan-14'",
        "update messages set state = 'skipped', reason = 'consent_withdrawn', ended_at = :at"
        " where state = 'decided' and fan_id = 'fan-16'",
        at=at,
    )  # fmt: skip


def aftermath(world):
    """Change afterwards what can be changed; what was before is kept."""
    reply(world, END - HOUR, FANS[1:20:2])
    world.change(
        "update consents set granted = not granted, changed_at = :at where fan_id < 'fan-10'",
        "update fans set name = 'Somebody Else', zone = 'UTC', attributes = '{\"city\": \"X\"}'"
        " where id < 'fan-30'",
        "update identities set address = 'other-' || address, normalised = 'other-' || normalised"
        " where platform <> 'onlyfans' and fan_id > 'fan-20' or fan_id > 'fan-50'",
        "delete from identities where platform = 'email' and fan_id = 'fan-45'",
        "update accounts set status = 'paused' where id = 'email'",
        "update templates set content = replace(content::text, 'already', 'so far')::jsonb",
        "insert into suppressions (creator_id, platform, normalised, reason, created_at)"
        " values ('maya', 'onlyfans', 'fan-19', 'bounced', :at)",
        "update members set left_at = :at where fan_id = 'fan-03' and left_at is null",
        "insert into members (creator_id, segment_id, fan_id, entered_at)"
        " values ('maya', 'buyers', 'fan-59', :at)",
        "insert into fans (creator_id, id, created_at) values ('maya', 'fan-99', :at)",
        "update messages set reason = 'campaign_paused', not_before = :at"
        " where state = 'decided' and fan_id > 'fan-50'",
        at=END - HOUR,
    )  # fmt: skip
    with lake.connect(world.settings) as con:
        pull.inbox(world.store, con)


def test_campaigns_and_automations_are_decided_again_to_the_same_bytes(world):
    found = world.replay()
    assert found.identical, found.text()
    rows = world.ask("select source, source_id, state, reason, variant_id, followed_variant_id,"
                     " platform from messages")  # fmt: skip
    assert found.same == len(rows)
    assert found.rules == Counter(f"{row.source}s/{row.source_id}" for row in rows)
    assert {"automations/thank_you", "campaigns/drop", "campaigns/evening", "campaigns/news"} <= (
        found.rules.keys()
    )
    reasons = {row.reason for row in rows if row.state == "skipped"}
    assert {
        "holdout", "frequency_cap", "consent_withdrawn", "left_audience", "no_address",
    } <= reasons  # fmt: skip
    assert {row.platform for row in rows} == {"instagram", "onlyfans", "email"}
    drop = [row for row in rows if row.source_id == "drop"]
    assert len(drop) == 40
    assert {row.variant_id for row in drop} == {None, "left", "right"}
    assert {row.followed_variant_id for row in drop} == {None, "right"}
    assert "decided by automations/" in found.text()


@pytest.mark.slow
def test_an_occurrence_belongs_to_the_period_of_its_launch_with_what_its_rest_got_later(world):
    found = world.replay(DAWN, DAWN + HOUR)
    assert found.identical, found.text()
    assert found.rules.keys() == {"campaigns/drop", "campaigns/news"}
    assert found.rules["campaigns/drop"] == 40
    assert world.replay(DAWN + HOUR, CLOSED + HOUR).rules.keys() >= {"campaigns/news"}
    assert "campaigns/drop" not in world.replay(DAWN + HOUR, CLOSED + HOUR).rules


def causes(found):
    return {(one.rule, one.fan_id, one.kind): one.cause for one in found.differences}


def test_a_stay_that_was_backdated_is_named(world):
    inside = "insert into members (creator_id, segment_id, fan_id, entered_at)" \
             " values ('maya', 'buyers', 'fan-55', '2026-02-03 02:00Z')"  # fmt: skip
    with world.changed([inside], ["delete from members where fan_id = 'fan-55'"]) as found:
        told = causes(found)
    cause = told["campaigns/evening", "fan-55", "only_replay"]
    assert "live did not find the fan in the audience" in cause
    assert "buyers from 2026-02-03 02:00:00" in cause
    assert not found.identical


@pytest.mark.slow
def test_a_fan_whom_the_audience_lost_and_one_whom_the_cap_takes_instead_are_named(world):
    ((lost,),) = world.ask(
        "select min(fan_id) from messages where source_id = 'drop' and state = 'sent'"
    )
    gone = f"update members set left_at = '2026-02-02 12:00Z' where fan_id = '{lost}'"
    back = f"update members set left_at = null where fan_id = '{lost}'"
    with world.changed([gone], [back]) as found:
        told = causes(found)
    assert "what is kept does not (buyers from" in told["campaigns/drop", lost, "only_live"]
    assert any(key[0] == "campaigns/drop" and key[2] == "only_replay" for key in told)


@pytest.mark.slow
def test_a_campaign_or_a_fan_that_is_not_what_it_was_is_named(world):
    other = "update campaigns set rule_hash = 'other' where id = 'evening'"
    same = "update campaigns set rule_hash = (select min(rule_hash) from messages" \
           " where source_id = 'evening') where id = 'evening'"  # fmt: skip
    with world.changed([other], [same]) as found:
        told = causes(found)
    assert {why for key, why in told.items()} == {
        "the campaign was changed since, and what it said then is not kept"
    }
    newer = "update fans set created_at = '2026-03-01' where id = 'fan-25'"
    as_it_was = "update fans set created_at = '2026-01-03 09:00Z' where id = 'fan-25'"
    with world.changed([newer], [as_it_was]) as found:
        told = causes(found)
    assert "is newer than the decision" in told["campaigns/news", "fan-25", "only_live"]


@pytest.mark.slow
def test_a_text_an_address_and_an_arm_that_are_not_what_they_were_are_named(world):
    name = "update creators set name = '{}'"
    with world.changed([name.format("Mia")], [name.format("Maya")]) as found:
        assert {one.cause for one in found.differences} == {
            "the text is made from something that was changed and is not kept"
        }
    address = "insert into identities (creator_id, fan_id, platform, account_id, address," \
              " normalised) values ('maya', 'fan-08', 'email', 'email', 'a@x', 'a@x')"  # fmt: skip
    gone = "delete from identities where fan_id = 'fan-08' and platform = 'email'"
    with world.changed(
        [address], [gone, "delete from former where kind = 'identities' and left(id, 6) = 'fan-08'"]
    ) as found:
        told = causes(found)
    assert told["campaigns/evening", "fan-08", "different"].startswith("an address of the fan came")
    share = "update experiments set share = {}"
    with world.changed([share.format(0.2)], [share.format(0.5)]) as found:
        told = {why for (rule, *_), why in causes(found).items() if rule == "campaigns/drop"}
        assert told == {"the test's arms, its end or an earlier arm of the fan was changed by hand"}
        assert not found.identical


@pytest.mark.slow
def test_policies_that_nobody_applied_are_named_and_those_of_then_are_gone_by(world):
    today = world.policies.without_quiet_hours()
    found = world.replay(rulings=Rulings([], today))
    assert not found.identical
    assert all("a gate answers differently" in one.cause for one in found.differences)
    noted = Rulings([(START - HOUR, world.policies)], today)
    assert world.replay(rulings=noted).identical


@pytest.mark.slow
def test_the_command_tells_the_rules_and_that_all_is_the_same(world, monkeypatch, tmp_path):
    monkeypatch.setenv("DATABASE_URL", world.settings.database_url.get_secret_value())
    monkeypatch.setenv("HUNTAZE_HOME", str(world.settings.home))
    words = ["replay", "--from", "2026-02-02", "--to", "2026-02-09", "-c", "maya", "--json"]
    done = CliRunner().invoke(cli.app, [*words, "--rules", str(RULES)])
    assert done.exit_code == 1  # the files' caps are not those that live went by
    (told,) = json.loads(done.output)
    assert told["rules"]["campaigns/drop"] == 40
