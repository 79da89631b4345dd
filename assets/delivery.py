"""Delivery as Dagster sees it: what others do, with a description, so that lineage is whole."""

import dagster as dg

from huntaze_pipeline.orchestration.factory import key


def _external(name: str, description: str, *deps: str, kinds: set[str]) -> dg.AssetSpec:
    return dg.AssetSpec(
        key(name),
        description=description,
        deps=[key(dep) for dep in deps],
        group_name="delivery",
        owners=["team:delivery"],
        kinds=kinds,
        tags={"layer": "delivery"},
    )


outbox = _external(
    "delivery.outbox",
    "Decisions waiting to be published; written by the sensors.",
    "audience.segments",
    kinds={"postgres"},
)
sender = _external(
    "delivery.sender",
    "The process that sends under the limiter (`huntaze sender`); every call is an attempt row.",
    "delivery.outbox",
    kinds={"sqs", "redis"},
)
receipts = _external(
    "delivery.receipts",
    "What platforms tell later: delivered, opened, clicked, bought; they close the loop.",
    "delivery.sender",
    kinds={"http"},
)
