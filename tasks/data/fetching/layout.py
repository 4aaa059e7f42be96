"""Lay a source's images out below imagenes/, in whatever nesting they come: known by their names and by the records."""

import os
import re
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from shutil import rmtree

from tasks.data.archives.entries import Limits
from tasks.data.archives.unpacking import archive_kind, unpack
from tasks.errors import DataError
from tasks.files import link_or_copy, sha256_of
from tasks.image_paths import image_key
from tasks.sources import Source, source_of

ARCHIVE_SUFFIXES = (".zip", ".rar", ".7z", ".tar", ".tgz", ".gz", ".bz2", ".xz", ".zst", ".download")
DEEPEST_NESTING = 3


@dataclass(frozen=True)
class LaidOut:
    """How many images stand in a source's folder now, and how many files of what came are none of its images."""

    images: int
    others: int


def wanted_names(source: Source, images: Collection[str]) -> dict[str, str]:
    """The paths below a source's folder that records refer to, by their lower case."""
    prefix = f"{source.folder}/"
    keys = (image_key(image) for image in images if source_of(image) == source.name)
    return {key.removeprefix(prefix).lower(): key.removeprefix(prefix) for key in keys if key.startswith(prefix)}


def lay_out(
    source: Source, places: Collection[Path], images: Path, wanted: Mapping[str, str], limits: Limits | None = None
) -> LaidOut:
    """Bring the images of a source from archives and folders to `images`/<its folder>.

    `wanted` as of wanted_names; `limits` hold for each archive with all that are within it. The user's own archives
    and folders stay as they are; what is unpacked is moved, not copied. Raises DataError when nothing looks
    like the source, two files claim one name, or another file is there.
    """
    limits = limits or Limits()
    with _staging(images / f".{source.name}.unpacked") as staging:
        roots = [root for number, place in enumerate(places) for root in _opened(place, staging / str(number), limits)]
        chosen, others = _choose(source, roots, wanted)
        if not chosen:
            raise DataError(
                f"{', '.join(map(str, places))} holds no images of {source.name} ({source.title}): "
                f"give what {source.origin.by_hand} leads to."
            )
        target = images / source.folder
        _require_free(chosen, target)
        for name, path in chosen.items():
            place = target / name
            place.parent.mkdir(parents=True, exist_ok=True)
            if not place.exists():
                (_move if path.is_relative_to(staging) else link_or_copy)(path, place)
    return LaidOut(len(chosen), others)


@contextmanager
def _staging(folder: Path) -> Iterator[Path]:
    # a name of its own for each source: what a killed run left is removed by the next
    rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    try:
        yield folder
    finally:
        rmtree(folder, ignore_errors=True)


def _move(source: Path, target: Path) -> None:
    source.rename(target)


def _opened(place: Path, folder: Path, limits: Limits) -> list[Path]:
    """The content of an archive, or a folder as it is and what its archives hold."""
    if not place.is_dir():
        _Unpacking(limits.within(place.stat().st_size)).unpack(place, folder)
        return [folder]
    for number, path in enumerate(_archives_in(place)):
        _Unpacking(limits.within(path.stat().st_size)).unpack(path, folder / f"{path.name}.unpacked-{number}")
    return [place, folder]


class _Unpacking:
    """An archive and those within it; the limits hold for all together, or archives of archives would pass them."""

    def __init__(self, limits: Limits):
        self._left = limits

    def unpack(self, archive: Path, folder: Path, depth: int = 1) -> None:
        """Unpack into `folder`, and what is found there into folders beside; only those within are removed."""
        unpacked = unpack(archive, folder, self._left)
        self._left = self._left.less(unpacked.entries, unpacked.total_bytes)
        if depth < DEEPEST_NESTING:
            for number, path in enumerate(_archives_in(folder)):
                self.unpack(path, folder / f"{path.name}.unpacked-{number}", depth + 1)
                path.unlink()


def _archives_in(folder: Path) -> list[Path]:
    return [path for path in files_of(folder) if path.suffix.lower() in ARCHIVE_SUFFIXES and archive_kind(path)]


def files_of(folder: Path) -> Iterator[Path]:
    """All files below a folder, in one order everywhere; links are not followed."""
    for place, folders, names in os.walk(folder):
        folders.sort()
        yield from (path for name in sorted(names) if not (path := Path(place, name)).is_symlink())


def _choose(source: Source, roots: Collection[Path], wanted: Mapping[str, str]) -> tuple[dict[str, Path], int]:
    """File by path below the source's folder, and how many files are none of its images."""
    files = [(path, path.relative_to(root).as_posix()) for root in roots for path in files_of(root)]
    names = {path: _wanted_name(name, wanted) for path, name in files}
    # where records say which images these are, others count only beside them: a folder may hold several sources
    folders = {path.parent for path, name in names.items() if name}
    pattern = re.compile(source.origin.file_pattern, re.IGNORECASE)
    chosen: dict[str, Path] = {}
    others = 0
    for path, shown in files:
        found = pattern.fullmatch(shown) if not folders or path.parent in folders else None
        name = names[path] or (found["keep"] if found and not _is_litter(shown) else None)
        if name is None:
            others += 1
        elif not _equal(chosen.setdefault(name, path), path):
            raise DataError(f"{chosen[name]} and {path} are two images for one name, {name}: leave out the wrong one.")
    return chosen, others


def _wanted_name(path: str, wanted: Mapping[str, str]) -> str | None:
    """The path that a record has for a file, by as many of its last folders as are needed."""
    parts = path.lower().split("/")
    tails = ("/".join(parts[start:]) for start in range(len(parts)))
    return None if _is_litter(path) else next((wanted[tail] for tail in tails if tail in wanted), None)


def _is_litter(path: str) -> bool:
    return any(part.startswith((".", "__MACOSX")) for part in path.split("/"))


def _require_free(chosen: Mapping[str, Path], target: Path) -> None:
    for name, path in chosen.items():
        if (target / name).exists() and not _equal(target / name, path):
            raise DataError(f"{target / name} exists and is another file than the one that came: move it away.")


def _equal(one: Path, other: Path) -> bool:
    return one.samefile(other) or (one.stat().st_size == other.stat().st_size and sha256_of(one) == sha256_of(other))
