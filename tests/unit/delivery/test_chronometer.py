"""The senders' time: the database's, whatever a machine's own clock shows."""

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from huntaze_pipeline.delivery.chronometer import Chronometer

TRUE = datetime(2026, 5, 1, 12, tzinfo=UTC)


class Machine:
    """A machine with a wall clock that may be wrong, and a count of seconds that goes on."""

    def __init__(self, ahead: timedelta) -> None:
        self.ahead = ahead
        self.lived = 0.0

    def wall(self) -> datetime:
        return self.true() + self.ahead

    def seconds(self) -> float:
        return 5_000 + self.lived

    def true(self) -> datetime:
        return TRUE + timedelta(seconds=self.lived)

    def asked(self, there: float, back: float) -> datetime:
        """The true time, with a way there and a way back."""
        self.lived += there
        shown = self.true()
        self.lived += back
        return shown


def test_until_it_is_set_it_shows_the_machines_own_time() -> None:
    machine = Machine(timedelta(hours=1))
    assert Chronometer(machine.wall, machine.seconds)() == TRUE + timedelta(hours=1)


@given(
    st.timedeltas(timedelta(days=-400), timedelta(days=400)),
    st.floats(0, 0.4), st.floats(0, 0.4), st.floats(0, 1e6),
)  # fmt: skip
def test_it_is_off_by_half_a_round_trip_at_most(
    ahead: timedelta, there: float, back: float, later: float
) -> None:
    machine = Machine(ahead)
    clock = Chronometer(machine.wall, machine.seconds)
    clock.set(lambda: machine.asked(there, back))
    machine.lived += later
    off = abs((clock() - machine.true()).total_seconds())
    assert off <= (there + back) / 2 + 1e-5


def test_a_jump_of_the_machines_clock_does_not_move_it() -> None:
    machine = Machine(timedelta(0))
    clock = Chronometer(machine.wall, machine.seconds)
    clock.set(machine.true)
    machine.ahead = timedelta(hours=5)
    machine.lived += 10
    assert clock() == TRUE + timedelta(seconds=10)


def test_an_answer_that_took_long_is_believed_only_when_there_is_none_before() -> None:
    machine = Machine(timedelta(days=1))
    clock = Chronometer(machine.wall, machine.seconds)
    clock.set(lambda: machine.asked(0, 8))
    assert abs(clock() - machine.true()) == timedelta(seconds=4)
    clock.set(machine.true)
    clock.set(lambda: machine.asked(0, 8))
    assert clock() == machine.true()
