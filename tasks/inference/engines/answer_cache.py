"""Answers kept in a store by the content of all that decides them, so that nothing is computed twice.

STORE/answers/CONTEXT/context.json    what all answers below have in common: weights, engine, decoding
STORE/answers/CONTEXT/DIGEST.jsonl    answers of one writer, never changed: any number may write at the same time
"""

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from hashlib import sha256
from typing import Any

from tasks.errors import StoreError
from tasks.files import digest_of
from tasks.json_text import decode_json
from tasks.records import Answer, Question
from tasks.storage.object_store import ObjectStore

FOLDER, CONTEXT, SHARD_SUFFIX = "answers", "context.json", ".jsonl"
# answers that a kill may cost: those of a shard that is not yet sent
SHARD = 2000
VERSION = 1


class AnswerCache:
    """The kept answers of one context; `key_of` gives a question's content, None for what must not be kept.

    A store that fails costs time and never an answer: it is said through `warn`.
    """

    def __init__(
        self,
        store: ObjectStore,
        context: dict[str, Any],
        key_of: Callable[[Question], str | None],
        warn: Callable[[str], None],
    ):
        context = {"version": VERSION, **context}
        self._store, self._key_of, self._warn = store, key_of, warn
        self._folder = f"{FOLDER}/{digest_of(context)}"
        self._new: dict[str, Answer] = {}
        self._kept = self._read(json.dumps(context, indent=1) + "\n")

    def find(self, questions: Iterable[Question]) -> list[Answer]:
        """The kept answers among those to `questions`."""
        found = ((question, self._kept.get(self._key_of(question) or "")) for question in questions)
        return [answer.model_copy(update={"key": question.key}) for question, answer in found if answer]

    def add(self, questions: Sequence[Question], answers: Iterable[Answer]) -> None:
        """Keep answers to some of `questions`; they are sent in shards."""
        asked = {question.key: question for question in questions}
        for answer in answers:
            key = self._key_of(asked[answer.key])
            if key is not None and key not in self._kept:
                self._kept[key] = self._new[key] = answer
        if len(self._new) >= SHARD:
            self.send()

    def send(self) -> None:
        """Send what is not yet in the store."""
        if not self._new:
            return
        text = "".join(f"{_line_of(key, answer)}\n" for key, answer in self._new.items())
        try:
            # named by its content: the same shard twice is one, another writer's is never touched
            self._store.create_text(f"{self._folder}/{sha256(text.encode()).hexdigest()}{SHARD_SUFFIX}", text)
        except StoreError as error:
            self._warn(f"{len(self._new)} answers are not kept for later runs: {error}")
        self._new = {}

    def _read(self, context: str) -> dict[str, Answer]:
        try:
            self._store.create_text(f"{self._folder}/{CONTEXT}", context)
            shards = [key for key in self._store.sizes_below(self._folder) if key.endswith(SHARD_SUFFIX)]
            return dict(row for shard in shards for row in _rows_of(self._store.read_text(shard) or ""))
        except StoreError as error:
            self._warn(f"Answers of earlier runs cannot be looked up, so all are asked: {error}")
            return {}


def _line_of(key: str, answer: Answer) -> str:
    row = {"content": key, "text": answer.text, "tokens": answer.tokens}
    return json.dumps({**row, "check": digest_of(row)[:16]}, ensure_ascii=False)


def _rows_of(text: str) -> Iterator[tuple[str, Answer]]:
    """Contents and answers; a damaged line counts as not there."""
    for line in text.split("\n"):
        try:
            row = decode_json(line)
            check = row.pop("check")
            if digest_of(row)[:16] == check:
                yield row["content"], Answer(key="", text=row["text"], tokens=row["tokens"])
        except (ValueError, KeyError, TypeError, AttributeError):
            continue
