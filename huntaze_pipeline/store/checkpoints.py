"""How far a reader has come (law 6): read, work, move in one transaction, one reader at a time."""

import json
from typing import Any

from sqlalchemy import Connection, text

from huntaze_pipeline.store.volley import Question

_READ = text("select position from checkpoints where name = :name")
_FIRST = text("insert into checkpoints (name) values (:name) on conflict (name) do nothing")
_TAKE = text("select position from checkpoints where name = :name for update")
_MOVE = text(
    """
    update checkpoints set position = cast(:position as jsonb), updated_at = clock_timestamp()
    where name = :name
    """
)


def read(connection: Connection, name: str) -> dict[str, Any]:
    """Return a reader's position without holding it: to see cheaply whether there is anything."""
    return connection.execute(*reading(name)).scalar() or {}


def reading(name: str) -> Question:
    """Return the question of `read`."""
    return _READ, {"name": name}


def take(connection: Connection, name: str) -> dict[str, Any]:
    """Return a reader's position and hold it until the transaction ends; a second reader waits."""
    held = connection.execute(_TAKE, {"name": name}).scalar()
    if held is None:
        connection.execute(_FIRST, {"name": name})
        held = connection.execute(_TAKE, {"name": name}).scalar_one()
    return held


def move(connection: Connection, name: str, position: dict[str, Any]) -> None:
    """Set the position in the transaction that did the work behind it."""
    connection.execute(*moving(name, position))


def moving(name: str, position: dict[str, Any]) -> Question:
    """Return the statement of `move`."""
    return _MOVE, {"name": name, "position": json.dumps(position)}
