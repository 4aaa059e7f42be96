"""Write answers in the form of the test set: one file per subset, and final.json with all records."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TypeVar

from tasks.errors import RsvlmError
from tasks.files import sha256_of, write_json
from tasks.inference.dialogues import Dialogue
from tasks.paths import FINAL_ANSWERS, PROBABILITIES, SUBSETS
from tasks.record_reader import Record, Turn
from tasks.records import Answer

Part = TypeVar("Part")


def subset_name(number: int) -> str:
    """The name of a subset, numbered from 1; up to 999 subsets sort by name in the order of the test set."""
    return f"filter_{number:03d}"


def cut_subsets(records: Sequence[Part], subset_size: int) -> Iterator[tuple[str, Sequence[Part]]]:
    """Cut the test set, in its order, into named subsets of `subset_size` records."""
    for number, start in enumerate(range(0, len(records), subset_size), start=1):
        yield subset_name(number), records[start : start + subset_size]


def join_answers(dialogues: Sequence[Dialogue], answers: Sequence[Answer]) -> list[Record]:
    """The records with the answers as gpt values; turns that were not asked are left out.

    Raises RsvlmError unless each asked turn has exactly one answer, and no other turn has any.
    """
    asked = Counter(dialogue.key(turn) for dialogue in dialogues for turn in dialogue.asked)
    given = Counter(answer.key for answer in answers)
    if asked != given or set(given.values()) - {1}:
        wrong = [key for key in {**asked, **given} if not asked[key] == given[key] == 1]
        raise RsvlmError(f"{len(wrong)} turns are not answered exactly once, first {wrong[0]}: this is a bug.")
    texts = {answer.key: answer.text for answer in answers}
    return [_answered_record(dialogue, texts) for dialogue in dialogues]


def write_joined(folder: Path, joined: Sequence[Record], subset_size: int) -> None:
    """Write the subsets' files, remove those of another subset size, and write final.json last."""
    files = {f"{name}_final.json": subset for name, subset in cut_subsets(joined, subset_size)}
    for name, subset in files.items():
        write_json(folder / SUBSETS / name, subset)
    for path in (folder / SUBSETS).glob("filter_*_final.json"):
        if path.name not in files:
            path.unlink()
    write_json(folder / FINAL_ANSWERS, joined)


def write_probabilities(folder: Path, dialogues: Sequence[Dialogue], answers: Mapping[str, Answer]) -> None:
    """Write the probabilities of the answers in final.json by record and turn; no file if the engine gives none."""
    path = folder / PROBABILITIES
    rows = [
        {"record": dialogue.record, "turn": turn, **answer.model_dump(include={"probability", "mean_log_probability"})}
        for dialogue in dialogues
        for turn in dialogue.asked
        if (answer := answers[dialogue.key(turn)]).probability is not None
    ]
    if not rows:
        path.unlink(missing_ok=True)
        return
    answered = sha256_of(folder / FINAL_ANSWERS)
    write_json(path, {"version": 1, "answers_sha256": answered, "probabilities": rows})


def _answered_record(dialogue: Dialogue, texts: Mapping[str, str]) -> Record:
    turns: list[Turn] = []
    for turn in dialogue.asked:
        human, *rest = dialogue.content["conversations"][2 * turn : 2 * turn + 2]
        # a last question may have no reference answer
        gpt: Turn = rest[0] if rest else {"from": "gpt", "value": ""}
        turns += [human, {**gpt, "value": texts[dialogue.key(turn)]}]
    return {**dialogue.content, "conversations": turns}
