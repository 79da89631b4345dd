from huntaze_pipeline.orchestration.drain import Drained, drain


class Time:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


def test_work_that_is_there_is_done_without_a_pause() -> None:
    time, waiting = Time(), [5, 5, 0]

    def work() -> int:
        time.now += 0.5
        return waiting.pop(0) if waiting else 0

    assert drain(work, seconds=1, monotonic=time, sleep=time.sleep) == Drained(10, 2)


def test_an_idle_loop_polls_and_ends_on_time() -> None:
    time = Time()
    result = drain(lambda: 0, seconds=4, pause_s=0.1, monotonic=time, sleep=time.sleep)

    assert result.done == 0
    assert 4 <= time.now < 4.2
    assert 38 <= result.rounds <= 43


def test_a_started_piece_is_finished_even_when_the_time_is_up() -> None:
    time = Time()

    def slow() -> int:
        time.now += 60
        return 1

    assert drain(slow, seconds=4, monotonic=time, sleep=time.sleep) == Drained(1, 1)
