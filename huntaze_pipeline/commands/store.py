"""`huntaze migrate` and `huntaze creators`: the database itself."""

import typer

from huntaze_pipeline import settings
from huntaze_pipeline.local import stack


def register(app: typer.Typer) -> None:
    """Add this room's commands."""
    app.command()(migrate)


def migrate() -> None:
    """Bring the database to the newest schema."""
    from huntaze_pipeline.store import migrate as migrations
    from huntaze_pipeline.store.session import Store

    with stack.services(settings.load(), need=("postgres",)) as ready:
        store = Store(ready)
        missing = migrations.pending(store)
        migrations.upgrade(store)
    typer.echo(f"applied {', '.join(missing)}" if missing else "the schema is up to date")
