"""One account at a glance, for people: its calls, what waits, when the next can go, its pauses."""

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from huntaze_pipeline.delivery import pauses
from huntaze_pipeline.delivery.accounts import Directory, stranger
from huntaze_pipeline.delivery.limiter import View
from huntaze_pipeline.delivery.standby import Standby
from huntaze_pipeline.store.session import Store


@dataclass(frozen=True, slots=True)
class Glance:
    """What is known of one account now."""

    account_id: str
    view: View
    paused: Sequence[str]
    """The pauses that it is under."""
    books: bool
    """Redis is away: the books do the limiting."""

    @property
    def plain(self) -> dict[str, Any]:
        """Everything, for machines."""
        return asdict(self.view) | {"paused": self.paused, "books": self.books}

    def __str__(self) -> str:
        """Return it as a sentence."""
        told = f"{self.account_id}: {', '.join(_parts(self.view))}"
        told += f" ({', '.join(self.paused)})" if self.paused else ""
        return told + ("; the books do the limiting" if self.books else "")


def look(store: Store, limiter: Standby, directory: Directory, account_id: str) -> Glance:
    """Look at an account, by the limiter that all senders use now.

    Raises:
        NotFoundError: neither the books nor the limiter know it.
    """
    account = directory.of([account_id]).get(account_id)
    view = limiter.look(account_id)
    with store.worker() as connection:
        if account is None and view.limits is None:
            raise stranger(connection, account_id)
        held = pauses.over(connection, account.platform if account else None, account_id)
    return Glance(account_id, view, held, limiter.away)


def _parts(view: View) -> Iterator[str]:
    if view.limits is None:
        yield "nothing was ever queued for it"
        return
    yield f"{view.calls_in_window} of {view.limits.count} in {view.limits.window_s:g} s"
    yield f"{view.in_flight} in flight"
    yield f"{view.waiting} waiting"
    if view.blocked_s:
        yield f"rests {view.blocked_s:.1f} s"
    if view.next_s is not None:
        yield f"next in {view.next_s:.1f} s"
    elif view.slot_s is not None:
        yield f"a slot is free in {view.slot_s:.1f} s" if view.slot_s else "a slot is free"
