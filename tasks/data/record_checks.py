"""What is wrong with records: each fault has a counted reason, and is repaired or drops the record.

A question or caption that is repaired keeps its words; only what cannot be learned from is taken away.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from tasks.data.filtering import UNANSWERED
from tasks.data.records_file import Record
from tasks.image_paths import image_key
from tasks.prompt_text import IMAGE_PLACEHOLDER, with_placeholder, without_placeholder
from tasks.record_faults import OTHER_ROLE, ROLES

Policy = Literal["repair", "drop"]
Turns = list[dict[str, Any]]

TWICE = "record stands twice"
SAME_ID = "id stands on several records"
UNORDERED = "turns not in the order human, gpt"
EMPTY_ANSWER = "answer empty"
NO_MARK = "<image> missing"
MANY_MARKS = "<image> more than once"
MISPLACED_MARK = "<image> not at the start of the first human turn"
SEVERAL_IDS = "image under several ids"


@dataclass(frozen=True)
class Checked:
    """The records that stay, and how many were dropped, repaired or merely noticed for which reason."""

    records: list[Record]
    dropped: dict[str, int]
    repaired: dict[str, int]
    noticed: dict[str, int]


def check_records(records: Sequence[Record], policy: Policy) -> Checked:
    """Repair or drop the records with a fault; the same record a second time is always dropped."""
    kept: list[Record] = []
    dropped: Counter[str] = Counter()
    repaired: Counter[str] = Counter()
    for record in _distinct(records, dropped):
        mended, faults = _mended(record)
        if faults and (policy == "drop" or not mended["conversations"]):
            dropped[faults[0] if mended["conversations"] or faults[0] == OTHER_ROLE else UNANSWERED] += 1
            continue
        repaired.update(faults)
        kept.append(mended if faults else record)
    kept = _with_own_ids(kept, policy, dropped if policy == "drop" else repaired)
    return Checked(kept, dict(dropped), dict(repaired), _noticed(kept))


def _distinct(records: Sequence[Record], dropped: Counter[str]) -> list[Record]:
    by_id: dict[str | int, list[Record]] = {}
    distinct = []
    for record in records:
        # only records of one id are compared: texts of all would be a second copy of the file
        others = by_id.setdefault(record["id"], [])
        if any(record == other for other in others):
            dropped[TWICE] += 1
        else:
            others.append(record)
            distinct.append(record)
    return distinct


def _mended(record: Record) -> tuple[Record, list[str]]:
    faults: list[str] = []
    turns: Turns = record["conversations"]
    for fault, mend in MENDERS:
        mended = mend(turns)
        if mended != turns:
            faults.append(fault)
            turns = mended
    return ({**record, "conversations": turns} if faults else record), faults


def _of_known_roles(turns: Turns) -> Turns:
    return [turn for turn in turns if turn["from"] in ROLES]


def _in_order(turns: Turns) -> Turns:
    """The pairs of a human turn and the answer right behind it; a last question without an answer may stay."""
    roles = [turn["from"] for turn in turns]
    if all(role == ("human", "gpt")[place % 2] for place, role in enumerate(roles)):
        return turns
    pairs = [place for place in range(len(roles) - 1) if roles[place : place + 2] == ["human", "gpt"]]
    return [turns[place + step] for place in pairs for step in (0, 1)]


def _answered(turns: Turns) -> Turns:
    pairs = [turns[place : place + 2] for place in range(0, len(turns), 2)]
    return [turn for pair in pairs if len(pair) < 2 or pair[1]["value"].strip() for turn in pair]


def _marks(turns: Turns) -> int:
    return sum(turn["value"].count(IMAGE_PLACEHOLDER) for turn in turns)


def _with_mark(turns: Turns) -> Turns:
    return turns if not turns or _marks(turns) else _mark_first(turns)


def _with_one_mark(turns: Turns) -> Turns:
    return _mark_first(turns) if _marks(turns) > 1 else turns


def _with_mark_in_place(turns: Turns) -> Turns:
    # before or behind the first question's words: both are the mark's place
    text = turns[0]["value"].strip() if turns else IMAGE_PLACEHOLDER
    return turns if text.startswith(IMAGE_PLACEHOLDER) or text.endswith(IMAGE_PLACEHOLDER) else _mark_first(turns)


def _mark_first(turns: Turns) -> Turns:
    bare = [
        {**turn, "value": without_placeholder(turn["value"])} if IMAGE_PLACEHOLDER in turn["value"] else turn
        for turn in turns
    ]
    return [{**bare[0], "value": with_placeholder(bare[0]["value"])}, *bare[1:]]


# pairs first: the mark then goes to the first question that is left
MENDERS: tuple[tuple[str, Callable[[Turns], Turns]], ...] = (
    (OTHER_ROLE, _of_known_roles),
    (UNORDERED, _in_order),
    (EMPTY_ANSWER, _answered),
    (NO_MARK, _with_mark),
    (MANY_MARKS, _with_one_mark),
    (MISPLACED_MARK, _with_mark_in_place),
)


def _with_own_ids(records: Sequence[Record], policy: Policy, counted: Counter[str]) -> list[Record]:
    """Give a further record of an id one of its own, or drop it."""
    taken = {record["id"] for record in records}
    seen: set[str | int] = set()
    own: list[Record] = []
    for record in records:
        if record["id"] not in seen:
            seen.add(record["id"])
            own.append(record)
            continue
        counted[SAME_ID] += 1
        if policy == "repair":
            number = 2
            while (name := f"{record['id']}-{number}") in taken:
                number += 1
            taken.add(name)
            own.append({**record, "id": name})
    return own


def _noticed(records: Sequence[Record]) -> dict[str, int]:
    ids: dict[str, set[str | int]] = {}
    for record in records:
        ids.setdefault(image_key(record["image"]), set()).add(record["id"])
    several = sum(len(names) > 1 for names in ids.values())
    # the split keeps them together: nothing is lost or repaired
    return {SEVERAL_IDS: several} if several else {}
