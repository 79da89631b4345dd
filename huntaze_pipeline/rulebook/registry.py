"""Making rule files live for a creator: one transaction, by content hash, nothing restarted.

Belongs here: writing. Reading back what is live is `live`'s.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, time
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import Connection, delete, func, insert, select, text, update
from sqlalchemy.dialects.postgresql import insert as upsert

from huntaze_pipeline.rulebook import control
from huntaze_pipeline.rulebook.loader import Rulebook
from huntaze_pipeline.rulebook.references import templates_of
from huntaze_pipeline.rulebook.schema import Automation, Campaign, Segment, Template
from huntaze_pipeline.store.automations import Automation as AutomationRow
from huntaze_pipeline.store.automations import AutomationVersion
from huntaze_pipeline.store.people import Creator
from huntaze_pipeline.store.planning import Campaign as CampaignRow
from huntaze_pipeline.store.planning import CampaignTemplate, Experiment, Variant
from huntaze_pipeline.store.segments import Segment as SegmentRow

_LOCK = 0x52554C45  # "RULE": one apply at a time for a creator
_FILES = "rules"
_SETTINGS = ("exit", "holdout", "on_change")


@dataclass
class Applied:
    """What an apply changed; names are `kind/id`."""

    created: list[str] = field(default_factory=list)
    updated: list[str] = field(default_factory=list)
    unchanged: list[str] = field(default_factory=list)
    kept: list[str] = field(default_factory=list)
    """Campaigns whose file changed after they were started; they go on as they were."""
    stopped: list[str] = field(default_factory=list)
    """Automations whose file is gone; they are inactive now."""


def lock(connection: Connection, creator_id: str) -> None:
    """Keep everybody else from applying to a creator until the transaction ends."""
    connection.execute(
        text("select pg_advisory_xact_lock(:key, hashtext(:id))"), {"key": _LOCK, "id": creator_id}
    )


def apply(
    connection: Connection,
    creator_id: str,
    rulebook: Rulebook,
    now: datetime,
    commit: str | None = None,
) -> Applied:
    """Make a rulebook live for one creator, in the caller's transaction.

    Args:
        connection: as the creator or as the machinery.
        creator_id: for whom.
        rulebook: the checked files.
        now: the instant that is noted.
        commit: the commit of the files, kept with each new version.
    """
    lock(connection, creator_id)
    writer = _Writer(connection, creator_id, rulebook, now, commit=commit)
    for name, template in rulebook.templates.items():
        writer.template(name, template)
    for name, segment in rulebook.segments.items():
        writer.segment(name, segment)
    for name, automation in rulebook.automations.items():
        writer.automation(name, automation)
    for name, campaign in rulebook.campaigns.items():
        writer.campaign(name, campaign)
    writer.stop_missing()
    return writer.applied


def put(
    connection: Connection, creator_id: str, name: str, rulebook: Rulebook, now: datetime
) -> Applied:
    """Make one automation live that does not come from a file; apply never stops it."""
    lock(connection, creator_id)
    writer = _Writer(connection, creator_id, rulebook, now, origin="api")
    writer.automation(name, rulebook.automations[name])
    return writer.applied


def exists(connection: Connection, creator_id: str) -> bool:
    """Say whether there is such a creator, as far as the connection sees."""
    mine = select(Creator.id).where(Creator.id == creator_id)
    return connection.execute(mine).first() is not None


class _Writer:
    def __init__(
        self,
        connection: Connection,
        creator_id: str,
        rulebook: Rulebook,
        now: datetime,
        origin: str = _FILES,
        commit: str | None = None,
    ) -> None:
        self.connection, self.creator_id = connection, creator_id
        self.rulebook, self.now = rulebook, now
        self.origin, self.commit = origin, commit
        self.applied = Applied()
        mine = select(Creator.zone).where(Creator.id == creator_id)
        self.zone = connection.scalar(mine) or "UTC"

    def template(self, name: str, rule: Template) -> None:
        data = rule.plain()
        self._put(
            CampaignTemplate,
            name,
            "templates",
            {
                "name": rule.name, "category": rule.category, "content": data["content"],
                "platforms": data["platforms"], "default_settings": data["settings"],
                "variables": data["variables"],
            },
        )  # fmt: skip

    def segment(self, name: str, rule: Segment) -> None:
        criteria = {k: v for k, v in rule.plain().items() if k in ("where", "fans")}
        values = {"name": rule.name, "criteria": criteria, "is_dynamic": rule.fans is None}
        self._put(SegmentRow, name, "segments", values)

    def automation(self, name: str, rule: Automation) -> None:
        data = rule.plain()
        conditions = rule.conditions if rule.conditions is not None else {}
        if isinstance(conditions, str):
            conditions = {"expression": conditions}
        elif isinstance(conditions, list):
            conditions = {"all": conditions}
        values = {
            "name": rule.name, "trigger": {**data["trigger"], "entry": data["entry"]},
            "conditions": conditions, "actions": data["actions"], "steps": data["steps"],
            "settings": {key: data[key] for key in _SETTINGS if key in data},
            "is_active": rule.active,
        }  # fmt: skip
        if not self._put(AutomationRow, name, "automations", values):
            return
        used = {t: self.rulebook.templates[t].plain() for t in templates_of(rule)}
        version = {
            "creator_id": self.creator_id, "automation_id": name, "created_at": self.now,
            "rule_hash": self.rulebook.hash("automations", name), "git_commit": self.commit,
            "body": {**data, "origin": self.origin, "templates": used},
        }  # fmt: skip
        self.connection.execute(upsert(AutomationVersion).values(version).on_conflict_do_nothing())
        if not rule.active:
            control.abandon(
                self.connection, self.creator_id, [name], "automation_inactive", self.now
            )
            return
        control.release(self.connection, self.creator_id, name, self.now)
        if rule.on_change != "pin":
            control.hurry(self.connection, self.creator_id, name, self.now)

    def campaign(self, name: str, rule: Campaign) -> None:
        current = self.connection.execute(
            select(CampaignRow.status, CampaignRow.rule_hash)
            .where(CampaignRow.creator_id == self.creator_id, CampaignRow.id == name)
            .with_for_update()
        ).one_or_none()
        label = f"campaigns/{name}"
        if current and current.status != "draft":
            same = current.rule_hash == self.rulebook.hash("campaigns", name)
            (self.applied.unchanged if same else self.applied.kept).append(label)
        elif self._put(CampaignRow, name, "campaigns", campaign_values(rule, self.zone)):
            self._arms(name, rule)

    def _arms(self, name: str, rule: Campaign) -> None:
        key = {"creator_id": self.creator_id, "campaign_id": name}
        for table in (Variant, Experiment):
            mine = (table.creator_id == self.creator_id, table.campaign_id == name)
            self.connection.execute(delete(table).where(*mine))
        arms = [
            {
                **key, "id": arm.id, "position": i, "weight": arm.weight,
                "template_id": arm.template, "variables": arm.variables,
            }
            for i, arm in enumerate(rule.variants)
        ]  # fmt: skip
        if arms:
            self.connection.execute(insert(Variant), arms)
        if rule.experiment:
            test = rule.experiment
            values = {
                **key, "id": name, "metric": test.metric, "planned_n": test.planned,
                "window_s": int(test.window.total_seconds()), "alpha": test.alpha,
                "minimum_s": int(test.minimum.total_seconds()), "share": test.share,
                "maximum_s": int(test.maximum.total_seconds()) if test.maximum else None,
                "method": test.method, "tuning": test.tuning, "margin": test.margin,
                "guardrail_margin": test.guardrail, "fallback": test.fallback,
            }  # fmt: skip
            self.connection.execute(insert(Experiment).values(values))

    def _put(self, table: Any, name: str, kind: str, values: Mapping[str, Any]) -> bool:
        """Insert or update one row when its content hash is new; say whether anything changed."""
        label, digest = f"{kind}/{name}", self.rulebook.hash(kind, name)
        mine = (table.creator_id == self.creator_id, table.id == name)
        before = self.connection.execute(select(table.rule_hash).where(*mine)).scalar_one_or_none()
        changed = {**values, "rule_hash": digest}
        if hasattr(table, "updated_at"):
            changed["updated_at"] = self.now
        if before is None:
            row = {**changed, "creator_id": self.creator_id, "id": name}
            self.connection.execute(insert(table).values(row))
            self.applied.created.append(label)
        elif before != digest or self._was_stopped(table, mine, values):
            self.connection.execute(update(table).where(*mine).values(changed))
            self.applied.updated.append(label)
        else:
            self.applied.unchanged.append(label)
            return False
        return True

    def _was_stopped(self, table: Any, mine: Any, values: Mapping[str, Any]) -> bool:
        """Notice an automation that was stopped because its file was gone, and is back."""
        if "is_active" not in values:
            return False
        active = self.connection.execute(select(table.is_active).where(*mine)).scalar_one()
        return active != values["is_active"]

    def stop_missing(self) -> None:
        """Make automations inactive that came from files which are gone."""
        gone = self.connection.execute(
            update(AutomationRow)
            .where(
                AutomationRow.creator_id == self.creator_id,
                AutomationRow.is_active,
                AutomationRow.id.not_in(list(self.rulebook.automations)),
                select(func.count())
                .select_from(AutomationVersion)
                .where(
                    AutomationVersion.creator_id == self.creator_id,
                    AutomationVersion.automation_id == AutomationRow.id,
                    AutomationVersion.rule_hash == AutomationRow.rule_hash,
                    AutomationVersion.body["origin"].astext == _FILES,
                )
                .scalar_subquery()
                > 0,
            )
            .values(is_active=False, updated_at=self.now)
            .returning(AutomationRow.id)
        )
        names = sorted(row.id for row in gone)
        control.abandon(self.connection, self.creator_id, names, "automation_inactive", self.now)
        self.applied.stopped += [f"automations/{name}" for name in names]


def campaign_values(rule: Campaign, zone: str) -> dict[str, Any]:
    """Return a campaign's columns; a start that is a day begins on the clock of this zone."""
    data, schedule = rule.plain(), rule.schedule
    start = schedule.start
    if start is not None and not isinstance(start, datetime):
        start = datetime.combine(start, time.min, ZoneInfo(zone))
    targeting: dict[str, Any] = {
        "segmentIds": list(rule.targeting.segments),
        "excludeSegmentIds": list(rule.targeting.exclude),
    }
    if rule.targeting.cap is not None:
        targeting["cap"] = rule.targeting.cap
    wanted = ("topic", "priority", "expires_after", "variables", "holdout", "costs", "goal")
    return {
        "name": rule.name, "type": rule.type, "platforms": data["platforms"],
        "template_id": rule.template, "start_at": start,
        "end_at": schedule.end, "recurring": schedule.recurring,
        "local_time": data["schedule"].get("local"),
        "targeting": targeting, "settings": {k: data[k] for k in wanted if k in data},
        "source": _FILES,
    }  # fmt: skip
