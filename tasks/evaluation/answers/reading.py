"""Answers of other programs, paired with the test set that they answer."""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

from tasks.errors import DataError
from tasks.evaluation.answers.formats import OWN, AnswerFile, recognise
from tasks.evaluation.answers.matching import BY_ID, Matching
from tasks.evaluation.answers.test_index import TestIndex
from tasks.evaluation.pairing import (
    PairedRecord,
    RecordText,
    iterate_texts,
    pair_records,
    pair_turns,
    paired_record,
    require_answered,
)
from tasks.evaluation.scores import AnswerOrigin, PartialAnswers

PARTIAL = "--partial"


@dataclass(frozen=True)
class ReadAnswers:
    """A test set paired with a model's answers; `origin` is None for those of rsvlm itself.

    `partial` says how many questions are answered; None if all are.
    """

    records: list[PairedRecord]
    origin: AnswerOrigin | None = None
    partial: PartialAnswers | None = None


def read_answers(test: Sequence[RecordText], path: Path, unnamed: str, partial: bool = False) -> ReadAnswers:
    """Pair a test set with the answers in a file of any known format.

    A file in the structure of the test set must have all its records, in its order; answers of other programs are
    matched in any order. With `partial` only the answered questions are kept, and answers to other questions are left
    out. Raises DataError for missing, foreign, ambiguous and contradicting answers.
    """
    file = recognise(path)
    if file.format == OWN and not partial:
        return ReadAnswers(pair_records(test, iterate_texts(path, numbers=True), unnamed))
    matching = _match(test, file)
    if partial:
        _require_own_ids(matching, path)
    else:
        _require_complete(matching, path)
    records = _paired(test, matching, unnamed, partial)
    origin: AnswerOrigin = {
        "file": path.name,
        "format": file.format,
        "matched_by": {way: number for way, number in matching.ways.items() if number},
        "repeated": matching.repeated,
        "foreign": matching.foreign.number,
    }
    asked, missing = len(matching.index.units), matching.missing.number
    left: PartialAnswers | None = {"answered": asked - missing, "questions": asked} if missing else None
    return ReadAnswers(records, None if file.format == OWN else origin, left)


def _match(test: Sequence[RecordText], file: AnswerFile) -> Matching:
    index = TestIndex(test)
    matching = _matched(index, file)
    if matching.foreign.number and 2 * matching.ways[BY_ID] < matching.rows:
        # the ids may be row numbers, such as VLMEvalKit's index, some of which are also ids of the test set
        with suppress(DataError):
            by_content = _matched(index, file, by_id=False)
            matching = matching if by_content.foreign.number else by_content
    if matching.foreign.number == matching.rows:
        raise DataError(
            f"{file.path} answers no question of the test set; its answers are to {matching.foreign}: give the test "
            "set that they answer, with its ids, or with its images and questions."
        )
    return matching


def _matched(index: TestIndex, file: AnswerFile, by_id: bool = True) -> Matching:
    matching = Matching(index, str(file.path), by_id)
    for given in file.answers():
        matching.add(given)
    matching.finish()
    return matching


def _require_own_ids(matching: Matching, path: Path) -> None:
    """Raise DataError if ids of the test set are those of other questions in the file: the rest may fit by chance."""
    if matching.contradicting.number:
        raise DataError(
            f"{path} has {matching.contradicting.number} answers whose ids the test set has for another question or "
            f"reference answer: {matching.contradicting}. Give the test set that they answer, with its ids."
        )


def _require_complete(matching: Matching, path: Path) -> None:
    if matching.foreign.number:
        raise DataError(
            f"{path} has {matching.foreign.number} answers to no question of the test set: {matching.foreign}. Give "
            f"the test set that they answer, or leave them out with {PARTIAL}."
        )
    if matching.missing.number:
        raise DataError(
            f"{path} lacks answers to {matching.missing.number} of {len(matching.index.units)} questions: "
            f"{matching.missing}. Answer them, or score the answered ones alone with {PARTIAL}."
        )


def _paired(test: Sequence[RecordText], matching: Matching, unnamed: str, partial: bool) -> list[PairedRecord]:
    """The records with their answers; if `partial`, without the questions and images that have none."""
    index = matching.index
    missing = {unit for unit in index.units if matching.answers[unit] is None} if matching.missing.number else set()
    silent = {index.image(unit) for unit in missing if index.is_caption(unit)}
    paired = []
    for number, record in enumerate(test):
        slots = index.slots_of(number)
        turns = pair_turns(record, [matching.answers[slot] for slot in slots])
        if not partial:
            require_answered(record, turns)
        found = paired_record(number, record, turns, unnamed)
        # all references of a captioned image stay, whichever of its prompts was answered
        kept = tuple(
            turn
            for slot, turn in zip(slots, turns, strict=True)
            if (found.image not in silent if turn.task == "captioning" else slot not in missing)
        )
        if kept:
            paired.append(paired_record(number, record, kept, unnamed))
    return paired


def keep_common(models: Sequence[ReadAnswers]) -> list[ReadAnswers]:
    """The questions that all models answer, where one of them answers a part only; raises DataError without any."""
    found = next((each.partial for each in models if each.partial), None)
    if found is None or len(models) == 1:
        return list(models)
    common = set.intersection(
        *({(record.index, turn.number) for record in each.records for turn in record.turns} for each in models)
    )
    kept = [[_with_turns(record, common) for record in each.records] for each in models]
    filled = [[record for record in records if record.turns] for records in kept]
    if not filled[0]:
        raise DataError("The two models answer no question in common: answer the rest of the test set.")
    partial: PartialAnswers = {**found, "answered": _count_answered(filled[0])}
    return [replace(each, records=records, partial=partial) for each, records in zip(models, filled, strict=True)]


def _with_turns(record: PairedRecord, kept: set[tuple[int, int]]) -> PairedRecord:
    return replace(record, turns=tuple(turn for turn in record.turns if (record.index, turn.number) in kept))


def _count_answered(records: Sequence[PairedRecord]) -> int:
    """The questions, and the images with a caption."""
    captioned = {record.image for record in records if record.asked_for("captioning")}
    return len(captioned) + sum(turn.task != "captioning" for record in records for turn in record.turns)
