"""`huntaze webhooks …`: list, retry, secret; arguments in, text out."""

import json
from typing import Annotated

import typer

from huntaze_pipeline.commands.tenant import Creator, Machine, tenant

webhooks = typer.Typer(
    name="webhooks", help="Requests that rules send to servers outside.", no_args_is_help=True
)


def register(app: typer.Typer) -> None:
    """Add this room's commands."""
    app.add_typer(webhooks)


@webhooks.command("list")
def list_webhooks(
    creator: Creator,
    state: Annotated[
        str | None, typer.Option(help="pending, delivered, failed or cancelled.")
    ] = None,
    limit: Annotated[int, typer.Option(min=1, help="At most so many.")] = 20,
    machine: Machine = False,
) -> None:
    """Show the newest webhooks: state, attempts, the last answer."""
    from huntaze_pipeline.webhooks import log

    if state is not None and state not in log.STATES:
        raise typer.BadParameter(f"{state!r}: one of {', '.join(log.STATES)}")
    with tenant(creator) as (connection, _):
        hooks = log.recent(connection, creator, state, limit)
    if machine:
        typer.echo(json.dumps(hooks, default=str))
        return
    for row in hooks:
        answer = row["reason"] or (f"status {row['status']}" if row["status"] else "")
        typer.echo(
            f"{row['id']}  {row['state']:<9} {row['attempts']} tries  {row['automation_id']:<24}"
            f" {row['url']}  {answer}"
        )
    if not hooks:
        typer.echo("no webhook yet")


@webhooks.command()
def retry(
    webhook: Annotated[str, typer.Argument(help="The webhook's id; `huntaze webhooks list`.")],
    creator: Creator,
) -> None:
    """Let a webhook that was given up be tried once more."""
    from huntaze_pipeline.clock import system_clock
    from huntaze_pipeline.webhooks import log

    with tenant(creator) as (connection, _):
        log.again(connection, creator, webhook, system_clock())
    typer.echo(f"{webhook} will be tried within seconds")


@webhooks.command()
def secret(creator: Creator) -> None:
    """Print the secret that a creator's receivers check signatures with."""
    from huntaze_pipeline.errors import SettingsError
    from huntaze_pipeline.local import stack
    from huntaze_pipeline.settings import load
    from huntaze_pipeline.webhooks import signing

    with stack.services(load(), need=("postgres",)) as settings:
        if not settings.webhook_secret:
            raise SettingsError("HUNTAZE_WEBHOOK_SECRET is not set: nothing can be signed")
        master = settings.webhook_secret.get_secret_value().encode()
    typer.echo(signing.secret(master, creator))
