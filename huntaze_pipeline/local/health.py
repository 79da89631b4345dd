"""Whether the three services answer, asked of them directly. Starts and changes nothing."""

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError

from huntaze_pipeline.errors import HuntazeError
from huntaze_pipeline.local import fleet, stack
from huntaze_pipeline.local.folder import Folder
from huntaze_pipeline.settings import Settings

TIMEOUT_S = 5


@dataclass(frozen=True, slots=True)
class Health:
    """One line of `huntaze status`."""

    service: str
    address: str
    """Without its password."""
    version: str
    healthy: bool
    since: str | None
    """When it was started, ISO 8601; unknown for servers that are not ours."""
    detail: str = ""
    """What it answered when it is not healthy."""

    def row(self) -> dict[str, Any]:
        """Return it for JSON."""
        return asdict(self)


def services(settings: Settings) -> list[Health]:
    """Probe PostgreSQL, Redis and SQS where the settings and the running stack say they are."""
    ready, running = stack.attach(settings), stack.running(Folder(settings.root))
    absent = stack.lacking(ready)
    states: list[Health] = []
    for name, probe in PROBES.items():
        since = running.get(name, {}).get("since") if name in stack.lacking(settings) else None
        if name in absent:
            states.append(Health(name, "", "", False, None, "not running"))
            continue
        address = _address(name, ready)
        try:
            states.append(Health(name, address, probe(ready), True, since))
        except Exception as error:  # whatever a driver raises means: it does not answer
            states.append(Health(name, address, "", False, since, _first_line(error)))
    return states


def programs(settings: Settings) -> list[Health]:
    """Return the programs of the `huntaze up` that runs in this home."""
    recorded = fleet.recorded(Folder(settings.root)).get("programs", {})
    return [
        Health(
            name,
            report.get("address") or "",
            report["version"] or "",
            report["status"] == "running",
            report["since"],
            _first_line(report["error"] or report["status"]),
        )
        for name, report in recorded.items()
    ]


def _postgres(ready: Settings) -> str:
    from sqlalchemy import text

    from huntaze_pipeline.store.session import Store

    with Store(ready, pooled=False).owner() as connection:
        return f"PostgreSQL {connection.scalar(text('show server_version'))}"


def _redis(ready: Settings) -> str:
    import redis

    assert ready.redis_url is not None
    with redis.Redis.from_url(
        ready.redis_url.get_secret_value(),
        socket_timeout=TIMEOUT_S,
        socket_connect_timeout=TIMEOUT_S,
    ) as client:
        info: Any = client.info("server")
    if "valkey_version" in info:
        return f"Valkey {info['valkey_version']}"
    return f"Redis {info['redis_version']}"


def _sqs(ready: Settings) -> str:
    import boto3
    from botocore.config import Config

    limits = Config(
        connect_timeout=TIMEOUT_S, read_timeout=TIMEOUT_S, retries={"total_max_attempts": 1}
    )
    client = boto3.client(
        "sqs", region_name=ready.aws_region, endpoint_url=ready.aws_endpoint_url, config=limits
    )
    client.list_queues(MaxResults=1)
    return "SQS"


PROBES: dict[str, Callable[[Settings], str]] = {"postgres": _postgres, "redis": _redis, "sqs": _sqs}


def _address(name: str, ready: Settings) -> str:
    if name == "sqs":
        return ready.aws_endpoint_url or f"AWS {ready.aws_region} {ready.sqs_queue}"
    secret = ready.database_url if name == "postgres" else ready.redis_url
    assert secret is not None
    return _hidden(secret.get_secret_value())


def _hidden(address: str) -> str:
    """Return an address without its password and its options, which may hold one too."""
    try:
        return make_url(address).set(query={}).render_as_string(hide_password=True)
    except ArgumentError:
        return "(not an address)"


def _first_line(error: object) -> str:
    text = str(error).strip() or type(error).__name__
    name = "" if isinstance(error, (HuntazeError, str)) else f"{type(error).__name__}: "
    return name + text.splitlines()[0]
