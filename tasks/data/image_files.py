"""The image files that records refer to: which of them can be used, and whether they changed."""

import os
from collections.abc import Collection, Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path

from tasks.data.image_checks import ImageState, state_of
from tasks.files import digest_of
from tasks.image_paths import image_key
from tasks.processes import map_in_processes

# Starting a process costs as much as decoding some hundred small images.
ALONE_BELOW = 300
CHUNK = 64


def images_digest(images: Path, names: Iterable[str]) -> str:
    """One digest of path, size and modification time of images, none of which is read; a missing one counts too."""
    return digest_of([[name, _file_state(images / image_key(name))] for name in sorted(set(names))])


def _file_state(path: Path) -> list[int] | None:
    try:
        state = path.stat()
    except (OSError, ValueError):
        return None
    return [state.st_size, state.st_mtime_ns]


def look_at_images(
    images: Path, names: Collection[str], with_look: bool = False, workers: int | None = None
) -> dict[str, ImageState]:
    """Read, decode and hash each image once, in as many processes as there are CPUs."""
    paths = [f"{images}/{image_key(name)}" for name in names]
    return dict(zip(names, _states(paths, with_look, workers or os.cpu_count() or 1), strict=True))


def _states(paths: Sequence[str], with_look: bool, workers: int) -> list[ImageState]:
    look = partial(state_of, with_look=with_look)
    if len(paths) < ALONE_BELOW or workers < 2:
        return list(map(look, paths))
    return map_in_processes(look, paths, workers, CHUNK)


def faults_in(states: Mapping[str, ImageState]) -> dict[str, str]:
    """Why images cannot be used, for those that cannot."""
    return {name: state.fault for name, state in states.items() if state.fault}
