"""Writing settled metrics back to the campaigns that people look at.

The numbers come from the lake's metrics tables as rows; nothing is measured here. Looks and winners
of experiments are in `looks`.
"""

import json
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, text

from huntaze_pipeline.measurement import standing

Row = Mapping[Any, Any]

_METRICS = text(
    """
    update campaigns c set metrics = cast(:metrics as jsonb), conversions = :converted
    where c.creator_id = :creator_id and c.id = :campaign_id
    """
)


def publish(connection: Connection, campaigns: Iterable[Row], as_of: datetime) -> int:
    """Write each campaign's settled metrics, with the instant they are true for."""
    rows = [
        {
            "creator_id": row["creator_id"],
            "campaign_id": row["campaign_id"],
            "converted": int(row["converted"]),
            "metrics": json.dumps(
                {
                    **{name: int(row[name]) for name in standing.COUNTS},
                    "as_of": as_of.isoformat(),
                }
            ),
        }
        for row in campaigns
    ]
    if rows:
        connection.execute(_METRICS, rows)
    return len(rows)
