"""An automation that somebody sends instead of writing a file: the same form, the same checks.

Faults are told by field (`steps.2.send.template`), all at once; what it names has to be live.
"""

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from sqlalchemy import Connection

from huntaze_pipeline.errors import Problem, RuleError
from huntaze_pipeline.rulebook import live, loader, references, registry, seed
from huntaze_pipeline.rulebook.policies import Policies
from huntaze_pipeline.rulebook.schema import Automation
from huntaze_pipeline.rulebook.validation import validate
from huntaze_pipeline.source import Source


class _Body(Source):
    """A request's body: places are fields, not lines."""

    def at(self, mark: Any, what: str) -> Problem:
        """Return a problem of the whole body."""
        return Problem(self.name, what)

    def problem(
        self, path: Sequence[str | int], what: str, needle: str = "", nth: int = 0
    ) -> Problem:
        """Return a problem of a field."""
        return Problem(".".join(map(str, path)) or self.name, what)

    def key_problem(self, path: Sequence[str | int], what: str) -> Problem:
        """Return a problem of a field's name."""
        return self.problem(path, what)


def accept(
    connection: Connection,
    creator_id: str,
    name: str,
    data: dict[str, Any],
    policies: Policies,
    now: datetime,
) -> registry.Applied:
    """Check an automation and make it live, in the caller's transaction.

    Args:
        connection: a transaction of this creator.
        creator_id: whose it is.
        name: its id.
        data: the form of rule files, or that of older systems (`isActive`, delays in seconds).
        policies: topics and platforms that it may name.
        now: the moment.

    Raises:
        RuleError: it has faults; all of them are listed.
    """
    body = _Body(Path(name), "body", seed.automation(data))
    rule = validate(Automation, body)
    if rule is None:
        raise RuleError(body.problems)
    draft = loader.Draft(policies=policies.file)
    draft.rules["templates"] = dict(live.templates(connection, [creator_id]).get(creator_id, {}))
    draft.rules["segments"] = {s.id: s.rule for s in live.segments(connection, [creator_id])}
    for kind in ("templates", "segments"):
        for other in draft.rules[kind]:
            draft.sources[kind, other] = _Body(Path(other), other)
    draft.rules["automations"], draft.sources["automations", name] = {name: rule}, body
    references.check(draft)
    if body.problems:
        raise RuleError(body.problems)
    rules: Any = {**draft.rules, "campaigns": {}}
    return registry.put(
        connection, creator_id, name, loader.Rulebook(**rules, policies=policies), now
    )
