"""The queue on Amazon SQS (or anything that speaks its API): three standard queues and a DLQ.

Names come from one setting: ``<name>-high``, ``<name>``, ``<name>-low``, ``<name>-dlq``. The
account is the message group, so SQS's fair queues keep one busy account from hiding the others.
"""

import json
import os
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar
from urllib.parse import urlsplit

from huntaze_pipeline.delivery.limiter import Parcel
from huntaze_pipeline.delivery.queue import (
    BATCH,
    Depth,
    QueueError,
    Received,
    Redriven,
    bundles,
    decode,
    encode,
)
from huntaze_pipeline.settings import Settings

VISIBILITY_S = 30
RETENTION_S = 4 * 86_400
MAX_RECEIVES = 10
_SUFFIXES = {"high": "-high", "medium": "", "low": "-low"}
_THREADS = 4
_TRIES = 3
_BRIEF_S, _LONG_S = 2, 25
"""How long SQS may be silent; it is for 20 seconds where a receive waits for the first note."""
_DRAIN_S = 1
"""A receive that does not wait asks some of SQS's servers only, and may find a full queue empty."""
_LOOPBACK = ("127.0.0.1", "localhost", "::1")
_T = TypeVar("_T")


class SqsQueue:
    """Notes on SQS. Safe to use from several threads.

    Args:
        settings: queue name (or the URL of the medium queue), region, endpoint.
        create: make the queues when they are missing; always so on a local endpoint.
        hurried: give SQS two seconds for an answer and ask once: for those who only look.
        strange: is told the id of each received message that is no note.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        create: bool = False,
        hurried: bool = False,
        strange: Callable[[str], None] | None = None,
    ) -> None:
        self.name = (settings.sqs_queue or "huntaze").rstrip("/").rpartition("/")[2]
        host = urlsplit(settings.aws_endpoint_url or "").hostname
        self._local = host in _LOOPBACK
        self._create = create or self._local
        self._read_s, self._attempts = (_BRIEF_S, 1) if hurried else (_LONG_S, 3)
        self._settings = settings
        self._strange = strange
        self._lock = threading.Lock()
        self._urls: dict[str, str] = {}
        self._gone = False
        """Whether a queue that was there is not there any more: the server lost its memory."""
        self._client: Any = None
        self._pool = ThreadPoolExecutor(_THREADS, thread_name_prefix="sqs")

    def send(self, parcels: Sequence[Parcel]) -> list[Parcel]:
        """Send in tens over a few connections; entries that SQS refused are tried again."""
        self._ready()
        notes = bundles(parcels)
        tens = [
            (band, batch)
            for band in _SUFFIXES
            for batch in _batches([note for note in notes if note[0].priority == band])
        ]
        if len(tens) == 1:  # a few high ones do not stand behind the hundreds of another thread
            return self._send(*tens[0])
        left = self._pool.map(lambda item: self._send(*item), tens)
        return [parcel for batch in left for parcel in batch]

    def receive(self, priority: str, *, wait_s: float) -> list[Received]:
        """Long-poll one queue. A body that is no note goes to the DLQ by its receive count."""
        found = [(message["MessageId"], _read(message)) for message in self._take(priority, wait_s)]
        for name, note in found:
            if note is None and self._strange:
                self._strange(name)
        return [note for _, note in found if note]

    def delete(self, priority: str, received: Sequence[Received]) -> None:
        """Delete in tens; what could not be deleted comes again and changes nothing then."""
        for batch in _batches(received):
            entries = [
                {"Id": str(i), "ReceiptHandle": item.receipt} for i, item in enumerate(batch)
            ]
            self._batch("delete_message_batch", priority, entries)

    def depths(self) -> list[Depth]:
        """Ask SQS for its approximate counts."""
        found = []
        for band in (*_SUFFIXES, "dlq"):
            answer = self._call(
                "get_queue_attributes",
                QueueUrl=self._url(band),
                AttributeNames=[
                    "ApproximateNumberOfMessages",
                    "ApproximateNumberOfMessagesNotVisible",
                ],
            )["Attributes"]
            waiting, flying = (
                int(answer.get(f"ApproximateNumberOfMessages{suffix}", 0))
                for suffix in ("", "NotVisible")
            )
            found.append(Depth(band, waiting, flying, dead=band == "dlq"))
        return found

    def redrive(self) -> Redriven:
        """Move readable dead notes back to the queue of their priority; the others stay."""
        moved, strange = 0, set[str]()
        # One that stays comes again when it was hidden for long enough: then all were looked at.
        while (found := self._take("dlq", _DRAIN_S)) and {m["MessageId"] for m in found} - strange:
            read = {message["MessageId"]: _read(message) for message in found}
            strange |= {name for name, note in read.items() if note is None}
            dead = [note for note in read.values() if note is not None]
            left = self.send([parcel for item in dead for parcel in item.parcels])
            if left:
                raise QueueError(f"SQS refused {len(left)} dead messages; {moved} notes were moved")
            self.delete("dlq", dead)
            moved += len(dead)
        return Redriven(moved, len(strange))

    def purge(self) -> None:
        """Drop every note of all four queues."""
        for band in (*_SUFFIXES, "dlq"):
            self._call("purge_queue", QueueUrl=self._url(band))

    def close(self) -> None:
        """Release threads and connections."""
        self._pool.shutdown(wait=False)
        if self._client is not None:
            self._client.close()

    def _take(self, band: str, wait_s: float) -> list[Any]:
        answer = self._call(
            "receive_message",
            QueueUrl=self._url(band),
            MaxNumberOfMessages=BATCH,
            WaitTimeSeconds=min(20, max(0, round(wait_s))),
        )
        return answer.get("Messages", [])

    def _send(self, priority: str, notes: Sequence[list[Parcel]]) -> list[Parcel]:
        entries = [
            {"Id": str(i), "MessageBody": encode(n), "MessageGroupId": _group(n[0].account_id)}
            for i, n in enumerate(notes)
        ]
        left = self._batch("send_message_batch", priority, entries)
        return [parcel for i in left for parcel in notes[i]]

    def _batch(self, operation: str, priority: str, entries: list[dict[str, str]]) -> list[int]:
        """Run a batch call; repeat the entries that failed; return the indexes that still do."""
        for _ in range(_TRIES):
            answer = self._call(operation, QueueUrl=self._url(priority), Entries=entries)
            failed = {entry["Id"] for entry in answer.get("Failed", [])}
            entries = [entry for entry in entries if entry["Id"] in failed]
            if not entries:
                break
        return [int(entry["Id"]) for entry in entries]

    def _call(self, operation: str, **arguments: Any) -> Any:
        from botocore.exceptions import BotoCoreError, ClientError

        client = self._ready()
        try:
            return getattr(client, operation)(**arguments)
        except (BotoCoreError, ClientError) as error:
            self._gone = self._gone or type(error).__name__ == "QueueDoesNotExist"
            raise QueueError(f"SQS {operation} on {self.name}: {error}") from None

    def _url(self, band: str) -> str:
        self._ready()
        return self._urls[band]

    def _ready(self) -> Any:
        """Connect and find the queues on first use, so that a queue that is away can be tried."""
        from botocore.exceptions import BotoCoreError, ClientError

        with self._lock:
            if self._gone or not self._urls:
                try:
                    self._client = self._client or self._open()
                    self._urls = self._make() if self._create else self._find()
                    self._gone = False
                except (BotoCoreError, ClientError) as error:
                    raise QueueError(f"SQS queue {self.name}: {error}") from None
            return self._client

    def _open(self) -> Any:
        import boto3
        from botocore.config import Config

        known = not self._local or "AWS_ACCESS_KEY_ID" in os.environ
        keys = (
            {} if known else dict.fromkeys(("aws_access_key_id", "aws_secret_access_key"), "local")
        )
        return boto3.client(
            "sqs",
            region_name=self._settings.aws_region,
            endpoint_url=self._settings.aws_endpoint_url,
            config=Config(
                connect_timeout=_BRIEF_S, read_timeout=self._read_s, max_pool_connections=16,
                retries={"total_max_attempts": self._attempts, "mode": "standard"},
            ),
            **keys,
        )  # fmt: skip

    def _find(self) -> dict[str, str]:
        names = {band: self.name + suffix for band, suffix in _SUFFIXES.items()}
        names["dlq"] = f"{self.name}-dlq"
        return {b: self._client.get_queue_url(QueueName=n)["QueueUrl"] for b, n in names.items()}

    def _make(self) -> dict[str, str]:
        shared = {"MessageRetentionPeriod": str(RETENTION_S)}
        dead = self._client.create_queue(QueueName=f"{self.name}-dlq", Attributes=shared)[
            "QueueUrl"
        ]
        arn = self._client.get_queue_attributes(QueueUrl=dead, AttributeNames=["QueueArn"])
        policy = {
            "deadLetterTargetArn": arn["Attributes"]["QueueArn"],
            "maxReceiveCount": str(MAX_RECEIVES),
        }
        attributes = shared | {
            "VisibilityTimeout": str(VISIBILITY_S),
            "RedrivePolicy": json.dumps(policy),
        }
        urls = {
            band: self._client.create_queue(QueueName=self.name + suffix, Attributes=attributes)
            for band, suffix in _SUFFIXES.items()
        }
        return {band: answer["QueueUrl"] for band, answer in urls.items()} | {"dlq": dead}


def _read(message: Any) -> Received | None:
    """Return a message as a note; None when it is none."""
    try:
        return Received(tuple(decode(message["Body"])), message["ReceiptHandle"])
    except ValueError:
        return None


def _group(account_id: str) -> str:
    """SQS takes at most 128 characters of a printable set as group id."""
    kept = "".join(c if c.isascii() and c.isprintable() and c != " " else "_" for c in account_id)
    return kept[:128] or "_"


def _batches(items: Sequence[_T]) -> Iterator[Sequence[_T]]:
    for start in range(0, len(items), BATCH):
        yield items[start : start + BATCH]
