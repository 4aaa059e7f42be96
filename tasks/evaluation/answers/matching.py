"""Find the question that each answer of another program's file is for: by id, by image and question, by position."""

from collections import Counter
from collections.abc import Iterator, Sequence

from tasks.errors import DataError
from tasks.evaluation.answers.given import GivenAnswer
from tasks.evaluation.answers.question_text import is_same_question, question_key
from tasks.evaluation.answers.test_index import Slot, TestIndex

BY_ID, BY_BOTH, BY_IMAGE = "id", "image and question", "image"
BY_QUESTION, BY_POSITION = "question", "position"
SHOWN = 3
OTHER_CONTENT = "whose id is there with another question, image or reference answer"


class Named:
    """A number of things, and the names of the first few."""

    def __init__(self) -> None:
        self.number = 0
        self._first: list[str] = []

    def add(self, name: str) -> None:
        """Count one more."""
        self.number += 1
        if len(self._first) < SHOWN:
            self._first.append(name)

    def __str__(self) -> str:
        more = self.number - len(self._first)
        return ", ".join(self._first) + (f" and {more} more" if more else "")


class Matching:
    """The answers of one file to the questions of a test set; `answers` has one for each question, or None.

    `ways` counts the answers by what matched them, `repeated` those that say the same again. `foreign` are those to no
    question of the test set, `contradicting` those of them whose id, without an image, is that of another question;
    `missing` are the questions without an answer. Without `by_id`, ids are taken as the file's own and match nothing.
    """

    def __init__(self, index: TestIndex, file: str, by_id: bool = True):
        self.index = index
        self.answers: list[str | None] = [None] * len(index)
        self.ways: Counter[str] = Counter()
        self.repeated = self.rows = self.by_row = 0
        self.foreign, self.contradicting, self.missing = Named(), Named(), Named()
        self._file, self._by_id = file, by_id

    def add(self, given: GivenAnswer) -> None:
        """Match one answer; raises DataError if it fits several questions, or if it contradicts another answer."""
        row, self.rows = self.rows, self.rows + 1
        for way, slots in self._candidates(given, row):
            fitting = [slot for slot in slots if self._fits(given, slot, way)]
            if fitting:
                self.ways[way] += given.answer is not None
                self.by_row += way == BY_POSITION and given.position is None
                self._keep(given, self._choose(given, fitting))
                return
        known = any(self.index.with_id(name) for name in given.ids)
        self.foreign.add(f"{given.name}, {OTHER_CONTENT}" if known else given.name)
        if known and given.image is None:
            self.contradicting.add(given.name)

    def _candidates(self, given: GivenAnswer, row: int) -> Iterator[tuple[str, Sequence[Slot]]]:
        index = self.index
        if self._by_id:
            yield from ((BY_ID, index.with_id(name)) for name in given.ids)
        if given.image is not None:
            images = index.images.find(given.image)
            yield (BY_IMAGE if given.question is None else BY_BOTH), index.about(images, given.question)
            return
        if given.ids and self._by_id:
            # an id that the test set does not have is that of another question, whatever its position
            return
        if given.question is not None:
            yield BY_QUESTION, index.asked_once(given.question)
        position = row if given.position is None else given.position
        if 0 <= position < len(index.units):
            yield BY_POSITION, index.units[position : position + 1]

    def _fits(self, given: GivenAnswer, slot: Slot, way: str) -> bool:
        """Whether everything that the file says about an answer's question is true of this one."""
        if way == BY_BOTH or (way == BY_IMAGE and self.index.is_caption(slot)):
            return True
        if way in (BY_IMAGE, BY_QUESTION):
            # an id that the test set does not have may be that of another question about the same image
            return not (way == BY_IMAGE and given.ids) and self._has_reference(given, slot)
        asks = None if given.question is None else is_same_question(given.question, self.index.question(slot))
        if asks is False:
            return False
        if way == BY_POSITION:
            # a position alone proves nothing
            return bool(asks or given.references) and self._has_reference(given, slot)
        if given.image is not None:
            images = self.index.images.find(given.image)
            return self.index.image(slot) in images if images else bool(asks)
        return self._has_reference(given, slot)

    def _has_reference(self, given: GivenAnswer, slot: Slot) -> bool:
        return not given.references or self.index.has_reference(slot, given.references)

    def _choose(self, given: GivenAnswer, slots: Sequence[Slot]) -> Slot:
        """The question that an answer is for; of equal ones the first without an answer."""
        index = self.index
        if given.question is not None and len(slots) > 1:
            key = question_key(given.question)
            slots = [slot for slot in slots if question_key(index.question(slot)) == key] or slots
        first = slots[0]
        if len(slots) > 1:
            equal = set(index.same(first))
            if others := [slot for slot in slots if slot not in equal]:
                raise DataError(
                    f"{self._file}, {given.name} fits several questions of the test set, such as {index.name(first)} "
                    f"and {index.name(others[0])}: give each answer its question's id, or image and question."
                )
        return next((slot for slot in slots if self.answers[slot] is None), first)

    def _keep(self, given: GivenAnswer, slot: Slot) -> None:
        if given.answer is None:
            # the question is then among those without an answer
            return
        if self.answers[slot] is None:
            self.answers[slot] = given.answer
        elif any(self.answers[other] == given.answer for other in self.index.same(slot)):
            self.repeated += 1
        else:
            raise DataError(
                f"{self._file}, {given.name} is a second, different answer to {self.index.name(slot)}: keep one."
            )

    def finish(self) -> None:
        """Give equal questions the same answer, and find the questions without one.

        Raises DataError if positions matched answers to a test set of another size or in another order.
        """
        if self.ways[BY_POSITION] and self.foreign.number:
            # the order is another one, so those that fit their position do so by chance
            raise DataError(
                f"{self._file} has neither ids nor images, and at {self.foreign.number} positions it answers a "
                f"question other than that of the test set: {self.foreign}. Give each answer its question's id, or "
                "image and question."
            )
        if self.by_row and self.rows != len(self.index.units):
            raise DataError(
                f"{self._file} has {self.rows} answers with neither an id nor an image, and the test set has "
                f"{len(self.index.units)} questions: give each answer its question's id, or image and question."
            )
        for slot in range(len(self.answers)):
            if self.answers[slot] is None and self._is_asked(slot):
                known = (self.answers[other] for other in self.index.same(slot))
                self.answers[slot] = next((answer for answer in known if answer is not None), None)
        for unit in self.index.units:
            if self.answers[unit] is None:
                self.missing.add(self.index.name(unit))

    def _is_asked(self, slot: Slot) -> bool:
        """Whether a question must be answered: of a record's caption prompts only the first."""
        record, turn = self.index.locate(slot)
        return record.tasks[turn] != "captioning" or "captioning" not in record.tasks[:turn]
