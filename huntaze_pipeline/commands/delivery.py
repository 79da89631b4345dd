"""`huntaze sender`, `relay` and `messages`: what leaves the house. Where it waits is `queues`."""

import json
import sys
from datetime import datetime
from typing import TYPE_CHECKING, Any

import typer

from huntaze_pipeline import settings
from huntaze_pipeline.local import stack

if TYPE_CHECKING:
    from huntaze_pipeline.delivery.messages import Status
    from huntaze_pipeline.store.session import Store

messages_app = typer.Typer(help="Single messages.", no_args_is_help=True)

CREATOR = typer.Option(..., "--creator", "-c", help="Whose messages.")
MESSAGE = typer.Argument(help="The message's id, as sending it told; messageId in the API.")
JSON = typer.Option(False, "--json", help="Print JSON.")
ALL = ("postgres", "redis", "sqs")


def register(app: typer.Typer) -> None:
    """Add this room's commands."""
    app.command()(sender)
    app.command()(relay)
    messages_app.command("send")(send)
    messages_app.command("status")(status)
    messages_app.command("retry")(retry)
    messages_app.command("cancel")(cancel)
    app.add_typer(messages_app, name="messages")


def sender(
    concurrency: int = typer.Option(400, min=1, help="Calls of platforms at once."),
    with_relay: bool = typer.Option(False, "--with-relay", help="Also do the relay's work."),
    until_idle: bool = typer.Option(False, "--until-idle", help="Stop when nothing is left."),
    once: bool = typer.Option(False, "--once", help="Relay and send what is due, then stop."),
) -> None:
    """Send what is queued, under the limits. Any number may run at once; Ctrl-C finishes calls."""
    from huntaze_pipeline.delivery import worker
    from huntaze_pipeline.delivery.outfit import Options
    from huntaze_pipeline.store.session import Store

    options = Options(concurrency=concurrency, relay=with_relay or once)
    with stack.services(settings.load(), need=ALL) as ready:
        Store(ready).probe()
        worker.send(ready, options, until_idle=until_idle or once)


def relay(
    once: bool = typer.Option(False, "--once", help="Publish what is due now, then stop."),
) -> None:
    """Ring SQS for every decision that is due."""
    import signal
    import threading

    from huntaze_pipeline.delivery import worker
    from huntaze_pipeline.store.session import Store

    stop = threading.Event()
    with stack.services(settings.load(), need=ALL) as ready:
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: stop.set())
        Store(ready).probe()
        moved = worker.relay_until(ready, stop, once=once)
    what = "1 message on its way" if moved == 1 else f"{moved} messages on their way"
    typer.echo(what, err=True)


def send(
    recipient: str = typer.Argument(help="The fan's id."),
    content: str = typer.Argument(help="The text; - reads it from standard input."),
    creator: str = CREATOR,
    priority: str = typer.Option("medium", help="high, medium or low."),
    platform: str = typer.Option("onlyfans", help="Where to send it."),
    subject: str | None = typer.Option(None, help="For e-mail."),
    topic: str | None = typer.Option(
        None,
        help="What it is about: marketing needs the fan's consent and waits for the end of the"
        " fan's quiet hours. Absent: it goes at once.",
    ),
    key: str | None = typer.Option(None, help="Idempotency key: the same key is sent once."),
    as_json: bool = JSON,
) -> None:
    """Put one message in the outbox. It goes when the account's limit allows, and its topic."""
    from huntaze_pipeline.clock import system_clock
    from huntaze_pipeline.delivery import courtesy, messages, quotas
    from huntaze_pipeline.delivery.validation import Request

    request = Request(
        recipient=recipient, content=sys.stdin.read() if content == "-" else content,
        priority=priority, platform=platform, subject=subject, topic=topic, key=key,
    )  # fmt: skip
    with stack.services(settings.load(), need=("postgres",)) as ready:
        accepted = messages.submit(
            _store(ready, creator), creator, request, now=system_clock(),
            quotas=quotas.read(ready.rules_dir), policies=courtesy.read(ready.rules_dir),
        )  # fmt: skip
    when = accepted.estimated_delivery
    _say(
        {"messageId": accepted.message_id, "status": accepted.status, "estimatedDelivery": when},
        f"{accepted.message_id} {accepted.status}" + (f", about {_at(when)}" if when else ""),
        as_json,
    )


def status(message_id: str = MESSAGE, creator: str = CREATOR, as_json: bool = JSON) -> None:
    """Show where a message is and what was tried."""
    from dataclasses import asdict

    from huntaze_pipeline.delivery import messages

    with stack.services(settings.load(), need=("postgres",)) as ready:
        found = messages.status(_store(ready, creator), creator, message_id)
    lines = [f"{found.message_id} {found.status}{_standing(found)}"]
    for call in found.attempts:
        what = f"{call.outcome or 'no answer yet'} {call.detail or ''}"
        lines.append(f"  {call.at:%Y-%m-%d %H:%M:%S} {what}".rstrip())
    _say(asdict(found), "\n".join(lines), as_json)


def retry(message_id: str = MESSAGE, creator: str = CREATOR) -> None:
    """Send again what failed, expired, was cancelled, or whose answer was lost."""
    _change("retry", message_id, creator)


def cancel(message_id: str = MESSAGE, creator: str = CREATOR) -> None:
    """Stop a message that has not been called for yet."""
    _change("cancel", message_id, creator)


def _change(action: str, message_id: str, creator: str) -> None:
    from huntaze_pipeline.clock import system_clock
    from huntaze_pipeline.delivery import messages

    with stack.services(settings.load(), need=("postgres",)) as ready:
        work = {"retry": messages.retry, "cancel": messages.cancel}[action]
        work(_store(ready, creator), creator, message_id, now=system_clock(), actor="cli")
    typer.echo(f"{message_id}: {action} done")


def _at(when: datetime) -> str:
    """An instant; the day is said when it is another."""
    from huntaze_pipeline.clock import system_clock

    day = "" if when.date() == system_clock().date() else f"{when:%Y-%m-%d} "
    return f"{day}{when:%H:%M:%S} {when.tzname()}"


def _store(ready: settings.Settings, creator: str) -> "Store":
    """Open the store for a creator whom it knows."""
    from huntaze_pipeline.commands.tenant import known
    from huntaze_pipeline.store.session import Store

    store = Store(ready)
    with store.tenant(creator) as connection:
        known(connection, creator)
    return store


def _standing(found: "Status") -> str:
    """What lies behind a status: the finer state, its reason, and the time that goes with it."""
    from huntaze_pipeline.clock import system_clock

    if found.sent_at:
        return f" at {found.sent_at:%Y-%m-%d %H:%M:%S} UTC"
    finer = [] if found.state == found.status else [found.state]
    told = ": ".join([*finer, *([found.reason] if found.reason else [])])
    text = f" ({told})" if told else ""
    if found.state in ("held", "decided") and found.not_before > system_clock():
        text += f", not before {found.not_before:%Y-%m-%d %H:%M} UTC"
    return text


def _say(value: dict[str, Any], text: str, as_json: bool) -> None:
    typer.echo(json.dumps(value, default=str) if as_json else text)
