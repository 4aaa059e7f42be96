"""The embedded sample data: a data folder of synthetic overhead scenes with correct captions and answers.

    draw_sample(Path("data"), SampleConfig())

The data depends on the seed alone: the same seed gives the same bytes on every machine.
"""

import os
import random
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from PIL import Image
from pydantic import JsonValue

from tasks.choices import LESSONS, SAMPLE
from tasks.data.synthetic.captions import PROMPTS, nwpu_captions, rsicd_captions
from tasks.data.synthetic.drawing import paint
from tasks.data.synthetic.layouts import LAYOUTS
from tasks.data.synthetic.lessons import lesson, square_words
from tasks.data.synthetic.questions import Exchange, detected, low_resolution
from tasks.data.synthetic.world import Scene
from tasks.files import digest_of, write_json
from tasks.manifests import atomic_folder, require_free_folder, verified_manifest, write_manifest
from tasks.paths import DataFolder
from tasks.prompt_text import with_placeholder
from tasks.record_reader import Record, Turn
from tasks.settings import SampleConfig

# Incremented when scenes or texts change, so that older ones are drawn again.
VERSIONS = {SAMPLE: 3, LESSONS: 5}
# modification time of every drawn image, seconds since 1970
DRAWN_AT_S = 1_600_000_000
SHARES = (("NWPU", 0.3), ("RSICD", 0.3), ("LR", 0.2), ("DOTA", 0.2))
RURAL_URBAN = (
    "dense residential",
    "sparse residential",
    "parking lot",
    "farmland",
    "dense residential",
    "river",
    "parking lot",
    "forest",
)
WITH_OBJECTS = ("airport", "harbor", "storage tanks", "parking lot", "river", "beach", "sparse residential")
LAND_USES = {"NWPU": tuple(LAYOUTS), "RSICD": tuple(LAYOUTS), "LR": RURAL_URBAN, "DOTA": WITH_OBJECTS}


class LessonRecord(Record):
    """A lesson: a record, and the words for what each square of its image shows."""

    squares: list[str]


Drawn = tuple[Record, Scene]


def draw_sample(root: Path, config: SampleConfig) -> None:
    """Draw the sample data folder: instructions_raw.json and imagenes/ in the layout of the four sources.

    A complete folder of the same sample is kept; raises OccupiedError if `root` holds other content.
    """
    _draw_folder(root, SAMPLE, config.model_dump(), sample_records(config))


def draw_lessons(root: Path, scenes: int, image_size: int, seed: int) -> None:
    """Draw a data folder of other scenes with simpler texts, which the toy base model is pre-trained on.

    The scenes have a separate random stream and never coincide with those of a sample. A complete folder of the same
    lessons is kept; raises OccupiedError if `root` holds other content.
    """
    settings = {"scenes": scenes, "image_size": image_size, "seed": seed}
    _draw_folder(root, LESSONS, settings, lesson_records(scenes, seed))


def sample_records(config: SampleConfig) -> Iterator[Drawn]:
    """Yield the sample's records in order, each with its scene."""
    drawn = []
    for source, number in _division(config.scenes).items():
        drawn += [_sample_record(source, index, config.seed) for index in range(number)]
    # sources mixed, as in the published file
    _stream(f"sample-order:{config.seed}").shuffle(drawn)
    yield from drawn


def lesson_records(scenes: int, seed: int) -> Iterator[tuple[LessonRecord, Scene]]:
    """Yield the lessons' records in order, each with its scene."""
    for index in range(scenes):
        rng = _stream(f"lessons:{seed}:{index}")
        land_use = tuple(LAYOUTS)[index % len(LAYOUTS)]
        scene = LAYOUTS[land_use](rng)
        record = _record("DOTA", land_use, index, lesson(scene, rng))
        yield {**record, "squares": square_words(scene)}, scene


def _stream(name: str) -> random.Random:
    return random.Random(name)  # noqa: S311 - not a secret


def _division(scenes: int) -> dict[str, int]:
    numbers = {source: int(scenes * share + 1e-9) for source, share in SHARES}
    numbers["NWPU"] += scenes - sum(numbers.values())
    return numbers


def _sample_record(source: str, index: int, seed: int) -> Drawn:
    rng = _stream(f"sample:{seed}:{source}:{index}")
    land_use = LAND_USES[source][index % len(LAND_USES[source])]
    scene = LAYOUTS[land_use](rng)
    return _record(source, land_use, index, TEXTS[source](scene, rng)), scene


def _with_prompts(
    captions: Callable[[Scene, random.Random], list[str]],
) -> Callable[[Scene, random.Random], list[Exchange]]:
    return lambda scene, rng: [(rng.choice(PROMPTS), caption) for caption in captions(scene, rng)]


TEXTS: dict[str, Callable[[Scene, random.Random], list[Exchange]]] = {
    "NWPU": _with_prompts(nwpu_captions),
    "RSICD": _with_prompts(rsicd_captions),
    "LR": low_resolution,
    "DOTA": detected,
}


def _record(source: str, land_use: str, index: int, exchanges: Sequence[Exchange]) -> Record:
    image = _image_path(source, land_use, index)
    turns: list[Turn] = []
    for number, (question, answer) in enumerate(exchanges):
        turns.append({"from": "human", "value": question if number else with_placeholder(question)})
        turns.append({"from": "gpt", "value": answer})
    return {"id": f"{source}_{Path(image).stem}", "image": image, "conversations": turns}


def _image_path(source: str, land_use: str, index: int) -> str:
    name = land_use.replace(" ", "_")
    return {
        "NWPU": f"NWPU/NWPU_images/{name}/{name}_{index + 1:03d}.jpg",
        "RSICD": f"RSICD/images/{name.replace('_', '')}_{index + 1}.jpg",
        "LR": f"LR/Train/{index}.tif",
        "DOTA": f"DOTA/images/P{index:04d}.png",
    }[source]


def _draw_folder(root: Path, kind: str, settings: Mapping[str, int], drawn: Iterable[Drawn]) -> None:
    details: dict[str, JsonValue] = {"kind": kind, **settings}
    fingerprint = digest_of({"version": VERSIONS[kind], **details})
    if verified_manifest(root, fingerprint):
        return
    refusal = f"{root} holds data other than the sample to be drawn there: give another folder, or move it away."
    require_free_folder(root, fingerprint, refusal)
    with atomic_folder(root) as part:
        folder = DataFolder(part)
        records = []
        for record, scene in drawn:
            records.append(record)
            _save(paint(scene, settings["image_size"]), folder.images / record["image"])
        write_json(folder.raw, records)
        write_manifest(part, fingerprint, details)


def _save(image: Image.Image, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    # full chroma resolution: a car is a few pixels wide
    if path.suffix == ".jpg":
        image.save(path, quality=92, subsampling=0)
    else:
        image.save(path)
    # the digest of images includes their times: a scene that is drawn again must keep its own
    os.utime(path, (DRAWN_AT_S, DRAWN_AT_S))
