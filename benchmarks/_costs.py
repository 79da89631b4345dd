"""What sending costs: processor time by program, and calls of SQS."""

import contextlib
import json
import os
import subprocess
import sys
import tempfile
from collections import defaultdict
from pathlib import Path

from _sending import World
from sqlalchemy.engine import make_url

from huntaze_pipeline.local import stack
from huntaze_pipeline.store.session import url

_PROGRAMS = {
    " sender": "sender", "local.simulator": "simulator", "postgres": "postgres", "valkey": "redis",
    "redis-server": "redis", "ministack": "sqs", "celery": "celery",
}  # fmt: skip


def processors(made: World) -> dict[str, float]:
    """Return the processor seconds spent by each program that was started by or for this one."""
    tick, spent = os.sysconf("SC_CLK_TCK"), defaultdict[str, float](float)
    postgres = f"port={make_url(url(made.settings)).port}"
    ours = {str(os.getpid())}
    for entry in sorted(Path("/proc").glob("[0-9]*"), key=lambda entry: int(entry.name)):
        with contextlib.suppress(OSError):
            fields = (entry / "stat").read_text().rpartition(")")[2].split()
            line = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode()
            here = (entry / "cwd").resolve().is_relative_to(made.home)
            if here or postgres in line or fields[1] in ours:
                ours.add(entry.name)
                name = next((name for mark, name in _PROGRAMS.items() if mark in line), "other")
                spent[name] += sum(map(int, fields[11:15])) / tick
    return spent


def counted(made: World, number: int, accounts: int, seen: int) -> dict[str, float]:
    """Let the work be done by a sender that counts its calls of SQS by a hook of botocore."""
    with tempfile.NamedTemporaryFile("r", suffix=".json") as out:
        command = [sys.executable, "-c", _COUNTING, out.name]
        env = stack.environment(made.settings)
        made.decide("counted", 0, number, accounts)
        subprocess.run(command, env=env, stdout=subprocess.DEVNULL, check=True)
        calls = json.load(out)
    made.wait(seen, 60)
    return {
        "sqs_calls_per_message": round(sum(calls["calls"].values()) / number, 4),
        "receives_per_message": round(calls["received"] / number, 3),
    }


_COUNTING = """
import collections, json, sys
import boto3
from huntaze_pipeline import settings
from huntaze_pipeline.delivery import queue, worker
from huntaze_pipeline.delivery.outfit import Options
calls, received = collections.Counter(), [0]
made = boto3.client
def client(*args, **kwargs):
    found = made(*args, **kwargs)
    found.meta.events.register("before-call.sqs", lambda model, **_: calls.update([model.name]))
    return found
boto3.client = client
decode = queue.decode
def counting(body):
    found = decode(body)
    received[0] += len(found)
    return found
import huntaze_pipeline.delivery.sqs as sqs
sqs.decode = counting
worker.send(settings.load(), Options(relay=True), until_idle=True)
json.dump({"calls": calls, "received": received[0]}, open(sys.argv[1], "w"))
"""
