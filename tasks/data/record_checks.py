"""Select usable records of the chosen sources, and repair or drop records with a fault; each fault is counted.

A repair never changes the words of a question or caption; it only removes what cannot be learned from.
"""

from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, cast

from tasks.data.records_file import AnyRecord, counted_by_source
from tasks.errors import DataError
from tasks.image_paths import image_key
from tasks.prompt_text import IMAGE_PLACEHOLDER, ensure_placeholder, without_placeholder
from tasks.record_reader import (
    ABSOLUTE,
    NO_ANSWER,
    NO_IMAGE,
    OTHER_ROLE,
    PLACEHOLDER_ONLY,
    ROLES,
    Record,
    Turn,
    image_fault,
    images_of,
    role_fault,
    with_original,
)
from tasks.sources import UNNAMED, source_of

Policy = Literal["repair", "drop"]
Turns = list[Turn]

SOURCE_PREFIX = "source"
# in place of source names: keep every source
ALL = ("all",)
DUPLICATE = "duplicate record"
SAME_ID = "id used by another record"
UNORDERED = "turns not in the order human, gpt"
EMPTY_ANSWER = "empty answer"
NO_PLACEHOLDER = "<image> missing"
MANY_PLACEHOLDERS = "<image> more than once"
MISPLACED_PLACEHOLDER = "<image> not at the start of the first human turn"
SEVERAL_IDS = "image under several ids"


@dataclass(frozen=True)
class Filtered:
    """The records that are kept, in order, and the number of dropped records by reason."""

    records: list[Record]
    dropped: dict[str, int]


@dataclass(frozen=True)
class Checked:
    """The records that are kept, and the numbers of dropped, repaired and reported records by reason."""

    records: list[Record]
    dropped: dict[str, int]
    repaired: dict[str, int]
    noticed: dict[str, int]


def filter_records(
    records: Sequence[Record],
    sources: Collection[str],
    faults: Mapping[str, str] | None = None,
    unnamed: str = UNNAMED,
) -> Filtered:
    """Keep the records of the chosen sources that have an answer and one image inside the images folder.

    `faults` gives, by image path, why a checked image cannot be used.
    """
    kept: list[Record] = []
    dropped: Counter[str] = Counter()
    for record in records:
        reason = reason_to_drop(record, sources, unnamed) or (faults or {}).get(record["image"])
        if reason:
            dropped[reason] += 1
        else:
            kept.append(record)
    return Filtered(kept, dict(dropped))


def reason_to_drop(record: Record, sources: Collection[str], unnamed: str = UNNAMED) -> str | None:
    """Why the content of a record rules it out, or None."""
    if fault := image_fault(record):
        return fault.reason
    if (source := source_of(record["image"], unnamed)) not in sources and tuple(sources) != ALL:
        return f"{SOURCE_PREFIX} {source} not selected"
    return answer_fault(record)


def answer_fault(record: Record) -> str | None:
    """Why a record has no answer to learn from, or None."""
    if any(turn["from"] == "gpt" and turn["value"].strip() for turn in record["conversations"]):
        return None
    # the answer may be in a turn of another role
    fault = role_fault(record)
    return fault.reason if fault else NO_ANSWER


def choose_texts(records: Sequence[Record]) -> tuple[Filtered, list[Record]]:
    """Keep the usable records of text alone; returns them, and all records that are not of text alone."""
    kept: list[Record] = []
    others: list[Record] = []
    dropped: Counter[str] = Counter()
    for record in records:
        if (fault := image_fault(record)) is None or fault.reason != NO_IMAGE:
            others.append(record)
        elif reason := _placeholder_fault(record) or answer_fault(record):
            dropped[reason] += 1
        else:
            kept.append(record)
    return Filtered(kept, dict(dropped)), others


def _placeholder_fault(record: Record) -> str | None:
    return PLACEHOLDER_ONLY if _placeholders(record["conversations"]) else None


def require_sources(
    records: Sequence[AnyRecord], sources: Collection[str], dropped: Mapping[str, int], unnamed: str = UNNAMED
) -> None:
    """Raise DataError when a chosen source has no record left."""
    left = counted_by_source(records, unnamed)
    if missing := [source for source in sources if source not in left]:
        reasons = "; ".join(f"{reason}: {number}" for reason, number in dropped.items()) or "none was dropped"
        raise DataError(
            f"No record of {', '.join(missing)} is left ({reasons}): check the data folder, or choose other sources "
            f"with --sources (data.sources in an experiment){outside_advice(dropped)}."
        )


def outside_advice(dropped: Mapping[str, int]) -> str:
    """What to do about dropped records whose image path is absolute, as the end of a sentence, or nothing."""
    return (
        "; for absolute image paths, name the folder of their source in data.image_root" if ABSOLUTE in dropped else ""
    )


def check_records(records: Sequence[Record], policy: Policy) -> Checked:
    """Repair or drop the records with a fault; duplicates are always dropped."""
    kept: list[Record] = []
    dropped: Counter[str] = Counter()
    repaired: Counter[str] = Counter()
    for record in _distinct(records, dropped):
        fixed, faults = _repaired(record)
        if faults and (policy == "drop" or not fixed["conversations"]):
            dropped[faults[0] if fixed["conversations"] or faults[0] == OTHER_ROLE else NO_ANSWER] += 1
            continue
        repaired.update(faults)
        kept.append(fixed if faults else record)
    kept = _with_own_ids(kept, policy, dropped if policy == "drop" else repaired)
    return Checked(kept, dict(dropped), dict(repaired), _noticed(kept))


def _distinct(records: Sequence[Record], dropped: Counter[str]) -> list[Record]:
    by_id: dict[str | int, list[Record]] = {}
    distinct = []
    for record in records:
        # only records of one id are compared: the texts of all would be a second copy of the file
        others = by_id.setdefault(record["id"], [])
        if any(record == other for other in others):
            dropped[DUPLICATE] += 1
        else:
            others.append(record)
            distinct.append(record)
    return distinct


def _repaired(record: Record) -> tuple[Record, list[str]]:
    faults: list[str] = []
    turns: Turns = record["conversations"]
    for fault, repair in REPAIRS if len(images_of(record)) == 1 else REPAIRS[:OF_TURNS]:
        fixed = repair(turns)
        if fixed != turns:
            faults.append(fault)
            turns = fixed
    return ({**record, "conversations": turns} if faults else record), faults


def _with_known_roles(turns: Turns) -> Turns:
    return [turn for turn in turns if turn["from"] in ROLES]


def _in_order(turns: Turns) -> Turns:
    """The pairs of a human turn and the answer right after it; a last question without an answer may stay."""
    roles = [turn["from"] for turn in turns]
    if all(role == ("human", "gpt")[index % 2] for index, role in enumerate(roles)):
        return turns
    pairs = [index for index in range(len(roles) - 1) if roles[index : index + 2] == ["human", "gpt"]]
    return [turns[index + step] for index in pairs for step in (0, 1)]


def _answered(turns: Turns) -> Turns:
    pairs = [turns[index : index + 2] for index in range(0, len(turns), 2)]
    return [turn for pair in pairs if len(pair) < 2 or pair[1]["value"].strip() for turn in pair]


def _placeholders(turns: Turns) -> int:
    return sum(turn["value"].count(IMAGE_PLACEHOLDER) for turn in turns)


def _with_image(turns: Turns) -> Turns:
    return turns if not turns or _placeholders(turns) else _image_first(turns)


def _with_one_image(turns: Turns) -> Turns:
    return _image_first(turns) if _placeholders(turns) > 1 else turns


def _with_image_in_place(turns: Turns) -> Turns:
    # valid both before and after the words of the first question
    text = turns[0]["value"].strip() if turns else IMAGE_PLACEHOLDER
    return turns if text.startswith(IMAGE_PLACEHOLDER) or text.endswith(IMAGE_PLACEHOLDER) else _image_first(turns)


def _image_first(turns: Turns) -> Turns:
    bare: Turns = [
        {**turn, "value": without_placeholder(turn["value"])} if IMAGE_PLACEHOLDER in turn["value"] else turn
        for turn in turns
    ]
    return [{**bare[0], "value": ensure_placeholder(bare[0]["value"])}, *bare[1:]]


# order first: the placeholder then goes to the first question that is left
REPAIRS: tuple[tuple[str, Callable[[Turns], Turns]], ...] = (
    (OTHER_ROLE, _with_known_roles),
    (UNORDERED, _in_order),
    (EMPTY_ANSWER, _answered),
    (NO_PLACEHOLDER, _with_image),
    (MANY_PLACEHOLDERS, _with_one_image),
    (MISPLACED_PLACEHOLDER, _with_image_in_place),
)


# the first repairs are of any record, the others are about its one image
OF_TURNS = 3


def _with_own_ids(records: Sequence[Record], policy: Policy, counted: Counter[str]) -> list[Record]:
    """Give a record whose id is taken a new id, or drop it."""
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
            own.append(cast(Record, {**record, "id": name, **with_original(record, record["id"])}))
    return own


def _noticed(records: Sequence[Record]) -> dict[str, int]:
    ids: dict[str, set[str | int]] = {}
    for record in records:
        for image in images_of(record):
            ids.setdefault(image_key(image), set()).add(record["id"])
    several = sum(len(names) > 1 for names in ids.values())
    # the split keeps them together: nothing is lost or repaired
    return {SEVERAL_IDS: several} if several else {}
