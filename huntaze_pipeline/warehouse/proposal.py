"""Goals that are only proposed, computed beside the live ones: nothing is published.

The models that live goals go through run on the proposed ones into temporary tables, so that a
comparison shows what the next build would give. Adopting goals is a change of `rules/goals.yaml`.
"""

from dataclasses import dataclass

import duckdb
from duckdb import DuckDBPyConnection

from huntaze_pipeline.errors import WarehouseError
from huntaze_pipeline.warehouse import changes, raw, runner
from huntaze_pipeline.warehouse.goals import Declared
from huntaze_pipeline.warehouse.models import Project

CHAIN = ("staging.stg_conversions", "marts.fct_credits", "marts.fct_attribution")
"""What goals go through, in order."""
_TABLES = (*CHAIN, "raw.goals", "raw.goal_filters", "raw.windows")
_COMPARE = """
with sides as (
    select 'old' as side, creator_id, goal, currency, source, source_id, share, value_micros
    from lake.marts.fct_attribution
    union all
    select 'new', creator_id, goal, currency, source, source_id, share, value_micros
    from {proposed}
),
credits as (
    select
        creator_id, goal, currency, source, source_id,
        coalesce(sum(share) filter (side = 'old'), 0) as old_conversions,
        coalesce(sum(share) filter (side = 'new'), 0) as new_conversions,
        coalesce(sum(value_micros) filter (side = 'old'), 0)::hugeint as old_micros,
        coalesce(sum(value_micros) filter (side = 'new'), 0)::hugeint as new_micros
    from sides
    group by all
)
select
    k.creator_id, k.goal, k.currency, k.source, k.source_id, coalesce(c.name, a.name) as name,
    k.old_conversions, k.new_conversions, k.old_micros, k.new_micros
from credits k
left join lake.raw.campaigns c
    on k.source = 'campaign' and c.creator_id = k.creator_id and c.id = k.source_id
left join lake.raw.automations a
    on k.source = 'automation' and a.creator_id = k.creator_id and a.id = k.source_id
order by k.goal, k.currency, abs(k.new_micros - k.old_micros) desc,
    abs(k.new_conversions - k.old_conversions) desc, k.creator_id, k.source nulls last, k.source_id
"""


@dataclass(frozen=True, slots=True)
class Credit:
    """What somebody earns of a goal, live and as proposed."""

    creator_id: str
    goal: str
    currency: str | None
    source: str | None
    """campaign, automation or api; None: nobody."""
    source_id: str | None
    name: str | None
    """The campaign's or automation's."""
    old_conversions: float
    new_conversions: float
    old_micros: int
    new_micros: int

    @property
    def difference_micros(self) -> int:
        """How much more it would be."""
        return self.new_micros - self.old_micros


def compare(con: DuckDBPyConnection, project: Project, declared: Declared) -> list[Credit]:
    """Compute proposed goals and put them next to what is published.

    Args:
        con: the lake; reading suffices.
        project: the models.
        declared: the proposed goals.

    Returns:
        One credit for each creator, goal, currency and source, nobody's included, by goal and the
        size of the difference.

    Raises:
        WarehouseError: nothing has been built yet.
    """
    try:
        con.execute("select goal, conversion_micros from lake.marts.fct_attribution limit 0")
    except duckdb.Error:
        raise WarehouseError(
            "there is nothing to compare with yet: run `huntaze models build`"
        ) from None
    raw.declare(con, declared.tables, _place("raw."), "temp table")
    proposed = {name: _place(name) for name in _TABLES}
    for name in CHAIN:
        sql = project.model(name).reading(proposed)
        con.execute(f"create or replace temp table {_place(name)} as {sql}")
    rows = con.execute(_COMPARE.format(proposed=_place("marts.fct_attribution"))).fetchall()
    return [Credit(*row) for row in rows]


def stale(con: DuckDBPyConnection, project: Project) -> bool:
    """Say whether the published credits lack what came since: then a difference holds that too."""
    seen = changes.survey(con)
    models = project.select([f"+{CHAIN[-1]}"])
    return not all(runner.current(seen, project, model) for model in models)


def _place(name: str) -> str:
    return f"temp.main.proposed_{name.replace('.', '_')}"
