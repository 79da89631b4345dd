"""Routes of automations: make, list, show, pause, resume, cancel, history. Each calls one room."""

import secrets
from collections.abc import Callable, Mapping
from dataclasses import asdict
from typing import Annotated, Any

from fastapi import APIRouter, Body, Path, Query, Request, Response
from pydantic import Field

from huntaze_pipeline import hashing
from huntaze_pipeline.api import shapes
from huntaze_pipeline.api.bodies import StrictRoute
from huntaze_pipeline.api.documents import ERRORS
from huntaze_pipeline.api.keys import CreatorId
from huntaze_pipeline.api.shapes import Id, IdempotencyKey, Moment
from huntaze_pipeline.rulebook import acceptance, control, history, live
from huntaze_pipeline.rulebook.policies import load_policies

router = APIRouter(
    prefix="/api/automations", tags=["automations"], route_class=StrictRoute, responses=ERRORS
)
ACTOR = "api"
_EXAMPLE = {
    "name": "Thanks",
    "trigger": {"event": "tip", "platform": "onlyfans"},
    "actions": [{"type": "send_message", "delay": 0, "content": "Thank you!"}],
    "isActive": True,
}
Written = Annotated[
    dict[str, Any],
    Body(
        description="As in rule files, or {name, trigger, conditions, actions, isActive}",
        examples=[_EXAMPLE],
    ),
]

NewId = Annotated[str, Path(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]{0,63}$")]
"""An id that somebody chooses; what is there already goes by whatever id it has."""


class AutomationView(shapes.Response):
    """An automation."""

    id: str
    name: str
    status: str
    """active | paused | stopped"""
    is_active: bool
    paused_at: Moment | None
    trigger: dict[str, Any]
    rule_hash: str
    """The live version."""
    rule: dict[str, Any] | None
    """The live version as it would stand in a file; null for one that was never applied."""
    executions: dict[str, int]
    """Passages by state."""
    updated_at: Moment


class TurnView(shapes.Response):
    """One step of a passage."""

    turn: int
    position: int
    kind: str
    state: str
    reason: str | None
    began_at: Moment | None
    due_at: Moment
    done_at: Moment | None
    rule_hash: str
    snapshot_id: int | None
    message_id: str | None
    message_state: str | None
    effect_id: str | None
    effect_state: str | None


class JourneyView(shapes.Response):
    """One fan's passage."""

    id: str
    automation_id: str
    fan_id: str
    state: str
    """active | paused | completed | cancelled | exited | held_out"""
    reason: str | None
    entry_key: str
    event_id: str | None
    rule_hash: str
    snapshot_id: int | None
    entered_at: Moment
    ended_at: Moment | None
    steps: list[TurnView]


class JourneyPage(shapes.Response):
    """One page of passages, newest first."""

    executions: list[JourneyView]
    total: int
    limit: int
    offset: int


class WhichRequest(shapes.Request):
    """Only some passages; without it the automation as a whole."""

    fan_id: Id | None = Field(default=None, description="Only this fan's")
    execution_id: Id | None = Field(default=None, description="Only this one")


class ChangedView(shapes.Response):
    """What an act came to."""

    automation: AutomationView
    passages: int
    """Fans on their way whom it concerned."""
    messages: int
    """Waiting messages that it stopped or let go."""


@router.post("", status_code=201, summary="Make an automation")
def create(
    request: Request,
    response: Response,
    creator: CreatorId,
    body: Written,
    key: IdempotencyKey = None,
) -> AutomationView:
    """Check an automation as rule files are checked, and make it live at once.

    Every fault is told at once, each with its field. The same Idempotency-Key changes the same
    automation.
    """
    name = str(hashing.identifier(creator, "automation", key or secrets.token_hex(16)))
    response.headers["Location"] = f"/api/automations/{name}"
    return _accept(request, creator, name, body)


@router.put("/{automation_id}", summary="Make or change an automation")
def change(
    request: Request, creator: CreatorId, automation_id: NewId, body: Written
) -> AutomationView:
    """Make an automation of this id live; `on_change` in it says what fans on their way do."""
    return _accept(request, creator, automation_id, body)


@router.get("", summary="List automations")
def listing(request: Request, creator: CreatorId) -> list[AutomationView]:
    """Return all automations, by id."""
    with request.app.state.store.tenant(creator) as connection:
        return [_view(connection, creator, one) for one in history.automations(connection, creator)]


@router.get("/{automation_id}", summary="Show an automation")
def show(request: Request, creator: CreatorId, automation_id: str) -> AutomationView:
    """Return an automation with its live version and the counts of its passages."""
    with request.app.state.store.tenant(creator) as connection:
        return _shown(connection, creator, automation_id)


@router.get("/{automation_id}/executions", summary="The history of an automation")
def executions(
    request: Request,
    creator: CreatorId,
    automation_id: str,
    fan_id: Annotated[str | None, Query(alias="fanId")] = None,
    state: Annotated[str | None, Query(pattern="^(" + "|".join(history.STATES) + ")$")] = None,
    limit: Annotated[int, Query(ge=1, le=200)] = 50,
    offset: Annotated[int, Query(ge=0, le=1_000_000)] = 0,
) -> JourneyPage:
    """Return passages with every step, newest first; nothing of it is ever overwritten."""
    with request.app.state.store.tenant(creator) as connection:
        history.automation(connection, creator, automation_id)
        journeys, total = history.journeys(
            connection, creator, automation_id=automation_id, fan_id=fan_id, state=state,
            limit=limit, offset=offset,
        )  # fmt: skip
    shown = [JourneyView.model_validate(asdict(one)) for one in journeys]
    return JourneyPage(executions=shown, total=total, limit=limit, offset=offset)


@router.post("/{automation_id}/pause", summary="Pause an automation")
def pause(
    request: Request, creator: CreatorId, automation_id: str, body: WhichRequest | None = None
) -> ChangedView:
    """Hold it, or some passages: nobody enters, nothing is decided or sent, from now on."""
    return _act(request, creator, automation_id, control.pause, body)


@router.post("/{automation_id}/resume", summary="Resume an automation")
def resume(
    request: Request, creator: CreatorId, automation_id: str, body: WhichRequest | None = None
) -> ChangedView:
    """Let it go on; what came due meanwhile is due now."""
    return _act(request, creator, automation_id, control.resume, body)


@router.post("/{automation_id}/cancel", summary="Cancel an automation's passages")
def cancel(
    request: Request, creator: CreatorId, automation_id: str, body: WhichRequest | None = None
) -> ChangedView:
    """End passages for good, with their waiting messages; a whole automation is paused as well."""
    return _act(request, creator, automation_id, control.cancel, body)


def _accept(request: Request, creator: str, name: str, body: dict[str, Any]) -> AutomationView:
    state = request.app.state
    policies = load_policies(state.settings.rules_dir)
    with state.store.tenant(creator) as connection:
        acceptance.accept(connection, creator, name, body, policies, state.clock())
        return _shown(connection, creator, name)


def _act(
    request: Request,
    creator: str,
    automation_id: str,
    act: Callable[..., control.Changed],
    body: WhichRequest | None,
) -> ChangedView:
    which = control.Which(
        creator, automation_id, body.fan_id if body else None, body.execution_id if body else None
    )
    with request.app.state.store.tenant(creator) as connection:
        done = act(connection, which, now=request.app.state.clock(), actor=ACTOR)
        shown = _shown(connection, creator, automation_id)
    return ChangedView(automation=shown, passages=done.passages, messages=done.messages)


def _shown(connection: Any, creator: str, automation_id: str) -> AutomationView:
    return _view(connection, creator, history.automation(connection, creator, automation_id))


def _view(connection: Any, creator: str, one: history.Standing) -> AutomationView:
    name = (creator, one.id, one.rule_hash)
    version = live.versions(connection, [name]).get(name)
    trigger: Mapping[str, Any] = {k: v for k, v in one.trigger.items() if k != "entry"}
    return AutomationView(
        id=one.id, name=one.name, status=one.status, is_active=one.is_active,
        paused_at=one.paused_at, trigger=dict(trigger), rule_hash=one.rule_hash,
        rule=version.rule.plain() if version else None, executions=dict(one.passages),
        updated_at=one.updated_at,
    )  # fmt: skip
