"""`huntaze queue` and `limiter`: where messages wait on their way, and what holds them there."""

import json
from typing import TYPE_CHECKING

import typer

from huntaze_pipeline import settings
from huntaze_pipeline.local import stack

if TYPE_CHECKING:
    from huntaze_pipeline.delivery.sqs import SqsQueue
    from huntaze_pipeline.store.session import Store

queue_app = typer.Typer(help="The queues between the outbox and the senders.", no_args_is_help=True)
limiter_app = typer.Typer(help="What the rate limiter knows.", no_args_is_help=True)

JSON = typer.Option(False, "--json", help="Print JSON.")
ALL = ("postgres", "redis", "sqs")


def register(app: typer.Typer) -> None:
    """Add this room's commands."""
    queue_app.command("stats")(stats)
    queue_app.command("redrive")(redrive)
    queue_app.command("purge")(purge)
    queue_app.command("pause")(pause)
    queue_app.command("resume")(resume)
    queue_app.command("drain")(drain)
    limiter_app.command("show")(show)
    app.add_typer(queue_app, name="queue")
    app.add_typer(limiter_app, name="limiter")


def stats(as_json: bool = JSON) -> None:
    """Count what waits in each queue."""
    from dataclasses import asdict

    with stack.services(settings.load(), need=("sqs",)) as ready:
        depths = _queue(ready).depths()
    lines = [f"{d.name:8} {d.waiting:8} waiting {d.in_flight:8} in flight" for d in depths]
    document = {d.name: asdict(d) for d in depths}
    typer.echo(json.dumps(document, default=str) if as_json else "\n".join(lines))


def redrive() -> None:
    """Move dead notes back to their queues."""
    with stack.services(settings.load(), need=("sqs",)) as ready:
        moved, unreadable = _queue(ready).redrive()
    typer.echo(f"moved {moved}")
    if unreadable:
        typer.echo(f"{unreadable} stay: they are no notes of Huntaze and nobody can read them")


def purge(
    yes: bool = typer.Option(False, "--yes", help="Do not ask."),
) -> None:
    """Drop every note. The messages stay in the outbox; senders sweep them up again."""
    if not yes:
        typer.confirm("Drop every note in all four queues?", abort=True)
    with stack.services(settings.load(), need=("sqs",)) as ready:
        _queue(ready).purge()
    typer.echo("purged")


def pause(
    account: str | None = typer.Option(None, help="An account, by its id."),
    platform: str | None = typer.Option(None, help="All accounts of a platform."),
    campaign: str | None = typer.Option(None, help="A campaign; needs --creator."),
    everything: bool = typer.Option(False, "--all", help="All sending."),
    creator: str | None = typer.Option(None, "--creator", "-c", help="Whose campaign."),
) -> None:
    """Stop sending from the next call on; calls under way end, waiting messages stay."""
    _switch("pause", account, platform, campaign, creator, everything=everything)


def resume(
    account: str | None = typer.Option(None, help="An account, by its id."),
    platform: str | None = typer.Option(None, help="All accounts of a platform."),
    campaign: str | None = typer.Option(None, help="A campaign; needs --creator."),
    everything: bool = typer.Option(False, "--all", help="All sending, and what drain closed."),
    creator: str | None = typer.Option(None, "--creator", "-c", help="Whose campaign."),
) -> None:
    """End a pause; what it held goes at once."""
    _switch("resume", account, platform, campaign, creator, everything=everything)


def drain(
    timeout: float | None = typer.Option(
        None, min=0, help="Give up waiting after so many seconds."
    ),
) -> None:
    """Take nothing new in, and return when all that was taken in has been sent or has ended.

    New messages wait in the outbox until `huntaze queue resume --all`.
    """
    import time

    from huntaze_pipeline.clock import system_clock
    from huntaze_pipeline.delivery import pauses
    from huntaze_pipeline.errors import ServiceError
    from huntaze_pipeline.store.session import Store

    began = time.monotonic()
    with stack.services(settings.load(), need=ALL) as ready:
        store = Store(ready)
        with store.worker() as connection:
            pauses.pause(connection, "intake", "", actor="cli", now=system_clock())
        while left := _left(store):
            if timeout is not None and time.monotonic() - began > timeout:
                raise ServiceError(f"{left} messages are still waiting or under way")
            time.sleep(0.5)
    typer.echo("drained; nothing new is taken in until `huntaze queue resume --all`")


def show(
    account: str = typer.Argument(help="The account's id; `huntaze creators add` printed it."),
    as_json: bool = JSON,
) -> None:
    """Show an account's calls in the window, in flight and waiting, its next slot and pauses."""
    from huntaze_pipeline.delivery import glance, worker

    with stack.services(settings.load(), need=("postgres", "redis")) as ready:
        store, limiter, directory = worker.counters(ready)
        seen = glance.look(store, limiter, directory, account)
        limiter.close()
    typer.echo(json.dumps(seen.plain, default=str) if as_json else str(seen))


def _left(store: "Store") -> int:
    """Count what was taken in and has not ended."""
    from huntaze_pipeline.delivery import pauses

    with store.worker() as connection:
        return pauses.left(connection)


def _switch(
    action: str, account: str | None, platform: str | None, campaign: str | None,
    creator: str | None, *, everything: bool,
) -> None:  # fmt: skip
    from huntaze_pipeline.campaigns import lifecycle
    from huntaze_pipeline.clock import system_clock
    from huntaze_pipeline.delivery import pauses
    from huntaze_pipeline.store.session import Store

    named = {"account": account, "platform": platform, "campaign": campaign}
    chosen = [(scope, name) for scope, name in named.items() if name]
    chosen += [("all", "")] if everything else []
    if len(chosen) != 1 or (campaign and not creator):
        raise typer.BadParameter(
            "name one: --account, --platform, --campaign with --creator, --all"
        )
    ((scope, name),) = chosen
    now = system_clock()
    with stack.services(settings.load(), need=("postgres",)) as ready:
        store = Store(ready)
        if campaign and creator:
            work = lifecycle.pause if action == "pause" else lifecycle.start
            with store.tenant(creator) as connection:
                work(connection, creator, campaign, now=now, actor="cli")
        else:
            act = pauses.pause if action == "pause" else pauses.resume
            with store.worker() as connection:
                act(connection, scope, name, actor="cli", now=now)
    typer.echo(f"{f'{scope} {name}'.strip()}: {action}d")


def _queue(ready: settings.Settings) -> "SqsQueue":
    from huntaze_pipeline.delivery.sqs import SqsQueue

    return SqsQueue(ready)
