"""A storm does what its schedule says, undoes what lasts, and leaves nothing broken behind."""

from pathlib import Path
from typing import Any

from huntaze_pipeline.local.chaos.schedule import Fault
from huntaze_pipeline.local.chaos.storm import Storm
from huntaze_pipeline.local.chaos.traps import Traps


class Recorder:
    """Stands for crew, servers and links; remembers what was asked of them."""

    def __init__(self) -> None:
        self.calls: list[tuple[Any, ...]] = []

    def __getattr__(self, name: str) -> Any:
        def called(*given: Any) -> str:
            self.calls.append((name, *given))
            return "pid"

        return called

    def about(self, *names: str) -> list[tuple[Any, ...]]:
        return [call for call in self.calls if call[0] in names]


def rage(tmp_path: Path, *faults: Fault, seconds: float = 0.3) -> tuple[Storm, Recorder]:
    world, traps = Recorder(), Traps(tmp_path / "traps")
    storm = Storm(world, world, world, traps, world)  # type: ignore[arg-type]
    storm.rage(faults, seconds, lambda _: None)
    return storm, world


def test_a_worker_is_killed_or_paused_and_goes_on_when_its_time_is_over(tmp_path: Path) -> None:
    _, world = rage(
        tmp_path, Fault(0, "kill", "sender-1"), Fault(0, "pause", "relay-1", lasts_s=0.1)
    )
    asked = world.about("kill", "pause", "resume")
    assert asked == [("kill", "sender-1"), ("pause", "relay-1"), ("resume", "relay-1", "pid")]


def test_a_server_is_killed_paused_emptied_or_set_back(tmp_path: Path) -> None:
    _, world = rage(
        tmp_path, Fault(0, "kill", "redis"), Fault(0, "pause", "postgres", lasts_s=0.1),
        Fault(0, "empty", "redis"), Fault(0, "behind", "redis", lasts_s=2),
    )  # fmt: skip
    assert world.about("kill", "pause", "resume", "empty", "behind") == [
        ("kill", "redis"), ("pause", "postgres"), ("empty",), ("behind", 2), ("resume", "postgres"),
    ]  # fmt: skip


def test_a_workers_clock_jumps_ahead_and_is_set_right(tmp_path: Path) -> None:
    _, world = rage(tmp_path, Fault(0, "ahead", "sender-1", lasts_s=0.1))
    assert world.about("put", "right") == [("put", "sender-1", 0.1), ("right", "sender-1")]


def test_a_link_is_cut_and_mended(tmp_path: Path) -> None:
    _, world = rage(tmp_path, Fault(0, "cut", "sqs", 0.1, "sender-2"))
    assert world.about("change") == [
        ("change", "cut", "sender-2", "sqs"), ("change", "mend", "sender-2", "sqs")
    ]  # fmt: skip


def test_what_would_last_longer_than_the_storm_ends_with_it(tmp_path: Path) -> None:
    _, world = rage(tmp_path, Fault(0, "hold", "redis", 60, "*"), Fault(0, "pause", "caller", 60))
    ends = [("change", "mend", "*", "redis"), ("resume", "caller", "pid")]
    assert world.about("change", "resume")[1:] == ends
    assert world.calls[-2:] == [("mend",), ("calm",)]


def test_a_trap_that_somebody_reached_is_counted_and_the_others_are_lifted(tmp_path: Path) -> None:
    traps, world = Traps(tmp_path / "traps"), Recorder()
    storm = Storm(world, world, world, traps, world)  # type: ignore[arg-type]

    def reach(_: float) -> None:
        (tmp_path / "traps" / "3").unlink(missing_ok=True)

    storm.rage([Fault(0, "point", "3"), Fault(0, "point", "4")], 0.3, reach)
    assert (storm.points[3], storm.points[4]) == (1, 0)
    assert storm.faults == {"point": 2}
    assert traps.waiting() == set()
