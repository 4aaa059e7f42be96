"""Check the image files of records in several processes; large images are read once and not in every run."""

import os
from base64 import b64decode, b64encode
from collections.abc import Collection, Mapping, Sequence
from functools import cache, partial
from pathlib import Path
from typing import Any

from tasks.content_keys import MODEL_CODE, code_digests
from tasks.data.duplicates.perceptual_hash import HashPixels
from tasks.data.image_checks import ImageState, check_image, note_of
from tasks.files import digest_of
from tasks.image_paths import image_key
from tasks.known_facts import Facts, Memory, known_or_computed
from tasks.processes import map_in_processes

# Starting a process costs as much as decoding some hundred small images.
IN_PROCESSES_FROM = 300
CHUNK = 64
# smaller images are decoded about as fast as an entry is read
LEAST_BYTES = 1 << 17
CHECKING_CODE = ("tasks.data.image_checks", "tasks.data.duplicates.perceptual_hash", *MODEL_CODE)
MEASURES = ("kind", "width", "height", "size_bytes", "sha256")


def check_images(
    images: Path, names: Collection[str], with_hash: bool = False, workers: int | None = None
) -> dict[str, ImageState]:
    """Read, decode and hash each image once, in `workers` processes, by default one per CPU."""
    return check_files({name: f"{images}/{image_key(name)}" for name in names}, with_hash, workers)


def check_files(
    files: Mapping[str, str | Path], with_hash: bool = False, workers: int | None = None
) -> dict[str, ImageState]:
    """Check images by name, as check_images."""
    paths = list(map(str, files.values()))
    return dict(zip(files, _check_paths(paths, with_hash, workers or os.cpu_count() or 1), strict=True))


def _check_paths(paths: Sequence[str], with_hash: bool, workers: int) -> list[ImageState]:
    check = partial(known_state, with_hash=with_hash)
    if len(paths) < IN_PROCESSES_FROM or workers < 2:
        return list(map(check, paths))
    return map_in_processes(check, paths, workers, CHUNK)


def known_state(path: str, with_hash: bool) -> ImageState:
    """As check_image; a large image without a fault is read once, until it, the checks or Pillow change."""
    checked: list[ImageState] = []

    def check() -> Facts:
        checked.append(check_image(path, with_hash))
        return _facts_of(checked[0])

    def is_usable(facts: Mapping[str, Any]) -> bool:
        return facts.get("checks") == checks_digest() and not (with_hash and facts["pixels"] is None)

    facts = known_or_computed(Path(path), Memory("images", LEAST_BYTES, is_usable), check)
    return checked[0] if checked else _state_of(path, facts, with_hash)


def _facts_of(state: ImageState) -> Facts:
    if state.fault:
        return {}
    pixels = state.hash_pixels and [
        b64encode(each).decode() for each in (state.hash_pixels.grey, state.hash_pixels.dark)
    ]
    return {"checks": checks_digest(), **{name: getattr(state, name) for name in MEASURES}, "pixels": pixels}


def _state_of(path: str, facts: Facts, with_hash: bool) -> ImageState:
    pixels = HashPixels(*map(b64decode, facts["pixels"])) if with_hash else None
    measures = {name: facts[name] for name in MEASURES}
    # of the name, and one file may have several
    return ImageState(note=note_of(path, facts["kind"]), **measures, hash_pixels=pixels)


@cache
def checks_digest() -> str:
    """One digest of all that decides what is found in an image."""
    import PIL

    return digest_of([PIL.__version__, code_digests(Path(__file__), CHECKING_CODE)])
