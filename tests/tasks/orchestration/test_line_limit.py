"""Lines that come too fast are counted, not shown; slow ones are all shown."""

import pytest

from tasks.orchestration.line_limit import LineLimit


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def limit_of_three(shown: list[str], clock: Clock) -> LineLimit:
    return LineLimit(shown.append, "log.txt", most=3, every_s=10, clock=clock)


def test_slow_lines_are_all_shown(clock: Clock) -> None:
    shown: list[str] = []
    limit = limit_of_three(shown, clock)
    for number in range(30):
        limit.hear(str(number))
        clock.now += 4
    limit.close()
    assert shown == [str(number) for number in range(30)]


def test_of_lines_that_come_too_fast_the_number_is_said(clock: Clock) -> None:
    shown: list[str] = []
    limit = limit_of_three(shown, clock)
    for number in range(10):
        limit.hear(str(number))
    assert shown == ["0", "1", "2", "More than 3 lines in 10 s: the next are only in log.txt."]
    clock.now = 10
    limit.hear("later")
    assert shown[4:] == ["7 lines are left out here; they are in log.txt.", "later"]


def test_the_number_is_said_at_the_end_too(clock: Clock) -> None:
    shown: list[str] = []
    limit = limit_of_three(shown, clock)
    for number in range(5):
        limit.hear(str(number))
    limit.close()
    limit.close()
    assert shown[4:] == ["2 lines are left out here; they are in log.txt."]
