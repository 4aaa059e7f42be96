"""Which turns of a test set are asked, what the model sees before each, and the rounds in which they are asked."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, NamedTuple

from tasks.errors import DataError
from tasks.files import fits_utf8
from tasks.image_paths import require_images_inside
from tasks.inference.engines.base import Engine, Outcome, Refusal
from tasks.json_stream import iterate_values
from tasks.prompt_text import with_placeholder, without_placeholder
from tasks.record_reader import ADVICE, REWRITE, image_fault, is_of_another_tool, keys_of, role_fault
from tasks.records import Answer, Question
from tasks.settings.inference import CaptionTurns, History
from tasks.turn_tasks import turn_tasks

Role = Literal["human", "gpt"]


def key_of(record: int, turn: int) -> str:
    """The key of a turn: the index of its record in the test set and the number of its question, both from 0."""
    return f"{record}:{turn}"


@dataclass(frozen=True)
class Dialogue:
    """One record of the test set: its questions, its reference answers, and the turns that are asked.

    A turn is numbered by its question in the record, from 0.
    """

    record: int
    image: str
    questions: tuple[str, ...]
    references: tuple[str, ...]
    asked: tuple[int, ...]

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


def read_records(path: Path) -> list[dict[str, Any]]:
    """Read the records of a test set; raises DataError if the file is not a list of records."""
    records = []
    for index, listed in enumerate(iterate_values(path)):
        if not isinstance(listed.value, dict):
            where = listed.place(f"record {index}")
            raise DataError(f"{path}: {where} is not a record: give a test set as `rsvlm data split` writes it.")
        records.append(listed.value)
    if not records:
        raise DataError(f"{path} holds no records: there is nothing to ask.")
    require_images_inside(path, records)
    return records


def plan_questions(records: Sequence[dict[str, Any]], caption_turns: CaptionTurns) -> Plan:
    """Choose the turns to ask: all questions, and of a record's caption prompts the first or all.

    What cannot be asked becomes a refusal; nothing is skipped silently.
    """
    dialogues, refusals = [], []
    faults = [None if is_of_another_tool(record) else image_fault(record) or role_fault(record) for record in records]
    # dropping is no advice if it would leave nothing
    advice = "fix it" if all(faults) else f"fix it, or {ADVICE}"
    for index, (record, fault) in enumerate(zip(records, faults, strict=True)):
        if fault:
            refusals.append(Refusal(index, 0, f"it {fault.message}: {advice}"))
            continue
        try:
            dialogue = _read_dialogue(index, record, caption_turns)
        except DataError as error:
            refusals.append(Refusal(index, 0, str(error)))
            continue
        dialogues.append(dialogue)
        refusals += [
            Refusal(index, turn, f"question {turn + 1} is empty: write it, or drop it")
            for turn in dialogue.asked
            if not dialogue.has_question(turn)
        ]
    return Plan(dialogues, refusals)


def _read_dialogue(index: int, record: dict[str, Any], caption_turns: CaptionTurns) -> Dialogue:
    if not fits_utf8(record):
        raise DataError("it holds half a Unicode character (a lone surrogate): write it again")
    if "conversations" not in record:
        raise DataError(f"it has no conversations{keys_of(record)}: {REWRITE}")
    questions, references = _read_turns(record["conversations"])
    captions = [turn for turn, task in enumerate(turn_tasks(record)) if task == "captioning"]
    skipped = set(captions[1:]) if caption_turns == "first" else set()
    asked = tuple(turn for turn in range(len(questions)) if turn not in skipped)
    return Dialogue(index, record["image"], questions, references, asked)


def _read_turns(turns: Any) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Questions and reference answers; raises DataError unless human and gpt alternate, each with a text."""
    valid = isinstance(turns, list) and all(
        isinstance(turn, dict) and isinstance(turn.get("value"), str) for turn in turns
    )
    roles = [turn.get("from") for turn in turns] if valid else []
    if not roles or roles != [("human", "gpt")[number % 2] for number in range(len(roles))]:
        raise DataError("its conversations do not alternate human and gpt, with a text each: fix or drop it")
    texts = [turn["value"] for turn in turns]
    return tuple(texts[::2]), tuple(texts[1::2])


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
