"""Which turns of a test set are asked, and what the model sees of the dialogue before each."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

from tasks.errors import DataError
from tasks.files import fits_utf8
from tasks.image_paths import require_images_inside
from tasks.inference.engines.base import Refusal
from tasks.json_stream import iterate_values
from tasks.model.llava.prompt import IMAGE_PLACEHOLDER, place_image
from tasks.record_faults import ADVICE, WRITE_ANEW, image_fault, keys_of, of_another_tool, role_fault
from tasks.records import Question
from tasks.turn_tasks import turn_tasks

History = Literal["independent", "predicted", "reference"]
CaptionTurns = Literal["first", "all"]
Role = Literal["human", "gpt"]


def key_of(record: int, turn: int) -> str:
    """The key of a turn: its record's place in the test set and the number of its question."""
    return f"{record}:{turn}"


@dataclass(frozen=True)
class Dialogue:
    """The turns of one record that are asked: its questions, and its true answers where it has them.

    A turn's number is that of its question in the record, from 0.
    """

    record: int
    image: str
    questions: tuple[str, ...]
    references: tuple[str, ...]
    asked: tuple[int, ...]

    def key(self, turn: int) -> str:
        return key_of(self.record, turn)

    def is_question(self, turn: int) -> bool:
        """Whether anything is asked beside the image."""
        return bool(self.questions[turn].replace(IMAGE_PLACEHOLDER, "").strip())

    @property
    def keys(self) -> list[str]:
        return [self.key(turn) for turn in self.asked]


@dataclass(frozen=True)
class Plan:
    """All that is asked of a test set, and what cannot be asked."""

    dialogues: list[Dialogue]
    refusals: list[Refusal]

    @property
    def keys(self) -> list[str]:
        """The keys of all asked turns, in the order of the test set."""
        return [key for dialogue in self.dialogues for key in dialogue.keys]

    @cached_property
    def askable_keys(self) -> frozenset[str]:
        """The keys of all asked turns but the refused ones."""
        return frozenset(self.keys) - {key_of(refusal.record, refusal.turn) for refusal in self.refusals}


def read_records(path: Path) -> list[dict[str, Any]]:
    """The records of a test set; raises DataError when the file is not a list of records."""
    records = []
    for index, listed in enumerate(iterate_values(path)):
        if not isinstance(listed.value, dict):
            place = listed.place(f"record {index}")
            raise DataError(f"{path}: {place} is no record: give a test set as `rsvlm data split` writes it.")
        records.append(listed.value)
    if not records:
        raise DataError(f"{path} holds no records: there is nothing to ask.")
    require_images_inside(path, records)
    return records


def plan_questions(records: Sequence[dict[str, Any]], caption_turns: CaptionTurns) -> Plan:
    """Choose the turns to ask: all questions, and of a record's prompts for captions the first or all.

    What cannot be asked is refused by name and never left out in silence.
    """
    dialogues, refusals = [], []
    faults = [None if of_another_tool(record) else image_fault(record) or role_fault(record) for record in records]
    # where nothing would be left, dropping it is no advice
    advice = "mend it" if all(faults) else f"mend it, or {ADVICE}"
    for index, (record, fault) in enumerate(zip(records, faults, strict=True)):
        if fault:
            refusals.append(Refusal(index, 0, f"it {fault.said}: {advice}"))
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
            if not dialogue.is_question(turn)
        ]
    return Plan(dialogues, refusals)


def _read_dialogue(index: int, record: dict[str, Any], caption_turns: CaptionTurns) -> Dialogue:
    if not fits_utf8(record):
        raise DataError("it holds half a Unicode character (a lone surrogate): write it again")
    if "conversations" not in record:
        raise DataError(f"it has no conversations{keys_of(record)}: {WRITE_ANEW}")
    questions, references = _read_turns(record["conversations"])
    captions = [turn for turn, task in enumerate(turn_tasks(record)) if task == "captioning"]
    left_out = set(captions[1:]) if caption_turns == "first" else set()
    asked = tuple(turn for turn in range(len(questions)) if turn not in left_out)
    return Dialogue(index, record["image"], questions, references, asked)


def _read_turns(turns: Any) -> tuple[tuple[str, ...], tuple[str, ...]]:
    whole = isinstance(turns, list) and all(
        isinstance(turn, dict) and isinstance(turn.get("value"), str) for turn in turns
    )
    roles = [turn.get("from") for turn in turns] if whole else []
    if not roles or roles != [("human", "gpt")[place % 2] for place in range(len(roles))]:
        raise DataError("its conversations are not turns of human and gpt with a text each: mend or drop it")
    texts = [turn["value"] for turn in turns]
    return tuple(texts[::2]), tuple(texts[1::2])


def ready_questions(
    dialogue: Dialogue, history: History, answers: Mapping[str, str], tried: Collection[str]
) -> list[Question]:
    """The questions of a dialogue that are neither answered nor tried and whose history is known.

    With `predicted` history a turn waits for the model's answers to all turns before it.
    """
    missing = [turn for turn in dialogue.asked if dialogue.key(turn) not in answers]
    if history == "predicted":
        missing = missing[:1]
    return [
        question_of(dialogue, turn, history, answers)
        for turn in missing
        if dialogue.key(turn) not in tried and dialogue.is_question(turn)
    ]


def question_of(dialogue: Dialogue, turn: int, history: History, answers: Mapping[str, str]) -> Question:
    """A turn with all that the model is shown of the dialogue; with `predicted` history, the earlier turns asked."""
    return Question(
        key=dialogue.key(turn),
        record=dialogue.record,
        turn=turn,
        image=dialogue.image,
        turns=_shown_turns(dialogue, turn, history, answers),
    )


def _shown_turns(
    dialogue: Dialogue, turn: int, history: History, answers: Mapping[str, str]
) -> tuple[tuple[Role, str], ...]:
    first = turn if history == "independent" else 0
    shown: list[tuple[Role, str]] = []
    for place in range(first, turn):
        if history == "predicted" and place not in dialogue.asked:
            continue
        said = answers[dialogue.key(place)] if history == "predicted" else dialogue.references[place]
        shown += [("human", dialogue.questions[place]), ("gpt", said)]
    shown.append(("human", dialogue.questions[turn]))
    return (("human", _with_image(shown[0][1])), *shown[1:])


def _with_image(text: str) -> str:
    # only a record's first turn carries the placeholder, but every prompt must show the image
    return place_image(text if IMAGE_PLACEHOLDER in text else f"{IMAGE_PLACEHOLDER}\n{text}")
