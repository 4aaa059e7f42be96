"""Preparing the sets of 45,000 images: the seconds of each part, from the instruction file to the finished folder."""

import json
import random
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import ModuleType
from typing import NamedTuple
from unittest.mock import patch

from data_stage import WORDS, make_images, processor_s
from rows import Row

from tasks.data import dataset_version, preparing
from tasks.settings import DataConfig

IMAGES = 45_000
CONFIG = DataConfig(sources=("NWPU", "RSICD", "LR", "DOTA"))
PAIRS = 5
QUESTIONS = (
    "How many {} are there?",
    "Is there {}?",
    "Are there more roads than {}?",
    "Is it a rural or an urban area?",
)
ANSWERS = ("yes", "no", "3", "rural")
DECODING = "decoding and hashing images"
# What the data stage calls, by part. A part that is inside another one is not listed.
PARTS: dict[str, tuple[tuple[ModuleType, str], ...]] = {
    "reading the records": ((preparing, "iterate_records"), (preparing, "inputs_of")),
    "choosing records": (
        (preparing, "choose_texts"),
        (preparing, "choose_several"),
        (preparing, "filter_records"),
        (dataset_version, "filter_records"),
    ),
    "checking records": ((preparing, "check_records"),),
    "finding image files": ((preparing, "located_image"), (preparing, "files_digest")),
    DECODING: ((dataset_version, "check_images"),),
    "comparing images": ((dataset_version, "find_pairs"), (dataset_version, "group_leaders")),
    "splitting": ((dataset_version, "split_records"), (dataset_version, "reduce_records")),
    "counting tasks": ((dataset_version, "count_by_source"),),
    "writing the sets": ((dataset_version, "_write_sets"), (dataset_version, "_write_subsets")),
    "statistics": ((dataset_version, "statistics_of"),),
    "pages and lists of images": (
        (dataset_version, "examples_page"),
        (dataset_version, "image_report"),
        (dataset_version, "write_json_lines"),
        (dataset_version, "write_croissant"),
    ),
    "manifest": ((dataset_version, "write_manifest"),),
}


class Taken(NamedTuple):
    """Wall and processor time of a part in seconds, that of its child processes included."""

    wall_s: float = 0.0
    used_s: float = 0.0

    def plus(self, started: tuple[float, float]) -> "Taken":
        """With the time since `started`."""
        wall_s, used_s = clocks()
        return Taken(self.wall_s + wall_s - started[0], self.used_s + used_s - started[1])


def clocks() -> tuple[float, float]:
    return time.perf_counter(), processor_s()


def parts_of_preparing(folder: Path) -> list[Row]:
    """Wall and processor time of each part of a run's data step; their ratio is all but decoding over decoding."""
    make_data(folder)
    with timed_parts() as parts:
        started = clocks()
        data = preparing.raw_data(folder, CONFIG)
        preparing.prepare_dataset(data.raw, data.images, CONFIG, folder / "sets")
        together = Taken().plus(started)
    rest = [total - sum(part) for total, part in zip(together, zip(*parts.values(), strict=True), strict=True)]
    for name, taken in [*sorted(parts.items(), key=lambda each: -each[1].wall_s), ("anything else", Taken(*rest))]:
        print(f"  {taken.wall_s:6.2f} s, {taken.used_s:6.2f} s of a processor: {name}")
    print(f"  {together.wall_s:6.2f} s, {together.used_s:6.2f} s of a processor: together")
    decoding_s = parts[DECODING].wall_s
    without_s = together.wall_s - decoding_s
    return [Row("preparing 45,000 images without decoding, relative to decoding", without_s / decoding_s)]


@contextmanager
def timed_parts() -> Iterator[dict[str, Taken]]:
    """While the block runs, add up the time of each part."""
    parts: dict[str, Taken] = defaultdict(Taken)

    def timed(part: str, work: Callable[..., object]) -> Callable[..., object]:
        def call(*args: object, **kwargs: object) -> object:
            started = clocks()
            found = work(*args, **kwargs)
            # a generator works while it is read
            found = list(found) if isinstance(found, Iterator) else found
            parts[part] = parts[part].plus(started)
            return found

        return call

    with ExitStack() as stack:
        for part, functions in PARTS.items():
            for module, name in functions:
                stack.enter_context(patch.object(module, name, timed(part, getattr(module, name))))
        yield parts


def make_data(folder: Path) -> None:
    """A data folder as users have it: a record per image, half of them with captions and half with questions."""
    images = folder / "imagenes"
    images.mkdir()
    generator = random.Random(28)
    lines = []
    for number, name in enumerate(make_images(images, IMAGES, ("jpg", "png", "png", "jpg"))):
        source = CONFIG.sources[number % len(CONFIG.sources)]
        (images / source).mkdir(exist_ok=True)
        (images / name).rename(images / source / name)
        turns = []
        for pair in range(PAIRS):
            question, answer = drawn_pair(source, generator)
            turns.append({"from": "human", "value": question if pair else f"<image>\n{question}"})
            turns.append({"from": "gpt", "value": answer})
        lines.append(json.dumps({"id": str(number), "image": f"{source}/{name}", "conversations": turns}))
    (folder / "instructions_raw.json").write_text("[" + ",\n".join(lines) + "]", encoding="utf-8")


def drawn_pair(source: str, generator: random.Random) -> tuple[str, str]:
    """A question and its answer, or a request for a caption and a caption, as the sources have them."""
    if source in ("NWPU", "RSICD"):
        return "Describe this image.", " ".join(generator.choices(WORDS, k=6))
    return generator.choice(QUESTIONS).format(generator.choice(WORDS)), generator.choice(ANSWERS)
