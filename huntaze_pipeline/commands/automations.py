"""`huntaze automations …`: list, show, history, pause, resume, cancel; arguments in, text out."""

import json
from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, Any

import typer

from huntaze_pipeline.commands.tenant import Creator, Machine, tenant

if TYPE_CHECKING:
    from huntaze_pipeline.rulebook.history import Journey, Standing, Turn

automations = typer.Typer(
    name="automations", help="Automations: where fans are in them; pause, resume, cancel.",
    no_args_is_help=True,
)  # fmt: skip
Fan = Annotated[str | None, typer.Option("--fan", help="Only this fan's passages.")]
Execution = Annotated[str | None, typer.Option("--execution", help="Only this passage.")]
Automation = Annotated[str, typer.Argument(help="The automation's id; `huntaze automations list`.")]


def register(app: typer.Typer) -> None:
    """Add this room's commands."""
    app.add_typer(automations)


@automations.command("list")
def list_automations(creator: Creator, machine: Machine = False) -> None:
    """Show a creator's automations: status, trigger, and how many fans are where."""
    from huntaze_pipeline.rulebook import history

    with tenant(creator) as (connection, _):
        listed = history.automations(connection, creator)
    if machine:
        typer.echo(json.dumps([_standing(one) for one in listed], default=str))
        return
    for one in listed:
        typer.echo(f"{one.id:<28} {one.status:<8} {_trigger(one):<20} {_counts(one)}")


@automations.command()
def show(automation: Automation, creator: Creator, machine: Machine = False) -> None:
    """Show an automation: its steps, and how many fans rest at each."""
    from huntaze_pipeline.rulebook import history, live

    with tenant(creator) as (connection, _):
        one = history.automation(connection, creator, automation)
        name = (creator, automation, one.rule_hash)
        version = live.versions(connection, [name]).get(name)
        rests = {row[0]: row for row in history.resting(connection, creator, one)}
    ops = version.program.ops if version else ()
    lines = [(op.position, len(op.path) // 2, op.kind, _said(op.content), op.path) for op in ops]
    if machine:
        steps = [
            {"position": p, "kind": kind, "path": list(path), "says": said,
             "fans": rests[p][2] if p in rests else 0}
            for p, _, kind, said, path in lines
        ]  # fmt: skip
        typer.echo(json.dumps(_standing(one) | {"steps": steps}, default=str))
        return
    typer.echo(f"{one.name} ({one.id}): {one.status}, version {one.rule_hash}, {_counts(one)}")
    for position, depth, _, said, _ in lines:
        here = rests.get(position)
        rest = f"  <- {here[2]:,} rest here, the first until {_at(here[3])}" if here else ""
        typer.echo(f"  {position:>3} {'  ' * max(0, depth - 1)}{said}{rest}")


@automations.command()
def history(
    creator: Creator,
    what: Annotated[
        str | None, typer.Argument(help="An automation's id or a fan's.", show_default=False)
    ] = None,
    fan: Fan = None,
    state: Annotated[
        str | None,
        typer.Option(help="active, paused, completed, cancelled, exited or held_out."),
    ] = None,
    limit: Annotated[int, typer.Option(min=1, help="At most so many passages.")] = 20,
    machine: Machine = False,
) -> None:
    """Show passages with every step: state, reason, times, version. Newest first."""
    from huntaze_pipeline.rulebook import history as room

    if state is not None and state not in room.STATES:
        raise typer.BadParameter(f"{state!r}: one of {', '.join(room.STATES)}")
    with tenant(creator) as (connection, _):
        name = what
        if what is not None and fan is None and not room.automations(connection, creator, what):
            if not room.is_fan(connection, creator, what):
                room.automation(connection, creator, what)  # says what there is
            name, fan = None, what
        journeys, total = room.journeys(
            connection, creator, automation_id=name, fan_id=fan, state=state, limit=limit
        )
    if machine:
        typer.echo(json.dumps([_journey(one) for one in journeys], default=str))
        return
    for one in journeys:
        _tell(one)
    if total > len(journeys):
        typer.echo(f"{total - len(journeys):,} more: --limit {total}", err=True)
    if not journeys:
        typer.echo("nobody has entered yet")


@automations.command()
def pause(
    automation: Automation,
    creator: Creator,
    fan: Fan = None,
    execution: Execution = None,
) -> None:
    """Hold an automation (or one fan's passages): nobody enters, nothing is decided or sent."""
    _act("pause", automation, creator, fan, execution)


@automations.command()
def resume(
    automation: Automation,
    creator: Creator,
    fan: Fan = None,
    execution: Execution = None,
) -> None:
    """Let it go on; what came due meanwhile is due now."""
    _act("resume", automation, creator, fan, execution)


@automations.command()
def cancel(
    automation: Automation,
    creator: Creator,
    fan: Fan = None,
    execution: Execution = None,
) -> None:
    """End passages for good, with their waiting messages; a whole automation is paused as well."""
    _act("cancel", automation, creator, fan, execution)


def _act(
    action: str, automation: str, creator: str, fan: str | None, execution: str | None
) -> None:
    from huntaze_pipeline.clock import system_clock
    from huntaze_pipeline.rulebook import control

    acts: dict[str, Callable[..., control.Changed]] = {
        "pause": control.pause, "resume": control.resume, "cancel": control.cancel
    }  # fmt: skip
    which = control.Which(creator, automation, fan, execution)
    with tenant(creator) as (connection, _):
        changed = acts[action](connection, which, now=system_clock(), actor="cli")
    past = {"pause": "paused", "resume": "resumed", "cancel": "cancelled"}[action]
    line = f"{automation}: {past}, {_many(changed.passages, 'passage')}"
    typer.echo(line + (f", {_many(changed.messages, 'message')}" if changed.messages else ""))


def _many(count: int, what: str) -> str:
    return f"{count:,} {what}{'s'[: count != 1]}"


def _tell(one: "Journey") -> None:
    because = f" ({one.reason})" if one.reason else ""
    ended = f" to {_at(one.ended_at)}" if one.ended_at else ""
    typer.echo(
        f"{one.automation_id}  {one.fan_id}  {one.state}{because}"
        f"  {_at(one.entered_at)}{ended}  version {one.rule_hash}  {one.id}"
    )
    for step in one.steps:
        typer.echo(f"  {step.turn:>3} {step.kind:<8} {_fate(step)}")


def _fate(step: "Turn") -> str:
    if step.state in ("waiting", "held"):
        return f"{step.state} until {_at(step.due_at)}" + (f"  {step.reason or ''}".rstrip())
    parts = [f"{step.state} {_at(step.done_at)}", step.reason or ""]
    if step.message_id:
        parts.append(f"message {step.message_id} {step.message_state or ''}".rstrip())
    if step.effect_id:
        parts.append(f"effect {step.effect_state or ''}".rstrip())
    return "  ".join(part for part in parts if part)


def _at(at: Any) -> str:
    return f"{at:%Y-%m-%d %H:%M:%S}" if at else "-"


def _trigger(one: "Standing") -> str:
    from huntaze_pipeline.rulebook.trigger import KINDS

    kind = next((kind for kind in KINDS if one.trigger.get(kind)), "")
    about = one.trigger.get(kind)
    if kind in ("entered", "left"):
        return f"{kind} {about}"
    return str(about) if kind == "event" else kind


def _counts(one: "Standing") -> str:
    counts = ", ".join(f"{count:,} {state}" for state, count in sorted(one.passages.items()))
    return counts or "nobody has entered yet"


def _standing(one: "Standing") -> dict[str, Any]:
    names = ("id", "name", "status", "paused_at", "rule_hash", "trigger", "updated_at", "passages")
    return {name: getattr(one, name) for name in names}


def _journey(one: "Journey") -> dict[str, Any]:
    from dataclasses import asdict

    return asdict(one)


def _said(content: dict[str, Any]) -> str:
    """Return a step on one line."""
    shown = {key: value for key, value in content.items() if value not in ([], {})}
    line = json.dumps(shown, ensure_ascii=False, default=str)[1:-1].replace('"', "")
    return line if len(line) <= 100 else line[:99] + "…"
