"""Where a run happens: a home, servers and platforms of its own, and what can be seen there."""

import json
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from sqlalchemy import text

from huntaze_pipeline.delivery.platforms.directory import capabilities
from huntaze_pipeline.delivery.sqs import SqsQueue
from huntaze_pipeline.local import stack, stage
from huntaze_pipeline.local.chaos.verdict import Evidence
from huntaze_pipeline.local.chaos.world import CALM, World
from huntaze_pipeline.local.folder import Folder
from huntaze_pipeline.local.simulator import process
from huntaze_pipeline.local.simulator.app import Addresses
from huntaze_pipeline.settings import Settings
from huntaze_pipeline.store import migrate
from huntaze_pipeline.store.session import Store


@dataclass(frozen=True, slots=True)
class Place:
    """One run's servers, seen straight and not over a link."""

    folder: Folder
    ready: Settings
    store: Store
    platforms: Addresses

    def arrivals(self) -> list[dict[str, Any]]:
        """Read the platforms' log as far as it is written."""
        data = (self.folder.home / "simulator" / "arrivals.jsonl").read_bytes()
        return [json.loads(line) for line in data.splitlines(True) if line.endswith(b"\n")]

    def states(self) -> dict[str, int]:
        """Count the messages in each state."""
        query = text("select state, count(*) from messages group by state")
        with self.store.worker() as connection:
            return {str(state): int(number) for state, number in connection.execute(query)}

    def calm(self) -> None:
        """Let the platforms answer at once and without fault from now on."""
        body = json.dumps({"platforms": {"*": {"faults": CALM}}}).encode()
        url = f"{self.platforms.http}/judge/settings"
        with urllib.request.urlopen(urllib.request.Request(url, body), timeout=10):
            return

    def evidence(self, world: World) -> Evidence:
        """Collect what the verdict is read from."""
        query = text("select id, platform, state, account_id, decided_at from messages")
        with self.store.worker() as connection:
            rows = [dict(row) for row in connection.execute(query).mappings()]
        return Evidence(
            planned=world.ids(),
            rows=rows,
            arrivals=self.arrivals(),
            dead=sum(d.waiting + d.in_flight for d in SqsQueue(self.ready).depths() if d.dead),
            at_least_once={
                name
                for name, can in capabilities().items()
                if can.unknown == "resend" and not can.honours_idempotency
            },
        )


@contextmanager
def opened(home: Path, world: World, seed: int) -> Iterator[Place]:
    """Start everything in a home and write the world into it; stop everything at the end."""
    behaviour, known = world.behaviour(seed), stage.settings(home)
    _restrain(known.rules_dir / "policies.yaml", world)
    with (
        stack.services(known) as ready,
        process.running(home / "simulator", behaviour=behaviour) as platforms,
    ):
        # Half of the accounts go the way around SQS, so that both ways are seen.
        ready = process.pointed(ready, platforms).model_copy(update={"rollout_percentage": 50.0})
        store = Store(ready, pooled=False)
        migrate.upgrade(store)
        world.prepare(store)
        SqsQueue(ready).depths()
        yield Place(Folder(home), ready, store, platforms)


def _restrain(file: Path, world: World) -> None:
    policies = yaml.safe_load(file.read_text(encoding="utf-8"))
    world.restrain(policies)
    file.write_text(yaml.safe_dump(policies, sort_keys=False), encoding="utf-8")
