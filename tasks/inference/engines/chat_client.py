"""Send questions to a server: paced, asked again while it fails, and stopped by what asking again cannot change."""

import asyncio
import logging
from collections import Counter
from collections.abc import Mapping

import httpx

from tasks.errors import ConfigError, UserError
from tasks.inference.engines.chat_errors import KEPT, Endpoint, Failure, QuestionRefused, outcome_of
from tasks.inference.engines.chat_replies import Reply
from tasks.inference.engines.request_pacing import REAL_TIME, Clock, Pace, back_off_s
from tasks.settings import ApiConfig

CONNECT_S = 20.0
# a server that asks to wait longer ends the run
LONGEST_WAIT_S = 600.0
# pauses that are logged: at most one line in so many seconds
LOG_INTERVAL_S = 10.0
# as many first questions refused for the same reason: it is the settings, not the questions
FIRST_REFUSALS = 8

log = logging.getLogger(__name__)
# they log every URL
for _name in ("httpx", "httpcore"):
    logging.getLogger(_name).setLevel(logging.WARNING)


class ChatClient:
    """Asks one endpoint. Rate limit and pauses outlive the event loop and the connections of a call."""

    def __init__(self, endpoint: Endpoint, api: ApiConfig, clock: Clock = REAL_TIME):
        self._endpoint, self._api, self._clock = endpoint, api, clock
        self._pace = Pace(api.requests_per_minute, clock)
        self._answered = 0
        self._refusals: Counter[str] = Counter()
        self._logged_s = float("-inf")

    def connections(self) -> httpx.AsyncClient:
        """New connections to the server, to be closed by the caller; redirects are not followed: they take the key."""
        return httpx.AsyncClient(
            headers=self._endpoint.headers,
            timeout=httpx.Timeout(self._api.timeout_s, connect=min(CONNECT_S, self._api.timeout_s), pool=None),
            limits=httpx.Limits(max_connections=self._api.concurrency),
        )

    async def complete(self, http: httpx.AsyncClient, body: Mapping[str, object]) -> Reply:
        """The answer to one request.

        Raises QuestionRefused if the server refuses this question, or fails at it while it answers others; ConfigError
        if it would refuse all; UserError if it answers nothing at all any more.
        """
        answered, failures = self._answered, 0
        while True:
            await self._pace.turn()
            found = await self._try(http, body)
            if isinstance(found, Reply):
                self._answered += 1
                return found
            failures += 1
            if failures > self._api.retries:
                break
            await self._wait(found, failures)
        fails = f"{self._endpoint.base_url} failed {failures} times, last with {found.reason}"
        if self._answered > answered:
            raise QuestionRefused(f"{fails}, and answered other questions meanwhile")
        raise UserError(f"{fails}: check the server; {KEPT}.")

    async def _try(self, http: httpx.AsyncClient, body: Mapping[str, object]) -> Reply | Failure:
        url, limit_s = self._endpoint.chat_url, self._api.timeout_s
        try:
            # httpx's own limit is one between two parts of a response
            async with asyncio.timeout(limit_s):
                response = await http.post(url, json=body)
        except (TimeoutError, httpx.TimeoutException):
            return Failure(f"no answer within {limit_s:g} s")
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            return Failure(self._endpoint.shown(str(error)) or type(error).__name__)
        try:
            return outcome_of(
                self._endpoint, response.status_code, response.headers, response.content, self._clock.today()
            )
        except QuestionRefused as error:
            self._count_refusal(str(error))
            raise

    def _count_refusal(self, reason: str) -> None:
        """Raise ConfigError if the server has answered nothing and refuses every question for one reason."""
        self._refusals[reason] += 1
        if not self._answered and self._refusals[reason] >= FIRST_REFUSALS:
            raise ConfigError(
                f"{self._endpoint.base_url} refuses all questions: {reason}; check the settings of inference and "
                "inference.api."
            ) from None

    async def _wait(self, failure: Failure, failures: int) -> None:
        """Wait after a failure: as long as the server asks, with all other requests, or longer each time."""
        chance = self._clock.chance()
        wait_s = back_off_s(failures, chance)
        if failure.wait_s is not None:
            if failure.wait_s > LONGEST_WAIT_S:
                raise UserError(
                    f"{self._endpoint.base_url} asks to wait {failure.wait_s:.0f} s ({failure.reason}): {KEPT}."
                )
            self._pace.pause(failure.wait_s)
            # not all at the same moment
            wait_s = failure.wait_s + chance
        if self._clock.now() - self._logged_s >= LOG_INTERVAL_S:
            self._logged_s = self._clock.now()
            log.warning("%s: %s; asked again in %.1f s", self._endpoint.base_url, failure.reason, wait_s)
        await self._clock.sleep(wait_s)
