"""Which turns of a test set are asked, what the model sees before each, and the rounds in which they are asked."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Literal, NamedTuple

from tasks.choices import CaptionTurns, History
from tasks.errors import DataError
from tasks.files import fits_utf8
from tasks.inference.engines.base import Engine, Outcome, Refusal
from tasks.prompt_text import with_placeholder, without_placeholder
from tasks.record_reader import (
    ABSOLUTE,
    FIX,
    FIX_OR_DROP,
    LONE_SURROGATE,
    NO_PATH,
    OUTSIDE,
    Record,
    alternates,
    image_fault,
    is_record,
    iterate_entries,
    shape_advice,
    shape_fault,
    usability_fault,
)
from tasks.records import Answer, Question
from tasks.turn_tasks import turn_tasks

Role = Literal["human", "gpt"]


def key_of(record: int, turn: int) -> str:
    """The key of a turn: the index of its record in the test set and the number of its question, both from 0."""
    return f"{record}:{turn}"


@dataclass(frozen=True)
class Dialogue:
    """One record of the test set and the turns of it that are asked.

    `record` is its position in the test set. A turn is numbered by its question in the record, from 0.
    """

    record: int
    content: Record
    asked: tuple[int, ...]

    @property
    def image(self) -> str:
        """The path of its image."""
        return self.content["image"]

    @cached_property
    def questions(self) -> tuple[str, ...]:
        """Its questions, in order."""
        return tuple(turn["value"] for turn in self.content["conversations"][::2])

    @cached_property
    def references(self) -> tuple[str, ...]:
        """Its reference answers; a last question may have none."""
        return tuple(turn["value"] for turn in self.content["conversations"][1::2])

    def key(self, turn: int) -> str:
        """The key of a turn."""
        return key_of(self.record, turn)

    def has_question(self, turn: int) -> bool:
        """Whether a turn asks anything besides showing the image."""
        return bool(without_placeholder(self.questions[turn]))

    @property
    def keys(self) -> list[str]:
        """The keys of the asked turns."""
        return [self.key(turn) for turn in self.asked]


@dataclass(frozen=True)
class Plan:
    """The dialogues that are asked, and refusals of what cannot be asked."""

    dialogues: list[Dialogue]
    refusals: list[Refusal]

    @property
    def keys(self) -> list[str]:
        """The keys of all asked turns, in the order of the test set."""
        return [key for dialogue in self.dialogues for key in dialogue.keys]

    @cached_property
    def askable_keys(self) -> frozenset[str]:
        """The keys of all asked turns without the refused ones."""
        return frozenset(self.keys) - {key_of(refusal.record, refusal.turn) for refusal in self.refusals}


def read_test_set(path: Path) -> list[dict[str, object]]:
    """Read a test set; its records are validated by plan_questions, which refuses single ones.

    Raises DataError if the file is not a list of objects, or if an image path leaves the images folder.
    """
    records = []
    for entry in iterate_entries(path):
        if not isinstance(entry.value, dict):
            advice = "give a test set as `rsvlm data split` writes it"
            raise DataError(f"{entry.location} {shape_fault(entry.value)}; {advice}.")
        if (fault := image_fault(entry.value)) and fault.reason in (OUTSIDE, ABSOLUTE, NO_PATH):
            raise DataError(f"{entry.location} {fault.message}; {FIX_OR_DROP}.")
        records.append(entry.value)
    if not records:
        raise DataError(f"{path} holds no records: there is nothing to ask.")
    return records


def plan_questions(records: Sequence[Mapping[str, object]], caption_turns: CaptionTurns) -> Plan:
    """Choose the turns to ask: all questions, and of a record's caption prompts the first or all.

    What cannot be asked becomes a refusal; nothing is skipped silently.
    """
    dialogues, refusals = [], []
    valid = [record if is_record(record) else None for record in records]
    faults = [record and usability_fault(record) for record in valid]
    # dropping is no advice if it would leave nothing
    advice = "fix it" if all(faults) else FIX_OR_DROP
    for index, (record, fault) in enumerate(zip(valid, faults, strict=True)):
        if record is None:
            given = records[index]
            refusals.append(Refusal(index, 0, f"it {shape_fault(given)}: {shape_advice(given)}"))
        elif fault:
            refusals.append(Refusal(index, 0, f"it {fault.message}: {advice}"))
        elif not fits_utf8(record):
            refusals.append(Refusal(index, 0, f"it holds {LONE_SURROGATE}: write it again"))
        elif not alternates(record["conversations"]):
            refusals.append(Refusal(index, 0, f"its conversations do not alternate human and gpt: {FIX}"))
        else:
            dialogue = _dialogue_of(index, record, caption_turns)
            dialogues.append(dialogue)
            refusals += _empty_questions(dialogue)
    return Plan(dialogues, refusals)


def _dialogue_of(index: int, record: Record, caption_turns: CaptionTurns) -> Dialogue:
    tasks = turn_tasks(record)
    captions = [turn for turn, task in enumerate(tasks) if task == "captioning"]
    skipped = set(captions[1:]) if caption_turns == "first" else set()
    return Dialogue(index, record, tuple(turn for turn in range(len(tasks)) if turn not in skipped))


def _empty_questions(dialogue: Dialogue) -> list[Refusal]:
    return [
        Refusal(dialogue.record, turn, f"question {turn + 1} is empty: write it, or drop it")
        for turn in dialogue.asked
        if not dialogue.has_question(turn)
    ]


def ready_questions(
    dialogue: Dialogue, history: History, answers: Mapping[str, str], tried: Collection[str]
) -> list[Question]:
    """The questions of a dialogue that are neither answered nor tried, and whose history is known.

    With `predicted` history a turn needs the model's answers to all turns before it.
    """
    missing = [turn for turn in dialogue.asked if dialogue.key(turn) not in answers]
    if history == "predicted":
        missing = missing[:1]
    return [
        question_of(dialogue, turn, history, answers)
        for turn in missing
        if dialogue.key(turn) not in tried and dialogue.has_question(turn)
    ]


def question_of(dialogue: Dialogue, turn: int, history: History, answers: Mapping[str, str]) -> Question:
    """A turn with everything the model sees of the dialogue; with `predicted` history only earlier asked turns."""
    return Question(
        key=dialogue.key(turn),
        record=dialogue.record,
        turn=turn,
        image=dialogue.image,
        turns=_visible_turns(dialogue, turn, history, answers),
    )


def _visible_turns(
    dialogue: Dialogue, turn: int, history: History, answers: Mapping[str, str]
) -> tuple[tuple[Role, str], ...]:
    first = turn if history == "independent" else 0
    visible: list[tuple[Role, str]] = []
    for earlier in range(first, turn):
        if history == "predicted" and earlier not in dialogue.asked:
            continue
        answer = answers[dialogue.key(earlier)] if history == "predicted" else dialogue.references[earlier]
        visible += [("human", dialogue.questions[earlier]), ("gpt", answer)]
    visible.append(("human", dialogue.questions[turn]))
    # only a record's first turn carries the placeholder, but every prompt must show the image
    return (("human", with_placeholder(visible[0][1])), *visible[1:])


def ask_dialogues(
    dialogues: Sequence[Dialogue], history: History, engine: Engine, answers: Mapping[str, str]
) -> Iterator[list[Outcome]]:
    """Ask all turns without an answer, in as many rounds as their history needs.

    Independent and reference history need one round, predicted history one per turn: the caller adds the yielded
    answers to `answers` before it continues. A turn after one without an answer is refused.
    """
    tried: set[str] = set()
    while ready := [
        question for dialogue in dialogues for question in ready_questions(dialogue, history, answers, tried)
    ]:
        tried |= {question.key for question in ready}
        yield from engine.answer(ready)
    known = tried | answers.keys()
    blocked: list[Outcome] = [
        Refusal(dialogue.record, turn, "an earlier question of the same record has no answer")
        for dialogue in dialogues
        for turn in dialogue.asked
        if dialogue.has_question(turn) and dialogue.key(turn) not in known
    ]
    if blocked:
        yield blocked


class Comparison(NamedTuple):
    """How many answers were asked again, and how many of them came out the same."""

    asked: int
    equal: int


def compare_alone(
    dialogues: Sequence[Dialogue], history: History, engine: Engine, texts: Mapping[str, str], sample: int
) -> Comparison:
    """Ask up to `sample` answered turns again, one prompt at a time, spread evenly over the test set."""
    turns = [(dialogue, turn) for dialogue in dialogues for turn in dialogue.asked if dialogue.key(turn) in texts]
    step = max(1, len(turns) // sample)
    chosen = turns[::step][:sample]
    equal = 0
    for dialogue, turn in chosen:
        outcome = engine.answer_alone(question_of(dialogue, turn, history, texts))
        equal += isinstance(outcome, Answer) and outcome.text == texts[dialogue.key(turn)]
    return Comparison(len(chosen), equal)
