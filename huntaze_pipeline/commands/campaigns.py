"""`huntaze campaigns …`: list, show, preview, start, pause and cancel; arguments in, text out."""

import json
from typing import TYPE_CHECKING, Annotated, Any

import typer

from huntaze_pipeline.commands.tenant import Creator, Machine, tenant

if TYPE_CHECKING:
    from huntaze_pipeline.campaigns.progress import Count, Standard
    from huntaze_pipeline.settings import Settings

campaigns = typer.Typer(
    name="campaigns", help="Campaigns: how far they are; start, pause, cancel.",
    no_args_is_help=True,
)  # fmt: skip
Campaign = Annotated[str, typer.Argument(help="The campaign's id; `huntaze campaigns list`.")]


def register(app: typer.Typer) -> None:
    """Add this room's commands."""
    app.add_typer(campaigns)


@campaigns.command("list")
def list_campaigns(
    creator: Creator,
    status: Annotated[
        str | None, typer.Option(help="draft, scheduled, active, paused, completed or cancelled.")
    ] = None,
    limit: Annotated[int, typer.Option(min=1, help="At most so many.")] = 50,
    machine: Machine = False,
) -> None:
    """Show a creator's campaigns, newest first."""
    from huntaze_pipeline.campaigns import lookup
    from huntaze_pipeline.store.planning import CAMPAIGN_STATUSES

    if status is not None and status not in CAMPAIGN_STATUSES:
        raise typer.BadParameter(f"{status!r}: one of {', '.join(CAMPAIGN_STATUSES)}")
    with tenant(creator) as (connection, _):
        rows, total = lookup.listing(connection, creator, status=status, limit=limit)
    if machine:
        typer.echo(json.dumps([_described(row) for row in rows], default=str))
        return
    for row in rows:
        typer.echo(f"{row.id:<32} {row.status:<10} {row.name}{_next(row)}")
    if total > len(rows):
        typer.echo(f"{total - len(rows):,} more: --limit {total}", err=True)


@campaigns.command()
def show(campaign: Campaign, creator: Creator, machine: Machine = False) -> None:
    """Show a campaign's status, its messages by state and reason, and when they will be out."""
    from huntaze_pipeline.campaigns import eta, lookup, progress
    from huntaze_pipeline.clock import system_clock
    from huntaze_pipeline.measurement import standing

    with tenant(creator) as (connection, ready):
        row = lookup.get(connection, creator, campaign)
        counts = progress.counts(connection, creator, campaign)
        lines = progress.lines(connection, creator, campaign, system_clock(), _standard(ready))
        numbers = standing.of(connection, row, ready.rules_dir, system_clock())
    waits = None if row.status == "paused" else eta.sentence(lines)
    if machine:
        document = {"messages": [_count(count) for count in counts], "eta": waits,
                "eta_seconds": None if waits is None else eta.total(lines),
                "numbers": [one.told() for one in numbers]}  # fmt: skip
        typer.echo(json.dumps(_described(row) | document, default=str))
        return
    typer.echo(f"{row.name} ({row.id}): {row.status}{_next(row)}")
    if row.stopped:
        typer.echo(f"  stopped by its audience's gate: {row.stopped['reason']}")
        typer.echo("  mend the audience and start it, or start it with --override-quality REASON")
    if row.status == "completed" and not counts:
        typer.echo("  nobody was in its audience, so there was nothing to send")
    for count in counts:
        because = f"  {count.reason}" if count.reason else ""
        typer.echo(f"  {count.messages:>10,} {count.state}{because}")
    typer.echo("  paused: nothing goes out until it is started" if waits is None else f"  {waits}")
    for one in numbers:
        typer.echo("\n".join(f"  {line}" for line in one.lines()))


@campaigns.command()
def preview(
    campaign: Campaign,
    creator: Creator,
    fan: Annotated[
        list[str] | None, typer.Option(help="Show this fan's message; may be repeated.")
    ] = None,
    machine: Machine = False,
) -> None:
    """Show what would come of a campaign: who, why not, when, at what cost, and the messages.

    Nothing is written or sent. Segments and facts are as of their last refresh.
    """
    from huntaze_pipeline.campaigns import forecast, lookup
    from huntaze_pipeline.clock import system_clock
    from huntaze_pipeline.rulebook.policies import load_policies

    with tenant(creator) as (connection, ready):
        row = lookup.get(connection, creator, campaign)
        with forecast.facts(ready, connection, row) as lake:
            foreseen = forecast.of(
                connection, row, load_policies(ready.rules_dir), system_clock(), _standard(ready),
                lake=lake, fans=fan or (),
            )  # fmt: skip
    if machine:
        typer.echo(json.dumps(foreseen.told(), default=str, ensure_ascii=False))
        return
    typer.echo("\n".join(forecast.lines(foreseen)))
    for sample in foreseen.samples:
        typer.echo(f"\n--- {sample.fan_id} on {sample.platform}, {sample.not_before:%H:%M %Z}")
        typer.echo(f"Subject: {sample.subject}\n" if sample.subject else "", nl=False)
        typer.echo(sample.content)


def _standard(ready: "Settings") -> "Standard":
    from huntaze_pipeline.delivery import quotas

    known = quotas.read(ready.rules_dir)

    def standard(platform: str, account: str) -> tuple[int, float]:
        limit = known.of(platform, account)
        return limit.count, limit.window_s

    return standard


@campaigns.command()
def start(
    campaign: Campaign,
    creator: Creator,
    incomplete: Annotated[
        bool,
        typer.Option("--allow-incomplete", help="Skip the fans who lack words of the template."),
    ] = False,
    override_quality: Annotated[
        str | None,
        typer.Option(help="Why the next occurrence may go although its audience fails the gate."),
    ] = None,
) -> None:
    """Start or resume a campaign: `scheduled` when its date is ahead, else `active`."""
    from huntaze_pipeline.campaigns import lifecycle, readiness
    from huntaze_pipeline.clock import system_clock
    from huntaze_pipeline.rulebook.policies import load_policies

    now = system_clock()
    with tenant(creator) as (connection, ready):
        if not incomplete:
            readiness.require(connection, creator, campaign, load_policies(ready.rules_dir), now)
        row = lifecycle.start(
            connection, creator, campaign, now=now, actor="cli", override_quality=override_quality
        )
    typer.echo(f"{row.id}: {row.status}{_next(row)}")


@campaigns.command()
def pause(campaign: Campaign, creator: Creator) -> None:
    """Hold a campaign: nothing of it is decided or sent until it is started again."""
    _act("pause", campaign, creator)


@campaigns.command()
def reweigh(
    campaign: Campaign,
    weights: Annotated[list[str], typer.Argument(help="Arms and their new weights: a=1 b=9.")],
    creator: Creator,
) -> None:
    """Change the split of a running test for those who are assigned from now on."""
    from huntaze_pipeline.campaigns import split
    from huntaze_pipeline.clock import system_clock

    given = dict(_weight(text) for text in weights)
    with tenant(creator) as (connection, _):
        after = split.reweigh(connection, creator, campaign, given, now=system_clock(), actor="cli")
    typer.echo(", ".join(f"{name} {weight:g}" for name, weight in after.items()))


def _weight(text: str) -> tuple[str, float]:
    name, _, number = text.rpartition("=")
    try:
        return name, float(number)
    except ValueError:
        raise typer.BadParameter(f"{text!r}: write arm=weight, for example a=1") from None


@campaigns.command()
def cancel(campaign: Campaign, creator: Creator) -> None:
    """End a campaign for good, with its waiting messages."""
    _act("cancel", campaign, creator)


def _act(action: str, campaign: str, creator: str) -> None:
    from huntaze_pipeline.campaigns import lifecycle
    from huntaze_pipeline.clock import system_clock

    acts: dict[str, Any] = {
        "pause": lifecycle.pause,
        "cancel": lifecycle.cancel,
    }
    with tenant(creator) as (connection, _):
        row = acts[action](connection, creator, campaign, now=system_clock(), actor="cli")
    typer.echo(f"{row.id}: {row.status}{_next(row)}")


def _next(row: Any) -> str:
    if row.next_send_at is None:
        return ""
    if row.local_time is not None:
        from huntaze_pipeline.campaigns import schedule

        return f", next {schedule.day_of(row.next_send_at)} {row.local_time} on each fan's clock"
    return f", next {row.next_send_at:%Y-%m-%d %H:%M %Z}"


def _described(row: Any) -> dict[str, Any]:
    names = (
        "id", "name", "status", "platforms", "recurring", "local_time", "start_at", "end_at",
        "next_send_at", "stopped",
    )  # fmt: skip
    return {name: getattr(row, name) for name in names}


def _count(count: "Count") -> dict[str, Any]:
    return {"state": count.state, "reason": count.reason, "messages": count.messages}
