"""RSVQA, low and high resolution: files of questions, answers and images that refer to each other by id.

Each file of a split lists every id of the data set; those of other splits have only `id` and `active: false`. The
images of the published archives are named by their id (`Images_LR/0.tif`, `Data/0.tif`), while `original_name` may be
the scene that they were cut from. Lobry et al., IEEE TGRS 58(12), 2020; https://zenodo.org/records/6344334 and 6344367.
"""

import re
import sys
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

from tasks.data.importing.examples import (
    NO_ANSWER,
    NO_QUESTION,
    NOT_TEXT,
    Entry,
    Example,
    Lost,
    as_id,
    as_text,
    question_turns,
    split_of_file,
)
from tasks.data.importing.head import Head, read_head
from tasks.errors import DataError
from tasks.json_stream import iterate_members

TABLES = ("questions", "answers", "images")
INACTIVE = "inactive {} (its entry has active: false in all files)"
NO_IMAGE = "question about an image that is inactive or not in the images file"
SUFFIX = re.compile(r"\.(tiff?|png|jpe?g)$", re.IGNORECASE)
# a scene of Sentinel-2, which many images are cut from
SCENE = re.compile(r"S2[A-D]_MSI")
PEEKED = 2000
# sources by words of the published files' names: LR_split_..., USGS_split_...
NAMED = {"lr": "LR", "hr": "HR", "usgs": "HR"}

Images = Mapping[object, tuple[str, ...]]


def recognises(head: Head) -> bool:
    """Whether a file is one of RSVQA's three tables."""
    keys = head.entry.keys()
    return head.member in TABLES and "id" in keys and bool(keys & {"active", "img_id", "question_id", "original_name"})


def holds_answers(head: Head) -> bool:
    """Whether a file is RSVQA's table of answers."""
    return head.member == "answers" and recognises(head)


def default_source(files: Sequence[Path]) -> str | None:
    """LR where questions ask for rural or urban areas, HR where they ask for areas, as only these do.

    Without such questions the names of the files decide; None if they do not tell, either.
    """
    types = {str(row.get("type")) for path in _tables(files)["questions"] for row in islice(_rows(path), PEEKED)}
    found = [name for name, kind in (("LR", "rural_urban"), ("HR", "area")) if kind in types]
    found = found or list({NAMED[word] for word in _words(files) if word in NAMED})
    if len(found) > 1:
        raise DataError("The files are of both RSVQA-LR and RSVQA-HR: import them one after the other.")
    return found[0] if found else None


def _words(files: Sequence[Path]) -> Iterator[str]:
    """The words of file names."""
    return (word for path in files for word in re.findall(r"[a-z]+", path.stem.lower()))


def read(files: Sequence[Path], lost: Lost) -> Iterator[Example]:
    """Yield an example per active question with an active answer; its id is the question's."""
    tables = _tables(files)
    for name in ("questions", "answers"):
        if not tables[name]:
            raise DataError(f"RSVQA's file of {name} is missing: give questions, answers and images together.")
    answers = read_answers(tables["answers"], lost)
    images = _image_names(tables["images"], lost)
    for question, split in _questions(tables["questions"], lost):
        key = as_id(question.get("img_id"))
        names = images.get(key) if tables["images"] else _names_by_id(key)
        if names is None:
            lost[NO_IMAGE] += 1
        elif answer := _answer(question, answers, lost):
            kind = question.get("type")
            turns = question_turns(question["question"].strip(), answer, kind if isinstance(kind, str) else None)
            yield Example(as_id(question["id"]), names, turns, {**split, "task": "vqa"})


def read_answers(paths: Iterable[Path], lost: Lost) -> dict[object, str]:
    """The first active answer of each question, by the question's id."""
    answers: dict[object, str] = {}
    inactive: set[object] = set()
    active: set[object] = set()
    for row in (row for path in paths for row in _rows(path)):
        if not row.get("active", True):
            inactive.add(as_id(row.get("id")))
            continue
        active.add(as_id(row.get("id")))
        if "answer" not in row:
            # some releases split by flags alone; the table of all answers has the words
            continue
        text = as_text(row["answer"])
        if text is None:
            lost[NOT_TEXT] += 1
        else:
            # the same few words a million times
            answers.setdefault(as_id(row.get("question_id")), sys.intern(text.strip()))
    _count_inactive("answer", inactive - active, lost)
    return answers


def _answer(question: Entry, answers: Mapping[object, str], lost: Lost) -> str | None:
    answer = answers.get(as_id(question["id"]))
    if not answer:
        lost[NO_ANSWER] += 1
    return answer


def _questions(paths: Sequence[Path], lost: Lost) -> Iterator[tuple[Entry, dict[str, str]]]:
    """Each active question once, with its split; files that name a split come first, as others may repeat them."""
    inactive: set[object] = set()
    done: set[object] = set()
    flagged: dict[object, dict[str, str]] = {}
    for path in sorted(paths, key=lambda each: not split_of_file(each)):
        split = split_of_file(path)
        for row in _rows(path):
            name = as_id(row.get("id"))
            if not row.get("active", True):
                inactive.add(name)
            elif name in done:
                continue
            elif "question" not in row:
                flagged.setdefault(name, split)
            elif isinstance(row["question"], str) and row["question"].strip():
                done.add(name)
                yield row, split or flagged.get(name, {})
            else:
                lost[NO_QUESTION] += 1
    _count_inactive("question", inactive - done - flagged.keys(), lost)
    if missing := len(flagged.keys() - done):
        lost[NO_QUESTION] += missing


def _count_inactive(what: str, names: set[object], lost: Lost) -> None:
    if names:
        lost[INACTIVE.format(what)] += len(names)


def _image_names(paths: Sequence[Path], lost: Lost) -> Images:
    rows: dict[object, str] = {}
    inactive: set[object] = set()
    for row in (row for path in paths for row in _rows(path)):
        if row.get("active", True):
            original = row.get("original_name")
            rows.setdefault(as_id(row.get("id")), original if isinstance(original, str) else "")
        else:
            inactive.add(as_id(row.get("id")))
    _count_inactive("image", inactive - rows.keys(), lost)
    uses = Counter(rows.values())
    return {key: _names(key, name, uses[name] > 1 or bool(SCENE.match(name))) for key, name in rows.items()}


def _names(key: object, name: str, names_scene: bool) -> tuple[str, ...]:
    """The names an image may have; `names_scene` where its `original_name` is that of the scene it was cut from."""
    by_id = _names_by_id(key, name)
    if not name:
        return by_id
    return (*by_id, name) if names_scene else tuple(dict.fromkeys((name, *by_id)))


def _names_by_id(key: object, name: str = "") -> tuple[str, ...]:
    found = SUFFIX.search(name)
    return tuple(dict.fromkeys(f"{key}{suffix}" for suffix in (found[0] if found else ".tif", ".tif", ".png")))


def _tables(files: Sequence[Path]) -> dict[str, list[Path]]:
    tables: dict[str, list[Path]] = {name: [] for name in TABLES}
    for path in files:
        tables[read_head(path).member].append(path)
    return tables


def _rows(path: Path) -> Iterator[dict[str, Any]]:
    for member in iterate_members(path):
        if member.in_list and isinstance(member.value, dict):
            yield member.value
