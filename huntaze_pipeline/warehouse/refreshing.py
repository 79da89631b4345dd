"""A whole refresh: inbox, operational copies, models, audits; what a build command runs."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime

from huntaze_pipeline.settings import Settings
from huntaze_pipeline.store.session import Store
from huntaze_pipeline.warehouse import audits, declarations, lake, mirror, pull, runner
from huntaze_pipeline.warehouse.audits import Audited
from huntaze_pipeline.warehouse.models import Project
from huntaze_pipeline.warehouse.turn import Built


@dataclass(frozen=True, slots=True)
class Refreshed:
    """What a refresh did."""

    pulled: int
    """New events from the inbox."""
    snapshot: int
    """The lake's snapshot after it."""
    built: tuple[Built, ...]
    audited: tuple[Audited, ...]


def run(
    settings: Settings,
    store: Store,
    project: Project,
    now: datetime,
    select: Iterable[str] | None = None,
    progress: Callable[[str], None] = lambda name: None,
    *,
    full: bool = False,
) -> Refreshed:
    """Bring the lake up to date as of `now`; `full` builds everything anew, whatever is there.

    Audits whose models were not selected run too: they read what is served.

    Raises:
        ModelError: models or goals have faults, or a model could not be built.
        WarehouseError: the lake cannot be reached.
    """
    declared = declarations.load(settings.rules_dir)
    with lake.connect(settings) as con:
        pulled = pull.inbox(store, con)
        lake.write(con, lambda: mirror.refresh(con, now, declared, whole=full))
        built = runner.build(con, project, select, progress, full=full)
        audited = audits.run(con, project.audits) if select is None else []
        return Refreshed(pulled.rows, lake.snapshot(con), tuple(built), tuple(audited))
