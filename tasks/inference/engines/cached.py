"""Answers kept in a store by everything that decides them, and the engine that loads its model for missing ones only.

STORE/answers/CONTEXT/context.json    what all answers in the folder have in common: weights, engine, decoding
STORE/answers/CONTEXT/DIGEST.jsonl    answers of one writer; never changed, so any number may write at the same time
"""

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import cached_property
from hashlib import sha256

from tasks.errors import StoreError
from tasks.files import digest_of
from tasks.inference.answer_log import read_checked, with_checksum
from tasks.inference.engines.base import Engine, Outcome, PreparedEngine
from tasks.records import Answer, Question
from tasks.storage.object_store import ObjectStore

FOLDER, CONTEXT, SHARD_SUFFIX = "answers", "context.json", ".jsonl"
# answers per shard; a kill loses those of a shard that is not uploaded yet
SHARD_SIZE = 2000
# 2: answers have their probability
VERSION = 2


class AnswerCache:
    """The cached answers of one context.

    `key_of` returns the content key of a question, or None if its answer must not be cached. A store that fails is
    reported through `warn`; it costs time, never an answer.
    """

    def __init__(
        self,
        store: ObjectStore,
        context: dict[str, object],
        key_of: Callable[[Question], str | None],
        warn: Callable[[str], None],
    ):
        context = {"version": VERSION, **context}
        self._store, self._key_of, self._warn = store, key_of, warn
        self._folder = f"{FOLDER}/{digest_of(context)}"
        self._unsent: dict[str, Answer] = {}
        self._cached = self._read(json.dumps(context, indent=1) + "\n")

    def find(self, questions: Iterable[Question]) -> list[Answer]:
        """Return the cached answers to `questions`."""
        found = ((question, self._cached.get(self._key_of(question) or "")) for question in questions)
        return [answer.model_copy(update={"key": question.key}) for question, answer in found if answer]

    def add(self, questions: Sequence[Question], answers: Iterable[Answer]) -> None:
        """Cache answers to some of `questions`; full shards are uploaded."""
        asked = {question.key: question for question in questions}
        for answer in answers:
            key = self._key_of(asked[answer.key])
            if key is not None and key not in self._cached:
                self._cached[key] = self._unsent[key] = answer
        if len(self._unsent) >= SHARD_SIZE:
            self.send()

    def send(self) -> None:
        """Upload the answers that are not in the store yet."""
        if not self._unsent:
            return
        text = "".join(f"{_line_of(key, answer)}\n" for key, answer in self._unsent.items())
        try:
            # named by its content: writing a shard twice changes nothing, and no other writer's shard is touched
            self._store.create_text(f"{self._folder}/{sha256(text.encode()).hexdigest()}{SHARD_SUFFIX}", text)
        except StoreError as error:
            self._warn(f"{len(self._unsent)} answers are not kept for later runs: {error}")
        self._unsent = {}

    def _read(self, context: str) -> dict[str, Answer]:
        try:
            self._store.create_text(f"{self._folder}/{CONTEXT}", context)
            shards = [key for key in self._store.sizes_below(self._folder) if key.endswith(SHARD_SUFFIX)]
            return dict(row for shard in shards for row in _rows_of(self._store.read_text(shard) or ""))
        except StoreError as error:
            self._warn(f"Answers of earlier runs cannot be read, so all questions are asked: {error}")
            return {}


class CachedEngine:
    """Takes answers from the cache where it can and loads the model for the first question that is not in it.

    `is_exact` says that no answer depends on its batch.
    """

    def __init__(self, prepared: PreparedEngine, is_exact: bool, cache: AnswerCache | None):
        self.fingerprint = prepared.fingerprint
        self._prepared, self._is_exact, self._cache = prepared, is_exact, cache
        self._is_used = False

    def answer(self, questions: Sequence[Question]) -> Iterator[list[Outcome]]:
        cached = self._cache.find(questions) if self._cache else []
        if cached:
            yield list(cached)
        known = {answer.key for answer in cached}
        missing = [question for question in questions if question.key not in known]
        if not missing:
            return
        for outcomes in self._engine.answer(missing):
            if self._cache:
                self._cache.add(missing, (outcome for outcome in outcomes if isinstance(outcome, Answer)))
            yield outcomes

    @property
    def asks_again(self) -> bool:
        """Whether a sample of the answers is to be asked again: they may depend on their batch, and were asked now."""
        return self._is_used and not self._is_exact and self._prepared.asks_again

    def answer_alone(self, question: Question) -> Outcome:
        return self._engine.answer_alone(question)

    def prepare(self) -> None:
        """Without a cache, load the model now: what is wrong with it is reported before anything is written."""
        if self._cache is None:
            _ = self._engine

    def close(self) -> None:
        """Upload the new answers to the cache."""
        if self._cache:
            self._cache.send()

    @cached_property
    def _engine(self) -> Engine:
        self._is_used = True
        return self._prepared.load()


def _line_of(key: str, answer: Answer) -> str:
    row = {"content": key, **answer.model_dump(exclude={"key", "seconds"}, exclude_none=True)}
    return json.dumps(with_checksum(row), ensure_ascii=False)


def _rows_of(text: str) -> Iterator[tuple[str, Answer]]:
    """Yield content keys and answers; damaged lines are skipped."""
    for line in text.split("\n"):
        try:
            row = read_checked(line)
            yield str(row.pop("content")), Answer.model_validate({"key": "", **row})
        except (ValueError, KeyError):
            continue
