"""The questions of a test set, found by id, by image and by position."""

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterable, Sequence
from functools import cached_property
from itertools import accumulate

from tasks.evaluation.answers.given import id_text
from tasks.evaluation.answers.image_names import ImageNames
from tasks.evaluation.answers.question_text import question_key, shown
from tasks.evaluation.metrics.answer_matching import normalise_answer
from tasks.evaluation.pairing import RecordText
from tasks.image_paths import image_key

# the number of a question over the whole test set, from 0
Slot = int


class TestIndex:
    """A test set whose questions are numbered over all its records; an index is built when it is first needed."""

    # not a test of pytest
    __test__ = False

    def __init__(self, test: Sequence[RecordText]):
        self.test = test
        self._starts = [0, *accumulate(len(record.turns) for record in test)]

    def __len__(self) -> int:
        return self._starts[-1]

    def locate(self, slot: Slot) -> tuple[RecordText, int]:
        """The record of a question and its number there."""
        index = bisect_right(self._starts, slot) - 1
        return self.test[index], slot - self._starts[index]

    def slots_of(self, index: int) -> range:
        """The questions of one record."""
        return range(self._starts[index], self._starts[index + 1])

    def image(self, slot: Slot) -> str:
        """The key of the image that a question is about."""
        return image_key(self.locate(slot)[0].image)

    def question(self, slot: Slot) -> str:
        """The words of a question."""
        record, turn = self.locate(slot)
        return record.turns[turn][0]

    def is_caption(self, slot: Slot) -> bool:
        """Whether a question asks for a caption."""
        record, turn = self.locate(slot)
        return record.tasks[turn] == "captioning"

    def name(self, slot: Slot) -> str:
        """A question for messages."""
        record, turn = self.locate(slot)
        return f"{shown(record.turns[turn][0])} of record {record.name}"

    @cached_property
    def images(self) -> ImageNames:
        """The images by their names."""
        return ImageNames(self.test)

    @cached_property
    def units(self) -> Sequence[Slot]:
        """What must be answered: each question, and of an image's caption prompts the first."""
        units: list[Slot] = []
        captioned: set[str] = set()
        for index, record in enumerate(self.test):
            for slot, task in zip(self.slots_of(index), record.tasks, strict=True):
                if task != "captioning":
                    units.append(slot)
                elif (image := image_key(record.image)) not in captioned:
                    captioned.add(image)
                    units.append(slot)
        return units

    @cached_property
    def _records(self) -> dict[str, int | list[int]]:
        """The record with an id, or all of them where several have it or had it before."""
        found: dict[str, int | list[int]] = {}
        for index, record in enumerate(self.test):
            # the answers to the record that kept the id name the same one
            for name in (str(record.id), *filter(None, map(id_text, record.original_ids))):
                known = found.setdefault(name, index)
                if isinstance(known, list):
                    known.append(index)
                elif known != index:
                    found[name] = [known, index]
        return found

    @cached_property
    def _questions(self) -> dict[str, list[Slot]]:
        """The questions with an id of their own."""
        found: dict[str, list[Slot]] = defaultdict(list)
        for index, record in enumerate(self.test):
            for slot, name in zip(self.slots_of(index), record.question_ids, strict=False):
                if (text := id_text(name)) is not None:
                    found[text].append(slot)
        return found

    @cached_property
    def _by_image(self) -> dict[str, list[Slot]]:
        found: dict[str, list[Slot]] = defaultdict(list)
        for index, record in enumerate(self.test):
            found[image_key(record.image)] += self.slots_of(index)
        return found

    @cached_property
    def _by_question(self) -> dict[tuple[str, str], list[Slot]]:
        found: dict[tuple[str, str], list[Slot]] = defaultdict(list)
        for image, slots in self._by_image.items():
            for slot in slots:
                found[image, question_key(self.question(slot))].append(slot)
        return found

    def with_id(self, name: str) -> Sequence[Slot]:
        """The questions with this id, or all those of the records with it."""
        # a question's own id is more specific, and a table may hold 7 as 7.0
        for text in dict.fromkeys((name, name.removesuffix(".0"))):
            if text in self._questions:
                return self._questions[text]
            if text in self._records:
                found = self._records[text]
                records = found if isinstance(found, list) else [found]
                return [slot for index in records for slot in self.slots_of(index)]
        return ()

    def about(self, images: Iterable[str], question: str | None) -> list[Slot]:
        """The questions about these images, or those that are this one."""
        if question is None:
            return [slot for image in images for slot in self._by_image[image]]
        return [slot for image in images for slot in self._by_question.get((image, question_key(question)), ())]

    @cached_property
    def _asked_once(self) -> dict[str, Slot | None]:
        """The questions that the test set asks about a single image."""
        found: dict[str, Slot | None] = {}
        for (_, question), slots in self._by_question.items():
            found[question] = None if question in found else slots[0]
        return found

    def asked_once(self, question: str) -> Sequence[Slot]:
        """The question with these words if the whole test set asks it once."""
        slot = self._asked_once.get(question_key(question))
        return () if slot is None else (slot,)

    def same(self, slot: Slot) -> list[Slot]:
        """The questions with the same words about the same image, and for a caption prompt all others of its image."""
        image = self.image(slot)
        if self.is_caption(slot):
            return [other for other in self._by_image[image] if self.is_caption(other)]
        return self.about([image], self.question(slot))

    def has_reference(self, slot: Slot, references: Iterable[str]) -> bool:
        """Whether one of these texts is the reference answer to a question, or for a caption one of its image."""
        answered = self.same(slot) if self.is_caption(slot) else [slot]
        known = {normalise_answer(self._reference(other)) for other in answered}
        return any(normalise_answer(text) in known for text in references)

    def _reference(self, slot: Slot) -> str:
        record, turn = self.locate(slot)
        return record.turns[turn][1]
