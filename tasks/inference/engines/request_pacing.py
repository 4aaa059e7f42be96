"""When the next request may be sent: the rate limit and the pauses that a server asks for hold for all requests."""

import asyncio
import random
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

FIRST_PAUSE_S, LONGEST_PAUSE_S = 1.0, 60.0


@dataclass(frozen=True)
class Clock:
    """Time in seconds, monotonic (`now`) and since 1970 (`today`), and chance from 0 to 1; tests replace them."""

    now: Callable[[], float] = time.monotonic
    today: Callable[[], float] = time.time
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
    chance: Callable[[], float] = random.random


REAL_TIME = Clock()


class Pace:
    """Spaces requests evenly and holds them back during a pause; used by the tasks of one event loop at a time."""

    def __init__(self, requests_per_minute: float | None, clock: Clock):
        self._interval_s = 60 / requests_per_minute if requests_per_minute else 0.0
        self._clock = clock
        self._next_s = self._paused_until_s = float("-inf")

    async def turn(self) -> None:
        """Wait until a request may be sent."""
        start_s = max(self._clock.now(), self._next_s)
        self._next_s = start_s + self._interval_s
        await self._sleep_until(start_s)
        # another request may be told to wait while this one does
        while self._paused_until_s > self._clock.now():
            await self._sleep_until(self._paused_until_s)

    def pause(self, seconds: float) -> None:
        """Send nothing for some seconds."""
        self._paused_until_s = max(self._paused_until_s, self._clock.now() + seconds)

    async def _sleep_until(self, time_s: float) -> None:
        if (rest_s := time_s - self._clock.now()) > 0:
            await self._clock.sleep(rest_s)


def back_off_s(failures: int, chance: float) -> float:
    """The pause after a number of failures: it doubles, and `chance` from 0 to 1 takes away up to half of it."""
    longest_s = min(LONGEST_PAUSE_S, FIRST_PAUSE_S * 2.0 ** min(failures - 1, 30))
    return longest_s * (1 - chance / 2)
