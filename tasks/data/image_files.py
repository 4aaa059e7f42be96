"""The image files that records refer to: which of them can be used, and whether they changed."""

import multiprocessing
import os
from collections.abc import Collection, Iterable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

from tasks.errors import DataError
from tasks.files import digest_of

MISSING = "image file missing"
UNREADABLE = "image cannot be read"
# Starting a process costs as much as decoding some hundred small images.
ALONE_BELOW = 300
CHUNK = 32


def images_digest(images: Path, names: Iterable[str]) -> str:
    """One digest of path, size and modification time of images, none of which is read; a missing one counts too."""
    return digest_of([[name, _state_of(images / name)] for name in sorted(set(names))])


def _state_of(path: Path) -> list[int] | None:
    try:
        state = path.stat()
    except (OSError, ValueError):
        return None
    return [state.st_size, state.st_mtime_ns]


def image_faults(images: Path, names: Collection[str]) -> dict[str, str]:
    """Decode each image once; why it cannot be used, for those that cannot."""
    paths = [str(images / name) for name in names]
    if len(paths) < ALONE_BELOW:
        reasons = list(map(fault_of, paths))
    else:
        # spawned: a flow's process has threads, and a fork would copy their locks
        context = multiprocessing.get_context("spawn")
        with ProcessPoolExecutor(os.cpu_count(), mp_context=context) as pool:
            reasons = list(pool.map(fault_of, paths, chunksize=CHUNK))
    return {name: reason for name, reason in zip(names, reasons, strict=True) if reason}


def fault_of(path: str) -> str | None:
    """Why an image cannot be used, or None when it is decoded whole."""
    from tasks.model.images import read_image

    try:
        if not Path(path).is_file():
            return MISSING
        read_image(Path(path))
    except (DataError, MemoryError):
        return UNREADABLE
    except Exception:
        # decoders raise whatever they stumble over in a damaged file
        return UNREADABLE
    return None
