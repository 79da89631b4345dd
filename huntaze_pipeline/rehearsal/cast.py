"""The people of a rehearsed world: profiles, consents, addresses; what the gates know of them."""

import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from huntaze_pipeline.rulebook.cases import Person
from huntaze_pipeline.rulebook.decision import Decision
from huntaze_pipeline.rulebook.people import PROFILES, Address
from huntaze_pipeline.rulebook.policies import Policies
from huntaze_pipeline.store.people import PLATFORMS

CREATOR = "creator"


@dataclass
class Actor:
    """One fan, as PostgreSQL would hold it; consents and windows change with what happens."""

    id: str
    person: Person
    consents: dict[str, bool]
    suppressed: dict[str, str]
    inbound: dict[str, datetime]
    segments: set[str] = field(default_factory=set)
    tags: set[str] = field(default_factory=set)
    attributes: dict[str, Any] = field(default_factory=dict)
    enrolled: dict[str, bool] = field(default_factory=dict)
    """Lists that rules put the fan into (true) or took it out of (false)."""

    @property
    def fixed(self) -> bool:
        """Whether the test says in which segments the fan is."""
        return self.person.segments is not None

    def inside(self, segment: str, members: Collection[str]) -> bool:
        """Say whether the fan is in a segment that holds these by its definition."""
        return self.enrolled.get(segment, self.id in members)

    def profile(self, since: datetime) -> dict[str, Any]:
        """Return the row of `people.PROFILES`."""
        person = self.person
        row = {
            "creator_id": CREATOR, "fan_id": self.id, "name": person.name, "zone": person.zone,
            "locale": person.locale, "birthday": person.birthday, "profile_subscribed_at": None,
            "created_at": since, "tags": sorted(self.tags),
            "attributes": json.dumps(self.attributes), "segments": sorted(self.segments),
        }  # fmt: skip
        return {name: row[name] for name in PROFILES}

    def addresses(self) -> list[Address]:
        """Return where the fan can be reached, in the order that the store gives."""
        return [
            Address(p, f"{CREATOR}-{p}", address(self.id, p), address(self.id, p).lower(),
                    self.inbound.get(p))
            for p in sorted(self.person.platforms)
        ]  # fmt: skip

    def happens(self, name: str, platform: str, at: datetime) -> None:
        """Do what an event of this name entails, as receipts do."""
        if name == "replied":
            self.inbound[platform] = max(at, self.inbound.get(platform, at))
        elif name in ("bounced", "complained"):
            self.suppressed.setdefault(platform, name)


def actor(name: str, person: Person, policies: Policies, start: datetime) -> Actor:
    """Return a fan at the start of a test."""
    wrote = start - person.last_inbound if person.last_inbound is not None else None
    return Actor(
        id=name,
        person=person,
        consents={**dict.fromkeys(policies.file.topics, True), **person.consents},
        suppressed=dict.fromkeys(person.suppressed, "test"),
        inbound=dict.fromkeys(person.platforms, wrote) if wrote is not None else {},
        segments=set(person.segments or ()),
        tags=set(person.tags),
        attributes=dict(person.attributes),
    )


def address(fan: str, platform: str) -> str:
    """Return a fan's made-up address."""
    return f"{fan}@example.com" if platform == "email" else fan


def known(
    decision: Decision, actors: Mapping[str, Actor], creator: Mapping[str, Any]
) -> dict[str, Any]:
    """Return what the gates know about a decision's fan (`gates.decide`)."""
    actor = actors.get(decision.fan_id)
    active = "active" if decision.platform in PLATFORMS and decision.account_id else None
    if actor is None:
        none = dict.fromkeys(("consent", "suppressed", "last_inbound_at"))
        return {"zone": "", "creator_zone": creator["zone"], "account": active, **none}
    return {
        "zone": actor.person.zone or "", "creator_zone": creator["zone"],
        "consent": actor.consents.get(decision.topic), "account": active,
        "suppressed": actor.suppressed.get(decision.platform),
        "last_inbound_at": actor.inbound.get(decision.platform),
    }  # fmt: skip
