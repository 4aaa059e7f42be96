import asyncio

import pytest

from tasks.inference.engines.request_pacing import Clock, Pace, back_off_s


class Time:
    """A clock that moves by sleeping alone."""

    def __init__(self):
        self.now_s = 100.0
        self.clock = Clock(now=lambda: self.now_s, sleep=self.sleep)

    async def sleep(self, seconds):
        until = self.now_s + seconds
        await asyncio.sleep(0)
        self.now_s = max(self.now_s, until)


def starts(pace, time, requests):
    found = []

    async def one():
        await pace.turn()
        found.append(round(time.now_s - 100, 6))

    async def every():
        await asyncio.gather(*(one() for _ in range(requests)))

    asyncio.run(every())
    return sorted(found)


def test_the_limit_holds_for_all_requests_together_and_across_calls():
    time = Time()
    pace = Pace(30, time.clock)
    assert starts(pace, time, 4) == [0, 2, 4, 6]
    # the loop of another call
    assert starts(pace, time, 2) == [8, 10]


def test_without_a_limit_nobody_waits_and_a_pause_holds_for_all():
    time = Time()
    pace = Pace(None, time.clock)
    assert starts(pace, time, 3) == [0, 0, 0]
    pace.pause(5)
    pace.pause(3)
    assert starts(pace, time, 3) == [5, 5, 5]


@pytest.mark.parametrize(("failures", "longest"), [(1, 1), (2, 2), (3, 4), (7, 60), (5000, 60)])
def test_pauses_double_to_a_minute_less_a_random_part(failures, longest):
    assert (back_off_s(failures, 0.0), back_off_s(failures, 1.0)) == (longest, longest / 2)
