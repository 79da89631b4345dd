"""Celery sending to the same platform through the same SQS, in an environment of its own."""

import subprocess
import venv
from pathlib import Path

from _sending import World, span

from huntaze_pipeline.local import stack

_CELERY = """
import os, urllib.request, json
from celery import Celery
app = Celery("rival", broker="sqs://local:local@" + os.environ["SQS_HOST"])
app.conf.update(
    broker_transport_options={
        "region": "us-east-1", "is_secure": False, "polling_interval": 0.0, "wait_time_seconds": 1,
        "predefined_queues": {"celery": {"url": os.environ["SQS_URL"],
            "access_key_id": "local", "secret_access_key": "local"}}},
    task_ignore_result=True, worker_prefetch_multiplier=10, broker_connection_retry_on_startup=True)
@app.task(name="send")
def send(n):
    body = json.dumps({"key": f"celery-{n}", "recipient": "fan", "text": "Hi"})
    headers = {"Content-Type": "application/json", "Authorization": "Bearer simulated"}
    path = os.environ["ONLYFANS_API_URL"] + f"/accounts/account-{n % 1000}/messages"
    urllib.request.urlopen(
        urllib.request.Request(path, body.encode(), headers), timeout=10).read()
"""


class Rival:
    """Celery with SQS as broker and forty threads, in an environment of its own."""

    def __init__(self, folder: Path | None, made: World) -> None:
        self.python = None if folder is None else _python(folder)
        self._made = made
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> "Rival":
        if self.python is not None:
            self._start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._process is not None:
            self._process.terminate()
            self._process.wait(30)

    def run(self, number: int, seen: int) -> float:
        """Send so many; return messages a second, as the platform saw them."""
        code = f"import rival\nfor n in range({seen}, {seen + number}): rival.send.delay(n)"
        subprocess.run([str(self.python), "-c", code], env=self._env, cwd=self._home, check=True)
        return number / span(self._made.wait(seen + number, 600)[seen:])

    def _start(self) -> None:
        import boto3

        where = self._made.settings.aws_endpoint_url or ""
        client = boto3.client(
            "sqs", region_name="us-east-1", endpoint_url=where,
            aws_access_key_id="local", aws_secret_access_key="local",
        )  # fmt: skip
        url = client.create_queue(QueueName="celery")["QueueUrl"]
        self._home = self._made.log.parent
        (self._home / "rival.py").write_text(_CELERY)
        self._env = stack.environment(self._made.settings) | {
            "SQS_HOST": where.removeprefix("http://"), "SQS_URL": url,
        }  # fmt: skip
        command = [str(self.python), "-m", "celery", "-A", "rival", "worker", "-P", "threads"]
        self._process = subprocess.Popen(
            [*command, "-c", "40", "--without-mingle", "--without-gossip"],
            env=self._env, cwd=self._home, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip


def _python(folder: Path) -> Path:
    program = folder / "bin" / "python"
    if not program.exists():
        venv.create(folder, with_pip=True)
        subprocess.run([str(program), "-m", "pip", "install", "-q", "celery[sqs]"], check=True)
    return program
