"""A reader's place, on a real PostgreSQL."""

import threading

from huntaze_pipeline.store import checkpoints
from huntaze_pipeline.store.session import Store


def test_a_new_reader_begins_at_the_beginning(store: Store) -> None:
    with store.worker() as connection:
        assert checkpoints.read(connection, "new") == {}
        assert checkpoints.take(connection, "new") == {}


def test_work_that_fails_does_not_move_the_place(store: Store) -> None:
    with store.worker() as connection:
        checkpoints.take(connection, "r")
        checkpoints.move(connection, "r", {"id": 7})
    try:
        with store.worker() as connection:
            checkpoints.move(connection, "r", {"id": 9})
            raise RuntimeError
    except RuntimeError:
        with store.worker() as connection:
            assert checkpoints.read(connection, "r") == {"id": 7}


def test_a_second_reader_waits_for_the_first_and_sees_its_place(store: Store) -> None:
    seen: list[object] = []
    with store.worker() as first:
        checkpoints.take(first, "r")

        def second() -> None:
            with store.worker() as connection:
                seen.append(checkpoints.take(connection, "r"))

        thread = threading.Thread(target=second)
        thread.start()
        thread.join(0.3)
        waiting = not seen
        checkpoints.move(first, "r", {"id": 5})
    thread.join(10)

    assert waiting
    assert seen == [{"id": 5}]
