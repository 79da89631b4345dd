"""`huntaze up`, whole, while its programs and servers are killed: what the platforms saw of it.

One story is played once; every test looks at what it left. The figures come from the platforms' own
log of arrivals, a file, and from PostgreSQL.
"""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml
from sqlalchemy import insert, text
from sqlalchemy.exc import SQLAlchemyError

from huntaze_pipeline.clock import system_clock
from huntaze_pipeline.local import fleet, keeper, stack, stage
from huntaze_pipeline.local.folder import Folder
from huntaze_pipeline.rulebook import loader, registry
from huntaze_pipeline.settings import Settings, load
from huntaze_pipeline.store import creators
from huntaze_pipeline.store.outflow import FINAL
from huntaze_pipeline.store.people import PLATFORMS, Account, Fan, Identity
from huntaze_pipeline.store.session import Store

pytestmark = [pytest.mark.slow, pytest.mark.timeout(400)]

ACCOUNTS = 48
FANS = 144
TIPPERS = 24
"""Fans who tip at the start; as many others tip later."""
WINDOW_S = 6
"""Each account may send once in so long: ten a minute, in an even stream."""
LEASE_S = 30
BEHAVIOUR = {
    "platforms": {"*": {"faults": {"median_s": 0.4, "tail_share": 0.05, "error": 0.02}}},
    "receipts": {"deliver": 1, "unsubscribe": 0},
}
CAMPAIGN = {
    "name": "Blast", "platforms": list(PLATFORMS), "template": "flash_sale",
    "topic": "service",
}  # fmt: skip
TIP = {
    "name": "Tip", "trigger": {"event": "tip"}, "entry": {"every": "12h"},
    "actions": [
        {"content": "Thank you, {{ fan.first_name }}!", "subject": "Thanks", "topic": "service"},
        {"content": "Still there, {{ fan.first_name }}?", "subject": "Hello", "topic": "service",
         "delay": "3s"},
    ],
}  # fmt: skip


@dataclass
class Aftermath:
    """What the story left."""

    arrivals: list[dict[str, Any]]
    messages: dict[str, dict[str, Any]]
    attempts: list[dict[str, Any]]
    executions: list[tuple[str, str, str]]
    books: list[dict[str, Any]]
    judge: dict[str, Any]
    kills: list[tuple[str, datetime]]
    lost: int
    """Messages that were `queued` when the SQS server lost its notes."""

    def accepted(self) -> Counter[str]:
        """How often the recipient got each message."""
        return Counter(a["message_id"] for a in self.arrivals if a["verdict"] == "accepted")

    def ids(self, state: str) -> set[str]:
        """Return the messages that ended so."""
        return {name for name, row in self.messages.items() if row["state"] == state}


@dataclass
class Story:
    """A running `huntaze up` and somebody who kills its parts."""

    settings: Settings
    folder: Folder
    store: Store
    addresses: dict[str, str]
    key: str
    kills: list[tuple[str, datetime]] = field(default_factory=list)
    began: float = field(default_factory=time.monotonic)

    # -- what is asked ------------------------------------------------------------------------

    def rows(self, query: str, **values: Any) -> list[dict[str, Any]]:
        """Ask PostgreSQL, which may just have been killed."""
        deadline = time.monotonic() + 60
        while True:
            try:
                with self.store.worker() as connection:
                    return [dict(r) for r in connection.execute(text(query), values).mappings()]
            except SQLAlchemyError:
                assert time.monotonic() < deadline
                time.sleep(0.2)

    def arrivals(self) -> list[dict[str, Any]]:
        lines = (self.folder.home / "simulator" / "arrivals.jsonl").read_bytes().splitlines(True)
        return [json.loads(line) for line in lines if line.endswith(b"\n")]

    def count(self, state: str) -> int:
        query = "select count(*) as n from messages where state = :state"
        return self.rows(query, state=state)[0]["n"]

    def program(self, name: str) -> dict[str, Any]:
        return fleet.recorded(self.folder).get("programs", {}).get(name, {})

    def server(self, name: str) -> dict[str, Any]:
        return self.folder.read()["servers"][name]

    # -- what is done -------------------------------------------------------------------------

    def post(self, path: str, body: Any = None) -> None:
        headers = {"Authorization": f"Bearer {self.key}"}
        with httpx.Client(base_url=self.addresses["api"], headers=headers, timeout=30) as api:
            api.post(path, json=body).raise_for_status()

    def tip(self, first: int) -> None:
        """Let fans tip; sent twice, for callers repeat what they are not sure of."""
        tips = [
            {"id": f"tip-{n}", "name": "tip", "fanId": fan(n), "value": 5, "currency": "USD",
             "occurredAt": system_clock().isoformat()}
            for n in range(first, first + TIPPERS)
        ]  # fmt: skip
        self.post("/api/events", tips)
        self.post("/api/events", tips)

    def kill(self, what: str, pids: list[int]) -> None:
        assert pids, f"{what} does not run"
        self.kills.append((what, datetime.now(UTC)))
        for pid in pids:
            with suppress(ProcessLookupError):  # a child that went with its parent
                os.kill(pid, signal.SIGKILL)
        self.say(f"killed {what} {pids}")

    def kill_program(self, name: str, *, wait_s: float = 60) -> None:
        """Kill a program with all its children, and wait until `huntaze up` has it back."""
        pid = self.program(name)["pid"]
        self.kill(name, family(pid))
        self.back(lambda: self.program(name), pid, wait_s)

    def kill_server(self, name: str) -> None:
        """Kill a server's process, and wait until its keeper has it back where it was."""
        before = self.server(name)
        self.kill(name, [before["pid"]])
        self.back(lambda: self.server(name), before["pid"], 60)
        assert self.server(name)["port"] == before["port"]

    def back(self, look: Callable[[], dict[str, Any]], pid: int, wait_s: float) -> None:
        until(
            lambda: look().get("pid") not in (pid, None) and look()["status"] == "running", wait_s
        )
        self.say("back")

    def more(self, number: int) -> None:
        """Wait until so many more messages have arrived at the platforms, or all have ended."""
        wanted = len(self.arrivals()) + number
        until(lambda: len(self.arrivals()) >= wanted or self.ended(), 120)

    def ended(self) -> bool:
        query = "select count(*) as n, count(*) filter (where state = any(:f)) as f from messages"
        (row,) = self.rows(query, f=list(FINAL))
        return row["n"] > 0 and row["n"] == row["f"]

    def open(self) -> list[dict[str, Any]]:
        """Return what is still to be done, but for calls whose fate only the platform knows."""
        return self.rows(
            """
            select id from messages m where state <> all(:final) and not (state = 'claimed'
                and platform in ('instagram', 'tiktok') and exists (select from attempts a
                    where a.message_id = m.id and a.fence = m.fence
                    and a.intent_at < now() - interval '60 seconds'))
            union all select id from executions where state = 'active'
            """,
            final=list(FINAL),
        )

    def say(self, what: str) -> None:
        """Leave a line in the log of a failing test."""
        sys.stderr.write(
            f"{time.monotonic() - self.began:6.1f} s  {what}; arrivals: {len(self.arrivals())}\n"
        )


def fan(number: int) -> str:
    return f"fan-{number:03d}"


def account(number: int) -> str:
    return f"{PLATFORMS[number % 4]}-{number % ACCOUNTS}"


def until(condition: Callable[[], bool], seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.05)


def family(root: int) -> list[int]:
    """Return a process and all that descend from it, parents first."""
    children: dict[int, list[int]] = defaultdict(list)
    for status in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):  # it has ended meanwhile
            parent = int(status.read_text().rpartition(")")[2].split()[1])
            children[parent].append(int(status.parent.name))
    found = [root]
    for pid in found:
        found += children[pid]
    return found


def command_line(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode()
    except OSError:
        return ""


# -- the world --------------------------------------------------------------------------------


def rules(home: Path) -> Path:
    """The shipped rules without hours and caps, one campaign to everybody, one automation."""
    target = home / "rules"
    shutil.copytree(load().rules_dir, target)
    for kind, name, rule in (("campaigns", "blast", CAMPAIGN), ("automations", "tip", TIP)):
        shutil.rmtree(target / kind)
        (target / kind).mkdir()
        (target / kind / f"{name}.yaml").write_text(yaml.safe_dump(rule))
    shutil.rmtree(target / "tests")  # they speak of rules that are not there any more
    policies = yaml.safe_load((target / "policies.yaml").read_text())
    policies.pop("quiet_hours")
    policies["caps"] = [{"count": 50, "per": "24h"}]
    (target / "policies.yaml").write_text(yaml.safe_dump(policies))
    return target


def populate(store: Store, settings: Settings) -> str:
    """Make the creator, its accounts and its fans; return the API key."""
    now = system_clock()
    owner = {"creator_id": "ana"}
    numbers = range(FANS)
    with store.worker() as c:
        key = creators.add(c, "ana", name="Ana", zone="Europe/Paris", currency="USD")
        c.execute(
            insert(Account),
            [owner | {"id": account(n), "platform": PLATFORMS[n % 4], "handle": account(n),
                      "limit_count": 1, "limit_window_s": WINDOW_S} for n in range(ACCOUNTS)],
        )  # fmt: skip
        c.execute(insert(Fan), [owner | {"id": fan(n), "name": fan(n)} for n in numbers])
        c.execute(insert(Identity), [owner | identity(n, now) for n in numbers])
        registry.apply(c, "ana", loader.load(settings.rules_dir), now)
    return key


def identity(number: int, now: datetime) -> dict[str, Any]:
    platform = PLATFORMS[number % 4]
    address = f"{fan(number)}@example.com" if platform == "email" else fan(number)
    names = {"fan_id": fan(number), "platform": platform, "account_id": account(number)}
    return names | {"address": address, "normalised": address, "last_inbound_at": now}


# -- the story --------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def aftermath(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Aftermath]:
    home = tmp_path_factory.mktemp("crashes") / "home"
    home.mkdir()
    settings = load(
        HUNTAZE_HOME=str(home), HUNTAZE_RULES_DIR=str(rules(home)), RATE_LIMITER_ENABLED="true",
        RATE_LIMITER_ROLLOUT_PERCENTAGE="100", HUNTAZE_API_PORT="0", HUNTAZE_DAGSTER_PORT="0",
    )  # fmt: skip
    with ExitStack() as on_stage:
        on_stage.callback(keeper.erase, Folder(home))
        addresses = on_stage.enter_context(stage.running(settings))
        ready = on_stage.enter_context(stack.services(settings))
        store = Store(ready, pooled=False)
        key = populate(store, ready)
        story = Story(ready, Folder(home), store, addresses, key)
        httpx.post(f"{addresses['simulator']}/judge/settings", json=BEHAVIOUR).raise_for_status()
        yield play(story)


def play(story: Story) -> Aftermath:
    """Kill everything once, while a campaign and an automation are on their way."""
    story.say("up")
    story.tip(0)
    story.post("/api/campaigns/blast/start")
    story.kill_program("dagster")
    story.more(25)
    story.kill_program("sender")
    # The calls that died with it hold their accounts' permits until their leases end.
    lost = lose_the_queue(story)
    story.kill("code server", code_servers(story.program("dagster")["pid"]))
    story.more(20)
    story.kill_server("redis")
    story.more(10)
    story.kill_server("postgres")
    story.kill_program("api")
    settle(story)
    attempts = story.rows("select * from attempts")
    an_hour_later(story)
    story.say("all ended")
    return look(story, lost, attempts)


def code_servers(dagster: int) -> list[int]:
    found = [p for p in family(dagster) if "dagster" in command_line(p)]
    return [p for p in found if " code-server " in command_line(p) or " grpc " in command_line(p)]


def lose_the_queue(story: Story) -> int:
    """Kill the SQS server while notes are on it: the sender sleeps, Dagster publishes."""
    sender = story.program("sender")["pid"]
    os.kill(sender, signal.SIGSTOP)
    story.kills.append(("sender", datetime.now(UTC)))  # for those it was calling for
    before = story.count("queued")
    story.tip(TIPPERS)
    until(lambda: story.count("queued") >= before + TIPPERS // 2, 90)
    lost = story.count("queued") - before
    story.kill_server("sqs")
    story.kill("sender", [sender])
    story.back(lambda: story.program("sender"), sender, 60)
    return lost


def settle(story: Story) -> None:
    """Wait until all that can end by itself has ended, and its receipts have come."""
    until(lambda: story.open() == [], 150)
    accepted = {a["message_id"] for a in story.arrivals() if a["verdict"] == "accepted"}
    until(lambda: story.count("sent") == len(accepted), 30)


def an_hour_later(story: Story) -> None:
    """Let the hour pass for which platforms are asked what became of calls that were lost.

    Instagram and TikTok show conversations: a message that is not there may still come.
    """
    aged = """
        with asked as (update messages set lease_until = now() where state = 'claimed' returning *)
        update attempts a set intent_at = a.intent_at - interval '1 hour'
        from asked m where a.creator_id = m.creator_id and a.message_id = m.id
        returning a.message_id
    """
    story.rows(aged)
    until(story.ended, 30)


def look(story: Story, lost: int, attempts: list[dict[str, Any]]) -> Aftermath:
    environment = stack.environment(story.settings)
    huntaze = [sys.executable, "-P", "-m", "huntaze_pipeline.cli"]
    build = [*huntaze, "models", "build"]
    built = subprocess.run(build, env=environment, capture_output=True, text=True, check=False)
    assert built.returncode == 0, built.stderr
    question = [*huntaze, "sql", "from metrics.reconciliation", "-f", "json"]
    books = subprocess.run(question, env=environment, capture_output=True, text=True, check=True)
    judge = httpx.get(f"{story.addresses['simulator']}/judge/summary").json()
    executions = story.rows("select automation_id, fan_id, entry_key from executions")
    messages = story.rows("select id, platform, account_id, state, reason from messages")
    return Aftermath(
        arrivals=story.arrivals(),
        messages={row["id"]: row for row in messages},
        attempts=attempts,
        executions=[tuple(row.values()) for row in executions],
        books=json.loads(books.stdout),
        judge=judge,
        kills=story.kills,
        lost=lost,
    )


# -- what the tests ask -----------------------------------------------------------------------


def test_every_decision_was_made_once_and_ended(aftermath: Aftermath) -> None:
    assert len(aftermath.messages) == FANS + 2 * 2 * TIPPERS
    states = Counter(row["state"] for row in aftermath.messages.values())
    assert set(states) <= {"sent", "unknown"}, Counter(
        (row["state"], row["reason"]) for row in aftermath.messages.values()
    )


def test_what_we_call_sent_is_what_the_platforms_accepted(aftermath: Aftermath) -> None:
    """Lost answers included: a receipt has proved those meanwhile."""
    assert aftermath.ids("sent") == set(aftermath.accepted())


def test_nobody_got_a_message_twice(aftermath: Aftermath) -> None:
    assert [m for m, times in aftermath.accepted().items() if times > 1] == []
    again = {a["platform"] for a in aftermath.arrivals if a["verdict"] == "replayed"}
    assert again <= {"onlyfans"}
    assert aftermath.judge["duplicates"] == 0


def test_unknown_is_only_what_was_under_way_when_its_sender_died(aftermath: Aftermath) -> None:
    unknown = aftermath.ids("unknown")
    deaths = [at for what, at in aftermath.kills if what in ("sender", "postgres")]
    assert "onlyfans" not in {aftermath.messages[m]["platform"] for m in unknown}
    for attempt in aftermath.attempts:
        if attempt["message_id"] in unknown and attempt["outcome"] in (None, "unknown"):
            begun = attempt["intent_at"]
            assert any(begun <= at <= begun + timedelta(seconds=LEASE_S) for at in deaths)


def test_no_account_went_over_its_limit(aftermath: Aftermath) -> None:
    times: dict[str, list[float]] = defaultdict(list)
    for arrival in aftermath.arrivals:
        times[arrival["account"]].append(arrival["t"])
    assert len(times) == ACCOUNTS
    for found in map(sorted, times.values()):
        assert max(sum(at - 60 < t <= at for t in found) for at in found) <= 10
        assert min((b - a for a, b in pairwise(found)), default=9) >= WINDOW_S
    assert aftermath.judge["bans"] == 0


def test_a_fan_enters_an_automation_once(aftermath: Aftermath) -> None:
    assert len(aftermath.executions) == len(set(aftermath.executions)) == 2 * TIPPERS
    assert len({(name, who) for name, who, _ in aftermath.executions}) == 2 * TIPPERS


def test_messages_whose_notes_were_lost_were_sent_all_the_same(aftermath: Aftermath) -> None:
    assert aftermath.lost >= TIPPERS // 2


def test_the_books_balance(aftermath: Aftermath) -> None:
    assert {row["source_id"] for row in aftermath.books} == {"blast", "tip"}
    assert all(row["balanced"] for row in aftermath.books)
    assert all(row["sent"] == row["sent_events"] for row in aftermath.books)
    assert sum(row["pending"] for row in aftermath.books) == 0
