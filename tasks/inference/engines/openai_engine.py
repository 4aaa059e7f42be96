"""The engine that asks a model behind an OpenAI-compatible server: vLLM, SGLang, TGI or a commercial one.

Up to `inference.api.concurrency` questions are asked at a time, those about one image after each other; answers are
passed on as they come.
"""

import asyncio
from collections.abc import Coroutine, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial

import httpx

from tasks.errors import DataError, UserError
from tasks.inference.engines.api_key import read_api_key
from tasks.inference.engines.background_loop import background_loop, cancel_others, cancel_tasks
from tasks.inference.engines.base import Outcome, PreparedEngine, group_by_image, refuse
from tasks.inference.engines.chat_client import ChatClient
from tasks.inference.engines.chat_errors import Endpoint
from tasks.inference.engines.chat_messages import messages_of, png_url, request_body
from tasks.inference.engines.chat_replies import LENGTH, Reply
from tasks.inference.engines.request_pacing import REAL_TIME, Clock
from tasks.inference.image_transforms import read_test_image
from tasks.inference.request import PredictRequest
from tasks.records import Answer, Question, Served


def prepare(request: PredictRequest) -> PreparedEngine:
    """Prepare the engine of a request; raises ConfigError for a key that must not be sent. Nothing is asked yet."""
    api = request.config.api
    # the settings require both
    assert api.base_url and api.model
    endpoint = Endpoint(api.base_url, api.model, read_api_key(api.base_url))
    fingerprint = " ".join(filter(None, ("openai", api.model, api.revision)))
    # sampled answers differ anyway, and every question asked again may cost money
    repeatable = not request.config.temperature and "temperature" not in api.extra
    return PreparedEngine(fingerprint, lambda: OpenAiEngine(request, endpoint), asks_again=repeatable)


class OpenAiEngine:
    """Answers through chat completions; the server's batching may change an answer."""

    def __init__(self, request: PredictRequest, endpoint: Endpoint, clock: Clock = REAL_TIME):
        self._request, self._config = request, request.config
        self._client = ChatClient(endpoint, request.config.api, clock)

    def answer(self, questions: Sequence[Question]) -> Iterator[list[Outcome]]:
        ordered = [question for group in group_by_image(questions) for question in group]
        with self._session() as session:
            pending = {session.start(self._ask(session, question)) for question in ordered}
            while pending:
                done, pending = wait(pending, return_when=FIRST_COMPLETED)
                ended = [future for future in done if not future.cancelled()]
                outcomes = [future.result() for future in ended if future.exception() is None]
                # answers that are paid for are kept, whatever ends the run
                if outcomes:
                    yield outcomes
                for future in ended:
                    future.result()

    def answer_alone(self, question: Question) -> Outcome:
        with self._session() as session:
            return session.start(self._ask(session, question)).result()

    @contextmanager
    def _session(self) -> Iterator["Session"]:
        with background_loop() as loop:
            pool = ThreadPoolExecutor(self._config.image_workers, "images")
            slots = asyncio.Semaphore(self._config.api.concurrency)
            session = Session(loop, self._client.connections(), pool, slots)
            try:
                yield session
            finally:
                session.end()

    async def _ask(self, session: "Session", question: Question) -> Outcome:
        async with session.slots:
            try:
                url = await session.image_url(self._request, question.image or "")
                messages = messages_of(question.turns, url, self._config.api.image_detail)
                body = request_body(self._config, question.key, messages)
                return self._outcome(question, await self._client.complete(session.http, body))
            except DataError as error:
                return refuse(question, error)
            except UserError:
                # before the slot is free: no further question is sent to a server that ends the run
                cancel_others()
                raise

    def _outcome(self, question: Question, reply: Reply) -> Outcome:
        if reply.finish == LENGTH and not reply.text:
            return refuse(
                question,
                f"the model's {self._config.max_new_tokens} tokens hold no answer: raise inference.max_new_tokens, or "
                "turn off its reasoning by inference.api.extra",
            )
        model = None if reply.model == self._config.api.model else reply.model
        served = Served(prompt_tokens=reply.prompt_tokens, model=model, finish=reply.finish)
        known = self._probability(reply)
        return Answer(key=question.key, text=reply.text, tokens=reply.tokens or 0, served=served, **known)

    def _probability(self, reply: Reply) -> dict[str, float]:
        if self._config.temperature or not reply.log_probabilities:
            return {}
        # only here: it imports torch
        from tasks.inference.engines.decoding import answer_probability

        return answer_probability(reply.log_probabilities)


@dataclass(frozen=True)
class Session:
    """What the requests of one call share: the event loop, the connections, and the images of the current questions."""

    loop: asyncio.AbstractEventLoop
    http: httpx.AsyncClient
    pool: ThreadPoolExecutor
    slots: asyncio.Semaphore
    urls: dict[str, "asyncio.Future[str]"] = field(default_factory=dict)

    def start(self, work: Coroutine[object, object, Outcome]) -> Future[Outcome]:
        """Start a coroutine; its result is collected by the caller's thread."""
        return asyncio.run_coroutine_threadsafe(work, self.loop)

    async def image_url(self, request: PredictRequest, name: str) -> str:
        """The data URL of an image, encoded once for all questions about it; raises DataError if it is unreadable."""
        if name not in self.urls:
            # questions about one image are neighbours: those of the slots need few images
            while len(self.urls) > request.config.api.concurrency:
                del self.urls[next(iter(self.urls))]
            encode = partial(_encode, request, name)
            self.urls[name] = self.loop.run_in_executor(self.pool, encode)
        # one question that is cancelled must not take the image from the others
        return await asyncio.shield(self.urls[name])

    def end(self) -> None:
        """Cancel what is left of the requests, and close the connections."""
        asyncio.run_coroutine_threadsafe(self._end(), self.loop).result()
        self.pool.shutdown(cancel_futures=True)

    async def _end(self) -> None:
        await cancel_tasks()
        await self.http.aclose()


def _encode(request: PredictRequest, name: str) -> str:
    return png_url(read_test_image(request.images, name, request.config.transform))
