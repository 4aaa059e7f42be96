"""Preparing the sets of 45,000 images: the seconds of each part, from the instruction file to the finished folder."""

import json
import os
import random
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack, contextmanager
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import NamedTuple
from unittest.mock import patch

import numpy as np
from data_stage import WORDS, processor_s, scene
from PIL import Image
from rows import Row

from tasks.data import dataset_version, preparing
from tasks.files import SETTLED_NS
from tasks.settings import DataConfig

# as the reference's: images, format and side in pixels; an image of DOTA may have 4,000
IMAGES = {
    "NWPU": (31_500, "jpg", 256),
    "RSICD": (10_921, "jpg", 224),
    "LR": (772, "tif", 256),
    "DOTA": (1_869, "png", 1000),
}
CONFIG = DataConfig(sources=tuple(IMAGES))
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
    """Wall and processor time of each part of a run's data step, the first time and with another split.

    The ratios are all but decoding over decoding, and the decoding of the second time over that of the first.
    """
    make_data(folder)
    # a file may change again within the resolution of its time
    time.sleep(SETTLED_NS / 1e9)
    with patch.dict(os.environ, XDG_CACHE_HOME=str(folder / "cache")):
        first_s, decoding_s = seconds_of_parts(folder, CONFIG)
        _, again_s = seconds_of_parts(folder, CONFIG.model_copy(update={"train": 0.6}))
    return [
        Row("preparing 45,000 images without decoding, relative to decoding", (first_s - decoding_s) / decoding_s),
        Row("decoding for another split, relative to the first", again_s / decoding_s, "<= 0.5"),
    ]


def seconds_of_parts(folder: Path, config: DataConfig) -> tuple[float, float]:
    """Print the time of each part of a preparation; returns the seconds of all together, and of decoding."""
    with timed_parts() as parts:
        started = clocks()
        data = preparing.raw_data(folder, config)
        preparing.prepare_dataset(data.raw, data.images, config, folder / f"sets-{config.train}")
        together = Taken().plus(started)
    rest = [total - sum(part) for total, part in zip(together, zip(*parts.values(), strict=True), strict=True)]
    for name, taken in [*sorted(parts.items(), key=lambda each: -each[1].wall_s), ("anything else", Taken(*rest))]:
        print(f"  {taken.wall_s:6.2f} s, {taken.used_s:6.2f} s of a processor: {name}")
    print(f"  {together.wall_s:6.2f} s, {together.used_s:6.2f} s of a processor: together")
    return together.wall_s, parts[DECODING].wall_s


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
    """A data folder as users have it: a record per image, with captions or questions."""
    images = folder / "imagenes"
    generator = random.Random(28)
    lines = []
    for name, source in make_images(images):
        turns = []
        for pair in range(PAIRS):
            question, answer = drawn_pair(source, generator)
            turns.append({"from": "human", "value": question if pair else f"<image>\n{question}"})
            turns.append({"from": "gpt", "value": answer})
        lines.append(json.dumps({"id": name, "image": name, "conversations": turns}))
    (folder / "instructions_raw.json").write_text("[" + ",\n".join(lines) + "]", encoding="utf-8")


def make_images(folder: Path) -> Iterator[tuple[str, str]]:
    """Write the images; yields the name and the source of each."""
    jobs = []
    for source, (number, suffix, side) in IMAGES.items():
        (folder / source).mkdir(parents=True)
        jobs += [(folder / source / f"{index}.{suffix}", side, len(jobs) + index) for index in range(number)]
    with ProcessPoolExecutor() as pool:
        list(pool.map(write_image, *zip(*jobs, strict=True), chunksize=100))
    for path, *_ in jobs:
        yield path.relative_to(folder).as_posix(), path.parent.name


def write_image(path: Path, side: int, seed: int) -> None:
    """Write a scene with the grain that JPEG and PNG take most of the bytes of a real image for."""
    large = np.asarray(scene(np.random.default_rng(seed)).resize((side, side)), dtype=np.float32)
    pixels = np.clip(large + grain()[:side, :side], 0, 255).astype(np.uint8)
    Image.fromarray(pixels).save(path, quality=85, compress_level=1)


@cache
def grain() -> np.ndarray:
    side = max(side for _, _, side in IMAGES.values())
    return np.random.default_rng(29).normal(0, 4, (side, side, 3)).astype(np.float32)


def drawn_pair(source: str, generator: random.Random) -> tuple[str, str]:
    """A question and its answer, or a request for a caption and a caption, as the sources have them."""
    if source in ("NWPU", "RSICD"):
        return "Describe this image.", " ".join(generator.choices(WORDS, k=6))
    return generator.choice(QUESTIONS).format(generator.choice(WORDS)), generator.choice(ANSWERS)
