"""An engine whose model is loaded with the first question that no kept answer answers."""

from collections.abc import Callable, Iterator, Sequence
from functools import cached_property

from tasks.inference.engines.answer_cache import AnswerCache
from tasks.inference.engines.base import Engine, Refusal
from tasks.records import Answer, Question


class LazyEngine:
    """Answers from `cache` where it can, and from the engine that `load` gives; `is_used` tells that it was needed."""

    def __init__(self, fingerprint: str, is_exact: bool, load: Callable[[], Engine], cache: AnswerCache | None):
        self.fingerprint, self.is_exact = fingerprint, is_exact
        self.is_used = False
        self._load, self._cache = load, cache

    def answer(self, questions: Sequence[Question]) -> Iterator[list[Answer | Refusal]]:
        kept = self._cache.find(questions) if self._cache else []
        if kept:
            yield list(kept)
        known = {answer.key for answer in kept}
        missing = [question for question in questions if question.key not in known]
        if not missing:
            return
        for outcomes in self._engine.answer(missing):
            if self._cache:
                self._cache.add(missing, (outcome for outcome in outcomes if isinstance(outcome, Answer)))
            yield outcomes

    def answer_alone(self, question: Question) -> Answer | Refusal:
        return self._engine.answer_alone(question)

    def prepare(self) -> None:
        """Load the model now where no cache could do without it: what is wrong with it is said before anything else."""
        if self._cache is None:
            _ = self._engine

    def close(self) -> None:
        """Send the new answers to the cache."""
        if self._cache:
            self._cache.send()

    @cached_property
    def _engine(self) -> Engine:
        self.is_used = True
        return self._load()
