"""A million records in RSVQA's layout by the commands of rsvlm: import, split, evaluate and compare."""

import json
import os
import random
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from rows import Row

from tasks.files import write_json_lines

# one in twenty is inactive, so that a million and some become records
QUESTIONS, IMAGES = 1_060_000, 10_000
OBJECTS = ("building", "road", "parking", "water area", "grass area", "residential building", "commercial area")
PLACES = ("on the left of", "on the right of", "at the top of", "at the bottom of", "next to")
LIMIT_GB = 2
FILES = ("questions.json", "answers.json", "images.json")


class Step(NamedTuple):
    """A command, the files that it reads, and how many times as long as json.load of these it may take."""

    command: str
    files: tuple[str, ...]
    most: int


STEPS = {
    "import": Step(f"data import {' '.join(FILES)} --source HR --out dataset.json", FILES, 8),
    "split": Step("data split dataset.json sets", ("dataset.json",), 6),
    "evaluate": Step(
        "evaluate --data dataset.json --predictions given.jsonl --train sets/data_train.json --out report",
        ("dataset.json", "given.jsonl", "sets/data_train.json"),
        30,
    ),
    "compare": Step("compare report other", ("report/per_answer.jsonl", "other/per_answer.jsonl"), 3),
}
LOAD = """
import json, sys
for name in sys.argv[1:]:
    with open(name) as file:
        values = [json.loads(line) for line in file] if name.endswith(".jsonl") else json.load(file)
"""


def importing_a_million(folder: Path) -> list[Row]:
    """Processor time of each command on a million records over that of json.load, and their peak memory."""
    make_rsvqa(folder)
    rows, peak_bytes = [], 0
    for name, step in STEPS.items():
        if name == "compare":
            # a second report of that size
            shutil.copytree(folder / "report", folder / "other")
        load_s, _ = measured(folder, "-c", LOAD, *step.files)
        taken_s, used_bytes = measured(folder, "-m", "flows.cli", *step.command.split())
        size_mb = sum((folder / file).stat().st_size for file in step.files) / 1e6
        print(f"  {name} {taken_s:.1f} s, {used_bytes / 1e9:.2f} GB; json.load of its {size_mb:.0f} MB {load_s:.1f} s")
        aim = f"<= {step.most}"
        rows.append(Row(f"{name} of 1,000,000 records, relative to json.load of its files", taken_s / load_s, aim))
        peak_bytes = max(peak_bytes, used_bytes)
    return [*rows, Row("peak memory of these, relative to 2 GB", peak_bytes / (LIMIT_GB * 1e9), "<= 1")]


def measured(folder: Path, *words: str) -> tuple[float, int]:
    """Processor time of Python with these arguments, and its peak memory in bytes, at least that of this process."""
    process = subprocess.Popen([sys.executable, *words], cwd=folder, stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    assert not process.returncode, f"{words} failed"
    return usage.ru_utime + usage.ru_stime, usage.ru_maxrss * 1024


def make_rsvqa(folder: Path, questions: int = QUESTIONS, images: int = IMAGES) -> None:
    """Write questions, answers and images as RSVQA-HR has them, and a model's answers."""
    generator = random.Random(28)
    _write(
        folder / "questions.json", "questions", (_question(number, images, generator) for number in range(questions))
    )
    _write(folder / "answers.json", "answers", (_answer(number, generator) for number in range(questions)))
    _write(folder / "images.json", "images", map(_image, range(images)))
    given = (_answer(number, generator) for number in range(questions) if number % 20)
    write_json_lines(folder / "given.jsonl", ({"id": each["question_id"], "answer": each["answer"]} for each in given))


def _question(number: int, images: int, generator: random.Random) -> dict[str, object]:
    if not number % 20:
        return {"id": number, "active": False}
    first, second, place = *generator.sample(OBJECTS, 2), generator.choice(PLACES)
    kind, words = (
        ("presence", f"Is there a {first} {place} a {second}?"),
        ("count", f"What is the number of {first}s {place} the {second}?"),
        ("comp", f"Are there more {first}s than {second}s?"),
        ("area", f"What is the area covered by {first}s?"),
    )[number % 4]
    return {
        "id": number,
        "date_added": 1.5e9,
        "img_id": number % images,
        "people_id": 0,
        "type": kind,
        "question": words,
        "answers_ids": [number],
        "active": True,
    }


def _answer(number: int, generator: random.Random) -> dict[str, object]:
    if not number % 20:
        return {"id": number, "active": False}
    words = (generator.choice(("yes", "no")), str(generator.randrange(100)), f"{generator.randrange(10_000)}m2")
    text = words[(0, 1, 0, 2)[number % 4]]
    row = {"id": number, "date_added": 1.5e9, "question_id": number, "people_id": 0, "answer": text}
    return {**row, "active": True}


def _image(number: int) -> dict[str, object]:
    return {"id": number, "original_name": f"{number}.tif", "questions_ids": [], "active": True}


def _write(path: Path, name: str, rows: Iterator[dict[str, object]]) -> None:
    with path.open("w") as file:
        file.write(f'{{"{name}": [')
        for index, row in enumerate(rows):
            file.write(", " * bool(index) + json.dumps(row))
        file.write("]}")
