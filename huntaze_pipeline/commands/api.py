"""`huntaze api` and `huntaze creators`: serve HTTP, and give creators their keys."""

import json

import typer

from huntaze_pipeline import settings
from huntaze_pipeline.local import stack

group = typer.Typer(help="Creators and their API keys.", no_args_is_help=True)


def register(app: typer.Typer) -> None:
    """Add this room's commands."""
    app.command()(api)
    app.add_typer(group, name="creators")


def api(
    host: str | None = typer.Option(None, help="Address to listen on; default HUNTAZE_API_HOST."),
    port: int | None = typer.Option(None, help="Port; 0 takes a free one."),
) -> None:
    """Serve the HTTP API until stopped; the first line printed is its address, as JSON."""
    from huntaze_pipeline.api import server
    from huntaze_pipeline.store.session import Store

    with stack.services(settings.load()) as ready:
        Store(ready).probe()
        server.serve(
            ready,
            host=ready.api_host if host is None else host,
            port=ready.api_port if port is None else port,
            announce=lambda url: typer.echo(json.dumps({"url": url})),
        )


@group.command()
def add(
    creator: str = typer.Argument(help="The creator's id: a short word."),
    name: str | None = typer.Option(None, help="Display name; default: the id."),
    zone: str = typer.Option("UTC", help="IANA time zone: Europe/Paris."),
    currency: str = typer.Option("USD", help="ISO 4217 code of the creator's money."),
    account: list[str] = typer.Option([], help="Sending account, platform:handle; repeatable."),
    as_json: bool = typer.Option(False, "--json", help="For machines."),
) -> None:
    """Add a creator, with the rules' templates and segments.

    Prints the ids of its accounts, and its API key, once.
    """
    from huntaze_pipeline.clock import system_clock
    from huntaze_pipeline.rulebook import loader, registry
    from huntaze_pipeline.store import creators
    from huntaze_pipeline.store.session import Store

    accounts = [(each.partition(":")[0], each.partition(":")[2]) for each in account]
    with (
        stack.services(settings.load(), need=("postgres",)) as ready,
        Store(ready).worker() as connection,
    ):
        key = creators.add(
            connection,
            creator,
            name=name or creator,
            zone=zone,
            currency=currency,
            accounts=accounts,
        )
        registry.apply(connection, creator, loader.load(ready.rules_dir), system_clock())
    _show(creator, key, as_json, [creators.account_id(creator, *each) for each in accounts])


@group.command("list")
def listing(as_json: bool = typer.Option(False, "--json", help="For machines.")) -> None:
    """List the creators; keys are kept nowhere and cannot be shown."""
    from sqlalchemy import select

    from huntaze_pipeline.store.people import Creator
    from huntaze_pipeline.store.session import Store

    wanted = select(
        Creator.id, Creator.name, Creator.zone, Creator.currency, Creator.key_hash.isnot(None)
    ).order_by(Creator.id)
    with (
        stack.services(settings.load(), need=("postgres",)) as ready,
        Store(ready).worker() as connection,
    ):
        rows = connection.execute(wanted).all()
    names = ("id", "name", "zone", "currency", "has_key")
    if as_json:
        typer.echo(json.dumps([dict(zip(names, row, strict=True)) for row in rows]))
        return
    for identity, name, zone, currency, has_key in rows:
        held = "has a key" if has_key else "no key"
        typer.echo(f"{identity:<24} {name:<30} {zone:<22} {currency}  {held}")


@group.command()
def rotate_key(
    creator: str = typer.Argument(help="The creator's id."),
    as_json: bool = typer.Option(False, "--json", help="For machines."),
) -> None:
    """Give a creator a new API key and print it, once; the old one stops working."""
    from huntaze_pipeline.store import creators
    from huntaze_pipeline.store.session import Store

    with (
        stack.services(settings.load(), need=("postgres",)) as ready,
        Store(ready).worker() as connection,
    ):
        key = creators.rotate(connection, creator)
    _show(creator, key, as_json)


def _show(creator: str, key: str, as_json: bool, accounts: list[str] | None = None) -> None:
    if as_json:
        made = {} if accounts is None else {"accounts": accounts}
        typer.echo(json.dumps({"creator": creator, "key": key} | made))
        return
    for account in accounts or ():
        typer.echo(f"account {account}")
    typer.echo(f"API key of {creator} (shown once, kept nowhere): {key}")
