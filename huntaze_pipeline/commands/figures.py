"""How commands show numbers: strict JSON, tables, and the problems of the rows that were read."""

import json
from typing import Any

import typer

MOST_SHOWN = 20
_LONGEST = 48


def strict(value: Any) -> None:
    """Print JSON that any reader takes: no NaN, no infinity."""
    typer.echo(json.dumps(value, allow_nan=False, ensure_ascii=False))


def table(title: str, rows: list[dict[str, Any]]) -> None:
    """Print rows as a table; figures stand to the right."""
    import sys

    from rich.console import Console
    from rich.table import Table

    shown = Table(title=title, title_justify="left")
    for place, name in enumerate(rows[0] if rows else []):
        left = isinstance(rows[0][name], str)
        head = name.replace("_", " ")
        # The first column names the row: it keeps its width, figures share the rest.
        shown.add_column(head, justify="left" if left else "right", no_wrap=place == 0)
    for row in rows:
        shown.add_row(*(_cell(value) for value in row.values()))
    # Into a file or a pipe there is no terminal to ask: wide enough for every table here.
    Console(width=None if sys.stdout.isatty() else 140).print(shown)


def _cell(value: Any) -> str:
    if value is None:
        return "-"
    if isinstance(value, float):
        return f"{value:,.4g}" if abs(value) < 1000 else f"{value:,.0f}"
    text = f"{value:,}" if isinstance(value, int) else str(value)
    return text if len(text) <= _LONGEST else text[: _LONGEST - 1] + "…"


def problems(given: list[dict[str, str]]) -> None:
    """Print the first of the rows' problems beside the output."""
    for problem in given[:MOST_SHOWN]:
        typer.secho(f"{problem['where']}: {problem['what']}", err=True, fg="yellow")
    if len(given) > MOST_SHOWN:
        rest = f"… and {len(given) - MOST_SHOWN:,} more (--json lists all)"
        typer.secho(rest, err=True, fg="yellow")
