"""Getting and checking data: unpacking, verifying, filtering and splitting, and the audit of many images."""

import io
import json
import os
import random
import resource
import shutil
import subprocess
import sys
import time
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image
from rows import Row

from tasks.data.archives.unpacking import unpack
from tasks.data.checked_images import check_images
from tasks.data.duplicates.near_duplicates import find_pairs

IMAGES, DISTINCT, SIDE = 20_000, 200, 150
ROUNDS = 3
RECORDS_BYTES = 91_000_000
AUDITED, AUDITED_SIDE = (15_000, 45_000), 64
# How much of an image is outline and how much detail, as in the tiles of NWPU, RSICD and UCM: amplitude by side.
AMPLITUDES = {2: 20, 4: 16, 8: 12, 16: 12, 32: 12}
WORDS = ("a large airport", "several planes", "green trees", "the river", "dense houses", "this image", "near", "with")
FILTER_AND_SPLIT = """
import resource, sys, time
from pathlib import Path
from tasks.data.set_files import SplitParameters, filter_file, split_file
folder = Path(sys.argv[1])
start = time.perf_counter()
filter_file(folder / "raw.json", folder / "dataset.json", ["NWPU", "RSICD", "LR", "DOTA"])
split_file(folder / "dataset.json", folder / "sets", SplitParameters(0.7, 0.2, 28, "grouped"))
print(time.perf_counter() - start, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024)
"""
LOAD = """
import json, sys, time
from pathlib import Path
start = time.perf_counter()
with Path(sys.argv[1], "raw.json").open() as file:
    json.load(file)
print(time.perf_counter() - start)
"""


def unpacking_beside_unzip(folder: Path) -> list[Row]:
    """Wall time of unpacking 20,000 small JPEGs, over that of `unzip`."""
    make_archive(folder / "images.zip")
    unzip_s = least_s(lambda: unzip(folder / "images.zip", folder / "theirs"), folder / "theirs")
    ours_s = least_s(lambda: unpack(folder / "images.zip", folder / "ours"), folder / "ours")
    return [Row("unpacking, relative to unzip", ours_s / unzip_s, "<= 1.2")]


def verifying_beside_decoding(folder: Path) -> list[Row]:
    """Wall time of a bare loop of decodes over 20,000 small JPEGs, over that of decoding and hashing them all."""
    make_archive(folder / "images.zip")
    unpack(folder / "images.zip", folder / "images")
    paths = sorted((folder / "images").rglob("*.jpg"))
    names = [path.relative_to(folder / "images").as_posix() for path in paths]

    def decode() -> None:
        for path in paths:
            Image.open(path).load()

    works = {
        "bare decoding": decode,
        "verifying": lambda: check_images(folder / "images", names),
        "verifying for the audit": lambda: check_images(folder / "images", names, with_hash=True),
    }
    # in turns, so that what else the machine does falls on all
    rounds = [{name: seconds_of(work) for name, work in works.items()} for _ in range(ROUNDS)]
    wall = {name: min(one[name][0] for one in rounds) for name in works}
    for name in works:
        processor = min(one[name][1] for one in rounds)
        print(f"  {name}: {wall[name]:.2f} s, and {processor / len(names) * 1e6:.0f} us of a processor each")
    print(f"  for the audit {wall['bare decoding'] / wall['verifying for the audit']:.2f} times as fast as bare")
    return [Row("bare decoding, relative to verifying", wall["bare decoding"] / wall["verifying"], ">= 1.7")]


def filtering_beside_loading(folder: Path) -> list[Row]:
    """Time of filtering and splitting a file of 91 MB over that of json.load, and peak memory over the file's size."""
    make_records(folder / "raw.json")
    load_s = min(float(child(LOAD, folder)[0]) for _ in range(3))
    runs = []
    for _ in range(3):
        for made in (*folder.glob("dataset*"), folder / "sets"):
            shutil.rmtree(made) if made.is_dir() else made.unlink(missing_ok=True)
        runs.append([float(number) for number in child(FILTER_AND_SPLIT, folder)])
    size_bytes = (folder / "raw.json").stat().st_size
    return [
        Row("filter and split, relative to json.load", min(run[0] for run in runs) / load_s, "<= 3"),
        Row("their peak memory, relative to the file", max(run[1] for run in runs) / size_bytes, "<= 8"),
    ]


def audit_of_many(folder: Path) -> list[Row]:
    """Time of looking at 45,000 images and comparing them, over three times that of 15,000: 1 where it is linear."""
    names = make_images(folder, AUDITED[-1])
    seconds = []
    for number in AUDITED:
        start = time.perf_counter()
        states = check_images(folder, names[:number], with_hash=True)
        looked = time.perf_counter()
        pairs = find_pairs(states)
        seconds.append(time.perf_counter() - start)
        print(f"  {number} images: {looked - start:.1f} s to look at, {seconds[-1] - looked + start:.1f} s to compare")
        assert not pairs, "none of the images shows the same as another"
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"  peak memory of this process: {memory:.0f} MB")
    return [Row("audit of 45,000 images, relative to three times 15,000", seconds[1] / (3 * seconds[0]), "<= 1.5")]


def seconds_of(work: Callable[[], object]) -> tuple[float, float]:
    """Wall time and processor time of some work, its child processes included."""
    start, used = time.perf_counter(), processor_s()
    work()
    return time.perf_counter() - start, processor_s() - used


def processor_s() -> float:
    """Processor time that this process and its ended children have used."""
    usages = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(usage.ru_utime + usage.ru_stime for usage in usages)


def least_s(work: Callable[[], object], made: Path | None = None) -> float:
    """The least wall time of some runs; what each makes at `made` is removed before."""
    seconds = []
    for _ in range(ROUNDS):
        if made:
            shutil.rmtree(made, ignore_errors=True)
        # what an earlier run wrote must not be paid for by this one
        os.sync()
        start = time.perf_counter()
        work()
        seconds.append(time.perf_counter() - start)
    return min(seconds)


def unzip(archive: Path, out: Path) -> None:
    """Unpack with the program that everybody has."""
    subprocess.run(["unzip", "-q", str(archive), "-d", str(out)], check=True)


def child(code: str, folder: Path) -> list[str]:
    """Run code in a process of its own, whose peak memory is its own too; the words of its last line."""
    done = subprocess.run([sys.executable, "-c", code, str(folder)], check=True, capture_output=True, text=True)
    return done.stdout.splitlines()[-1].split()


def make_archive(path: Path) -> None:
    """A zip archive of small JPEGs with the detail of photographs."""
    generator = np.random.default_rng(28)
    images = []
    for _ in range(DISTINCT):
        coarse = generator.integers(0, 256, (SIDE // 5, SIDE // 5, 3), dtype=np.uint8)
        buffer = io.BytesIO()
        Image.fromarray(coarse).resize((SIDE, SIDE), Image.Resampling.BICUBIC).save(buffer, "JPEG", quality=90)
        images.append(buffer.getvalue())
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        for number in range(IMAGES):
            file.writestr(f"set/class_{number % 45:02d}/image_{number:05d}.jpg", images[number % DISTINCT])


def make_records(path: Path) -> None:
    """A file of the published size and shape: captions, a hundred questions per image, and other records."""
    generator = random.Random(28)
    shares = {"NWPU": 0.5, "RSICD": 0.2, "LR": 0.05, "DOTA": 0.05, "ocr_vqa": 0.2}
    pairs = {"NWPU": 5, "RSICD": 5, "LR": 100, "DOTA": 9, "ocr_vqa": 4}
    lines: list[str] = []
    size_bytes = 0
    while size_bytes < RECORDS_BYTES:
        source = generator.choices(list(shares), list(shares.values()))[0]
        turns = []
        for number in range(pairs[source]):
            words = generator.choices(WORDS, k=6 if pairs[source] == 5 else 1)
            mark = "" if number else "<image>\n"
            turns.append({"from": "human", "value": f"{mark}What is the topic of this image?"})
            turns.append({"from": "gpt", "value": " ".join(words)})
        record = {"id": f"{source}_{len(lines)}", "image": f"{source}/images/{len(lines)}.jpg", "conversations": turns}
        lines.append(json.dumps(record))
        size_bytes += len(lines[-1]) + 2
    path.write_text("[" + ", ".join(lines) + "]")


def make_images(folder: Path, number: int) -> list[str]:
    """The names of as many small images, none of which shows the same as another."""
    generator = np.random.default_rng(28)
    names = [f"{index}.jpg" for index in range(number)]
    for name in names:
        scene(generator).save(folder / name, quality=85)
    return names


def scene(generator: np.random.Generator) -> Image.Image:
    """An image of 64 x 64 pixels that shows the same as no other."""
    layers = [
        np.kron(generator.normal(0, amplitude, (side, side)), np.ones((AUDITED_SIDE // side,) * 2))
        for side, amplitude in AMPLITUDES.items()
    ]
    values = np.clip(generator.uniform(70, 170) + sum(layers), 0, 255).astype(np.uint8)
    return Image.fromarray(np.stack([values, values, values - values // 5], axis=2))
