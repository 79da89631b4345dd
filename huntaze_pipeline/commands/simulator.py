"""`huntaze simulator`: four platforms on this machine that count, ban and answer with receipts."""

from pathlib import Path
from typing import TYPE_CHECKING

import typer

from huntaze_pipeline import settings

if TYPE_CHECKING:
    from huntaze_pipeline.local.simulator.app import Addresses


def register(app: typer.Typer) -> None:
    """Add this room's commands."""
    app.command()(simulator)


def simulator(
    host: str = typer.Option("127.0.0.1", help="Address to listen on."),
    port: int = typer.Option(8500, min=0, max=65535, help="HTTP port; 0 takes a free one."),
    smtp_port: int = typer.Option(8525, min=0, max=65535, help="SMTP port; 0 takes a free one."),
    state_dir: Path | None = typer.Option(
        None, help="Where arrivals.jsonl and receipts.jsonl are kept [HUNTAZE_HOME/simulator]."
    ),
    behaviour: Path | None = typer.Option(None, help="JSON file of limits, faults and receipts."),
    webhook: str | None = typer.Option(None, help="Post receipts to this URL."),
    seed: str | None = typer.Option(None, help="Seed of faults and receipts."),
    as_json: bool = typer.Option(False, "--json", help="Print the addresses as one JSON line."),
) -> None:
    """Run the four simulated platforms and their judge until stopped."""
    from huntaze_pipeline.local.simulator import app

    options = app.options(
        settings.load(), folder=state_dir, file=behaviour, webhook=webhook, seed=seed,
        host=host, http_port=port, smtp_port=smtp_port,
    )  # fmt: skip
    app.run(options, app.announce if as_json else _tell)


def _tell(addresses: "Addresses") -> None:
    typer.echo(f"OnlyFans   {addresses.http}/onlyfans")
    typer.echo(f"Instagram  {addresses.http}/instagram")
    typer.echo(f"TikTok     {addresses.http}/tiktok")
    typer.echo(f"e-mail     {addresses.smtp}")
    typer.echo(f"judge      {addresses.http}/judge/summary")
