"""Building models: what is new is taken in, checked against the contract, then published.

When all tables are there, everything happens in one transaction of the lake: whoever reads sees
either all of it or nothing, and little is asked of the catalog. When something has to be made
first, or fails, each model has its own transaction, how far it has come included: one that fails
leaves its last good table in place, and stops those that read it; the others are built. Every
failure is reported at the end with the model and what was wrong.
"""

from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import replace

import duckdb
from duckdb import DuckDBPyConnection

from huntaze_pipeline.errors import ModelError, Problem
from huntaze_pipeline.warehouse import changes, contract, lake, turn
from huntaze_pipeline.warehouse.changes import Survey
from huntaze_pipeline.warehouse.journal import Apart, Journal
from huntaze_pipeline.warehouse.models import Model, Project
from huntaze_pipeline.warehouse.turn import Broken, Built, Turn


def build(
    con: DuckDBPyConnection,
    project: Project,
    select: Iterable[str] | None = None,
    progress: Callable[[str], None] = lambda name: None,
    *,
    full: bool = False,
) -> list[Built]:
    """Bring models up to date in the order of their dependencies; `select=None` takes all.

    Args:
        con: the lake.
        project: the models.
        select: names, see `Project.select`.
        progress: called with each model's name before it is built.
        full: build everything anew, whatever is there.

    Raises:
        ModelError: some could not be built, with the reason of each; the rest are published.
    """
    models = project.select(select)
    if not full:
        # Else one by one: the others are built all the same, and the fault is told.
        with suppress(duckdb.Error, Broken, Apart):
            return _together(con, project, models, progress)
    return _apart(con, project, models, progress, full)


def _complete(seen: Survey, project: Project, models: Sequence[Model]) -> bool:
    """Say whether every table and view is there, made by the SQL of today."""
    return all(
        model.name in seen.states
        and seen.states[model.name].version == changes.version(project, model)
        and seen.kind(model.name) == turn.kind(model)
        for model in models
    )


def _together(
    con: DuckDBPyConnection,
    project: Project,
    models: Sequence[Model],
    progress: Callable[[str], None],
) -> list[Built]:
    journal = Journal(con, together=True)

    def work() -> list[Built]:
        if not _complete(journal.look(), project, models):
            raise Apart
        works = [Turn(con, project, model, False, journal) for model in models]
        built = []
        for model, task in zip(models, works, strict=True):
            progress(model.name)
            built.append(task.run())
        reached = {task.model.name: task.state for task in works if task.state is not None}
        changes.note(con, reached)
        journal.sign(list(reached))
        return built

    try:
        return lake.write(con, work, journal.forget)
    finally:
        journal.forget()


def _apart(
    con: DuckDBPyConnection,
    project: Project,
    models: Sequence[Model],
    progress: Callable[[str], None],
    full: bool,
) -> list[Built]:
    built: list[Built] = []
    failed: dict[str, Problem] = {}
    journal = Journal(con)
    for model in models:
        progress(model.name)
        waiting = [ref for ref in model.refs if ref in failed]
        if waiting:
            failed[model.name] = Problem(
                str(model.path), f"{model.name} not built: {waiting[0]} failed"
            )
            continue
        try:
            built.append(one(con, project, model, full=full, journal=journal))
        except ModelError as error:
            failed[model.name] = error.problems[0]
    journal.forget()
    if failed:
        raise ModelError(list(failed.values()))
    return built


def one(
    con: DuckDBPyConnection,
    project: Project,
    model: Model,
    *,
    full: bool = False,
    journal: Journal | None = None,
) -> Built:
    """Bring one model up to date, check and publish it.

    Raises:
        ModelError: the SQL fails or the result breaks the contract; the old table stays.
    """
    known = journal or Journal(con)

    def work() -> Built:
        task = Turn(con, project, model, full, known)
        built = task.run()
        changes.note(con, {model.name: task.state} if task.state else {})
        return built

    try:
        built = lake.write(con, work, known.forget)
    except duckdb.Error as error:
        known.forget()
        raise _located(model, error) from None
    except Broken as error:
        known.forget()
        for name, bad in error.bad.items():
            contract.keep(con, f"{model.name}.{name}", "error", bad)
        raise ModelError([Problem(str(model.path), str(error))]) from None
    return built if built.how == "unchanged" else replace(built, rows=_count(con, model))


def _count(con: DuckDBPyConnection, model: Model) -> int | None:
    if model.header.materialization == "view":
        return None
    row = con.execute(f"select count(*) from lake.{model.name}").fetchone()
    return int(row[0]) if row else None


def current(seen: Survey, project: Project, model: Model) -> bool:
    """Say whether a model's table is up to date, by the catalog alone."""
    before = seen.states.get(model.name)
    if before is None or before.version != changes.version(project, model):
        return False
    if seen.kind(model.name) != turn.kind(model):
        return False
    view = model.header.materialization == "view"
    return view or seen.news(model.name, turn.bases(project, model), before.snapshot).nothing


def _located(model: Model, error: duckdb.Error) -> ModelError:
    """Name the file and the line of it where the SQL went wrong."""
    text = model.path.read_text(encoding="utf-8")
    above = text[: text.find("--- */")].count("\n") + 1
    body = text.split("--- */", 1)[-1]
    above += len(body) - len(body.lstrip()) and body[: len(body) - len(body.lstrip())].count("\n")
    line = next(
        (int(part.split(":")[0]) for part in str(error).split("LINE ")[1:] if ":" in part), 1
    )
    return ModelError([Problem(f"{model.path}:{above + line - 1}", lake.line(error))])
