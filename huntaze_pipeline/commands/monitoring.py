"""`huntaze monitoring`: the numbers, shown or pushed to CloudWatch; its alarms and dashboard."""

import json
import time

import typer

from huntaze_pipeline import settings
from huntaze_pipeline.local import stack

app = typer.Typer(help="Numbers, alarms and the dashboard.", no_args_is_help=True)


def register(root: typer.Typer) -> None:
    """Add this room's commands."""
    root.add_typer(app, name="monitoring")


@app.command()
def show(as_json: bool = typer.Option(False, "--json", help="For machines.")) -> None:
    """Show the last minute's numbers, what waits now, and which alarms' bounds are passed."""
    from huntaze_pipeline.clock import system_clock
    from huntaze_pipeline.delivery.sqs import SqsQueue
    from huntaze_pipeline.monitoring import alarms, circuits, metrics
    from huntaze_pipeline.store.session import Store
    from huntaze_pipeline.warehouse import bots, goals

    with stack.services(settings.load()) as ready:
        until, store = system_clock() - metrics.SETTLE, Store(ready)
        samples = metrics.gather(
            store,
            since=until - metrics.MINUTE,
            until=until,
            goals=goals.declared(ready.rules_dir),
            bots=bots.load(ready.rules_dir),
            queue=SqsQueue(ready),
            open_circuits=circuits.states(ready, store),
        )
        firing = alarms.firing(alarms.load(ready.rules_dir), samples)
    if as_json:
        told = [
            {"name": s.name, "value": s.value, "unit": s.unit, "dimensions": dict(s.dimensions)}
            for s in samples
        ]
        typer.echo(json.dumps({"metrics": told, "firing": [alarm.id for alarm in firing]}))
        return
    for sample in samples:
        place = ", ".join(f"{k}={v}" for k, v in sample.dimensions.items())
        typer.echo(f"{sample.name:<24} {sample.value:>12.12g} {sample.unit:<8} {place}".rstrip())
    for alarm in firing:
        typer.secho(f"! {alarm.id}: {alarm.description}", fg="red")


@app.command()
def push(
    every: str | None = typer.Option(None, help="Go on, with this pause: 60s. Absent: once."),
) -> None:
    """Send what happened since the last push to CloudWatch."""
    from huntaze_pipeline.clock import duration, system_clock
    from huntaze_pipeline.delivery.sqs import SqsQueue
    from huntaze_pipeline.errors import ServiceError, SettingsError
    from huntaze_pipeline.monitoring import alarms, circuits, cloudwatch, pusher
    from huntaze_pipeline.store.session import Store
    from huntaze_pipeline.warehouse import bots, goals

    try:
        pause = duration(every).total_seconds() if every else None
    except ValueError as error:
        raise SettingsError(f"--every: {error}") from None
    with stack.services(settings.load()) as ready:
        namespace = alarms.load(ready.rules_dir).namespace
        store, client, queue = Store(ready), cloudwatch.connect(ready), SqsQueue(ready)
        while True:
            try:
                sent = pusher.push(
                    store,
                    client,
                    namespace,
                    now=system_clock(),
                    goals=goals.declared(ready.rules_dir),
                    bots=bots.load(ready.rules_dir),
                    queue=queue,
                    open_circuits=circuits.states(ready, store),
                )
                typer.echo(f"{sent} metrics")
            except ServiceError as error:
                if pause is None:
                    raise
                typer.echo(f"not pushed, the next push covers it: {error}", err=True)
            if pause is None:
                return
            time.sleep(pause)


@app.command()
def apply(
    topic: list[str] = typer.Option([], help="ARN of an SNS topic that alarms tell; repeatable."),
) -> None:
    """Put the alarms of rules/alarms.yaml and the dashboard into CloudWatch."""
    from huntaze_pipeline.monitoring import alarms, cloudwatch

    with stack.services(settings.load(), need=("sqs",)) as ready:
        names = cloudwatch.apply(
            cloudwatch.connect(ready),
            alarms.load(ready.rules_dir),
            region=ready.aws_region,
            topics=topic,
        )
    typer.echo(f"{len(names)} alarms and the dashboard are in place: {', '.join(names)}")
