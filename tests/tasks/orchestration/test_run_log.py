"""LineLimit shows slow lines and counts those that come too fast."""

from support.clock import Clock

from tasks.orchestration.run_log import LineLimit


def limit_of_three(shown: list[str], clock: Clock) -> LineLimit:
    return LineLimit(shown.append, "log.txt", max_lines=3, period_s=10, clock=clock)


def test_line_limit_shows_all_slow_lines(clock: Clock) -> None:
    shown: list[str] = []
    limit = limit_of_three(shown, clock)
    for number in range(30):
        limit.add(str(number))
        clock.now += 4
    limit.close()
    assert shown == [str(number) for number in range(30)]


def test_line_limit_reports_the_number_of_dropped_lines(clock: Clock) -> None:
    shown: list[str] = []
    limit = limit_of_three(shown, clock)
    for number in range(10):
        limit.add(str(number))
    assert shown == ["0", "1", "2", "More than 3 lines in 10 s: the next are only in log.txt."]
    clock.now = 10
    limit.add("later")
    assert shown[4:] == ["7 lines are left out here; they are in log.txt.", "later"]


def test_line_limit_reports_dropped_lines_when_it_is_closed(clock: Clock) -> None:
    shown: list[str] = []
    limit = limit_of_three(shown, clock)
    for number in range(5):
        limit.add(str(number))
    limit.close()
    limit.close()
    assert shown[4:] == ["2 lines are left out here; they are in log.txt."]
