"""`huntaze demo`: the whole loop on real data, with a report at the end."""

import json
import shlex
from typing import Any

import typer

from huntaze_pipeline import settings


def register(app: typer.Typer) -> None:
    """Add this room's commands."""
    app.command()(demo)


def demo() -> None:
    """A year of real shopping through the whole loop, then a live A/B campaign; writes a report."""
    from huntaze_pipeline.definitions import build_defs
    from huntaze_pipeline.local import demo as room

    known = settings.load()
    with _Screen() as screen:
        page = room.run(known, build_defs, screen.say)
    report = json.loads(page.with_name("report.json").read_text(encoding="utf-8"))
    for line in _lines(report):
        typer.echo(line)
    typer.echo(f"\nreport   {page}\n         {page.with_name('report.json')}")
    typer.echo("next     make dev: everything on this machine, Dagster UI on http://127.0.0.1:3000")
    typer.echo(
        f"         HUNTAZE_HOME={shlex.quote(report['home'])} make dev: with this demo's data"
    )


class _Screen:
    """Progress: one live line on a terminal, a line a step elsewhere."""

    def __enter__(self) -> "_Screen":
        from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

        self._bar = Progress(
            SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn(),
            transient=True,
        )  # fmt: skip
        self._live = self._bar.console.is_terminal
        self._task = self._bar.add_task("", total=1.0)
        self._told = ""
        if self._live:
            self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.stop()

    def say(self, what: str, share: float | None) -> None:
        """Show what is being done; without a terminal every new sentence is one line."""
        if self._live:
            self._bar.update(self._task, description=what, completed=share or 0.0)
        head = what.partition(":")[0]
        if head != self._told:
            self._told = head
            if not self._live:
                typer.echo(f"… {head}")


def _lines(report: dict[str, Any]) -> list[str]:
    """Say in a few lines what happened."""
    money, limiter = report["revenue"], report["limiter"]
    sums = {k: sum(c[k] for c in report["campaigns"]) for k in ("audience", "clicked", "converted")}
    won = ", ".join(f"{w['experiment']}: {w['variant']}" for w in report["experiments"]["winners"])
    states = ", ".join(f"{n} {state}" for state, n in report["messages"]["by_status"].items())
    return [
        f"data     {report['lines']:,} purchase lines in {report['baskets']:,} baskets of "
        f"{report['fans']:,} fans",
        f"revenue  {money['total']:,.2f} = {money['attributed']:,.2f} attributed + "
        f"{money['unattributed']:,.2f} not",
        f"mailings {len(report['campaigns'])} campaigns, {sums['audience']:,} recipients, "
        f"{sums['clicked']:,} clicked, {sums['converted']:,} redemptions",
        f"live     {states}",
        f"limiter  {limiter['accounts']} accounts, at most {limiter['max_in_any_60s']} in any "
        f"60 s, {limiter['bans']} bans",
        f"A/B      {won or 'no winner'} ({report['experiments']['analysed']} test)",
        f"books    {'balanced' if report['reconciliation']['balanced'] else 'NOT BALANCED'}",
        f"time     {report['seconds']:.0f} s",
    ]
