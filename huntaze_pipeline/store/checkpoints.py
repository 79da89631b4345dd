"""How far a reader has come (law 6): read, work, move in one transaction, one reader at a time."""

import json
from typing import Any

from sqlalchemy import Connection, text

_TAKE = text(
    """
    insert into checkpoints (name) values (:name)
    on conflict (name) do update set name = excluded.name
    returning position
    """
)
_MOVE = text(
    """
    update checkpoints set position = cast(:position as jsonb), updated_at = clock_timestamp()
    where name = :name
    """
)


def take(connection: Connection, name: str) -> dict[str, Any]:
    """Return a reader's position and hold it until the transaction ends; a second reader waits."""
    return connection.execute(_TAKE, {"name": name}).scalar_one()


def move(connection: Connection, name: str, position: dict[str, Any]) -> None:
    """Set the position in the transaction that did the work behind it."""
    connection.execute(_MOVE, {"name": name, "position": json.dumps(position)})
