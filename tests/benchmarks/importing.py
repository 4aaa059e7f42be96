"""A million records in RSVQA's layout: importing and splitting, in time and in memory."""

import json
import random
import shutil
from collections.abc import Iterator
from pathlib import Path

from data_stage import child
from rows import Row

# one in twenty is inactive, so that a million and some become records
QUESTIONS, IMAGES = 1_060_000, 10_000
OBJECTS = ("building", "road", "parking", "water area", "grass area", "residential building", "commercial area")
PLACES = ("on the left of", "on the right of", "at the top of", "at the bottom of", "next to")
LIMIT_GB = 2
FILES = ("questions.json", "answers.json", "images.json")
IMPORT_AND_SPLIT = """
import resource, sys, time
from pathlib import Path
from tasks.data.importing.import_files import ImportRequest, import_files
from tasks.data.set_files import SplitParameters, split_file
folder = Path(sys.argv[1])
start = time.process_time()
files = tuple(folder / name for name in ("questions.json", "answers.json", "images.json"))
import_files(ImportRequest(files, folder / "dataset.json", source="HR"))
imported = time.process_time()
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
split_file(folder / "dataset.json", folder / "sets", SplitParameters(0.7, 0.2, 28, "grouped"))
split = time.process_time()
print(imported - start, peak * 1024, split - imported, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024)
"""
LOAD = """
import json, sys, time
from pathlib import Path
start = time.process_time()
for name in ("questions.json", "answers.json", "images.json"):
    with Path(sys.argv[1], name).open() as file:
        json.load(file)
print(time.process_time() - start)
"""


def importing_a_million(folder: Path) -> list[Row]:
    """Processor time of importing and splitting a million records over that of json.load, and their peak memory."""
    make_rsvqa(folder)
    load_s = min(float(child(LOAD, folder)[0]) for _ in range(2))
    import_s, import_bytes, split_s, bytes_of_both = map(float, child(IMPORT_AND_SPLIT, folder))
    size_bytes = sum((folder / name).stat().st_size for name in FILES)
    print(f"  {size_bytes / 1e6:.0f} MB in three files; json.load {load_s:.1f} s")
    print(
        f"  import {import_s:.1f} s, {import_bytes / 1e9:.2f} GB; split {split_s:.1f} s, {bytes_of_both / 1e9:.2f} GB"
    )
    shutil.rmtree(folder / "sets")
    return [
        Row("import of 1,000,000 records, relative to json.load", import_s / load_s, "<= 7"),
        Row("their split, relative to json.load", split_s / load_s, "<= 6"),
        Row("peak memory of both, relative to 2 GB", bytes_of_both / (LIMIT_GB * 1e9), "<= 1"),
    ]


def make_rsvqa(folder: Path, questions: int = QUESTIONS, images: int = IMAGES) -> None:
    """Write questions, answers and images as RSVQA-HR has them."""
    generator = random.Random(28)
    _write(
        folder / "questions.json", "questions", (_question(number, images, generator) for number in range(questions))
    )
    _write(folder / "answers.json", "answers", (_answer(number, generator) for number in range(questions)))
    _write(folder / "images.json", "images", map(_image, range(images)))


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
