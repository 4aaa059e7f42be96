"""Lay out a source's images under imagenes/, from archives of any nesting; files are recognised by name and records."""

import os
import re
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from shutil import rmtree

from tasks.data.archives.entries import ArchiveLimits
from tasks.data.archives.unpacking import archive_kind, unpack
from tasks.errors import DataError
from tasks.files import link_or_copy, sha256_of
from tasks.image_paths import image_key
from tasks.sources import Source, source_of

ARCHIVE_SUFFIXES = (".zip", ".rar", ".7z", ".tar", ".tgz", ".gz", ".bz2", ".xz", ".zst", ".download")
DEEPEST_NESTING = 3


@dataclass(frozen=True)
class LaidOutCounts:
    """The numbers of images laid out in a source's folder, and of the other files in its archives."""

    images: int
    others: int


def wanted_names(source: Source, images: Collection[str]) -> dict[str, str]:
    """The paths in a source's folder that records refer to, by their lower-case form."""
    prefix = f"{source.folder}/"
    keys = (image_key(image) for image in images if source_of(image) == source.name)
    return {key.removeprefix(prefix).lower(): key.removeprefix(prefix) for key in keys if key.startswith(prefix)}


def lay_out(
    source: Source,
    paths: Collection[Path],
    images: Path,
    wanted: Mapping[str, str],
    limits: ArchiveLimits | None = None,
) -> LaidOutCounts:
    """Lay out the images of a source from archives and folders in `images`/<its folder>.

    `wanted` is the result of wanted_names; `limits` apply to each archive with all archives inside it. The user's own
    archives and folders are not changed; unpacked files are moved, not copied. Raises DataError when no file belongs to
    the source, two files have one name, or another file is in the way.
    """
    limits = limits or ArchiveLimits()
    with _staging(images / f".{source.name}.unpacked") as staging:
        roots = [root for number, path in enumerate(paths) for root in _opened(path, staging / str(number), limits)]
        chosen, others = _choose(source, roots, wanted)
        if not chosen:
            raise DataError(
                f"{', '.join(map(str, paths))} holds no images of {source.name} ({source.title}): "
                f"give the files from {source.distribution.by_hand}."
            )
        target = images / source.folder
        _require_free(chosen, target)
        for name, path in chosen.items():
            final = target / name
            final.parent.mkdir(parents=True, exist_ok=True)
            if not final.exists():
                (_move if path.is_relative_to(staging) else link_or_copy)(path, final)
    return LaidOutCounts(len(chosen), others)


@contextmanager
def _staging(folder: Path) -> Iterator[Path]:
    # one name per source, so that the next run removes the remains of a killed one
    rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    try:
        yield folder
    finally:
        rmtree(folder, ignore_errors=True)


def _move(source: Path, target: Path) -> None:
    source.rename(target)


def _opened(given: Path, folder: Path, limits: ArchiveLimits) -> list[Path]:
    """Unpack an archive, or all archives in a folder, into `folder`; returns the folders that hold the files."""
    if not given.is_dir():
        _Unpacking(limits.within(given.stat().st_size)).unpack(given, folder)
        return [folder]
    for number, path in enumerate(_archives_in(given)):
        _Unpacking(limits.within(path.stat().st_size)).unpack(path, folder / f"{path.name}.unpacked-{number}")
    return [given, folder]


class _Unpacking:
    """Unpacks an archive and the archives inside it; the limits apply to all of them together."""

    def __init__(self, limits: ArchiveLimits):
        self._left = limits

    def unpack(self, archive: Path, folder: Path, depth: int = 1) -> None:
        """Unpack into `folder`, then the archives found there into folders next to them; only these are removed."""
        unpacked = unpack(archive, folder, self._left)
        self._left = self._left.less(unpacked.entries, unpacked.total_bytes)
        if depth < DEEPEST_NESTING:
            for number, path in enumerate(_archives_in(folder)):
                self.unpack(path, folder / f"{path.name}.unpacked-{number}", depth + 1)
                path.unlink()


def _archives_in(folder: Path) -> list[Path]:
    return [path for path in files_of(folder) if path.suffix.lower() in ARCHIVE_SUFFIXES and archive_kind(path)]


def files_of(folder: Path) -> Iterator[Path]:
    """Yield all files below a folder in sorted order, without symbolic links."""
    for parent, folders, names in os.walk(folder):
        folders.sort()
        yield from (path for name in sorted(names) if not (path := Path(parent, name)).is_symlink())


def _choose(source: Source, roots: Collection[Path], wanted: Mapping[str, str]) -> tuple[dict[str, Path], int]:
    """Map paths in the source's folder to files, and count the files that are not its images."""
    files = [(path, path.relative_to(root).as_posix()) for root in roots for path in files_of(root)]
    names = {path: _wanted_name(name, wanted) for path, name in files}
    # if records name some of the files, other files count only in the same folders: there may be several sources
    folders = {path.parent for path, name in names.items() if name}
    pattern = re.compile(source.distribution.file_pattern, re.IGNORECASE)
    chosen: dict[str, Path] = {}
    others = 0
    for path, shown in files:
        found = pattern.fullmatch(shown) if not folders or path.parent in folders else None
        name = names[path] or (found["keep"] if found and not _is_litter(shown) else None)
        if name is None:
            others += 1
        elif not _equal(chosen.setdefault(name, path), path):
            raise DataError(f"{chosen[name]} and {path} are two images for {name}: leave out the wrong one.")
    return chosen, others


def _wanted_name(path: str, wanted: Mapping[str, str]) -> str | None:
    """The path that records use for a file, matched by its last folders and name."""
    parts = path.lower().split("/")
    tails = ("/".join(parts[start:]) for start in range(len(parts)))
    return None if _is_litter(path) else next((wanted[tail] for tail in tails if tail in wanted), None)


def _is_litter(path: str) -> bool:
    return any(part.startswith((".", "__MACOSX")) for part in path.split("/"))


def _require_free(chosen: Mapping[str, Path], target: Path) -> None:
    for name, path in chosen.items():
        if (target / name).exists() and not _equal(target / name, path):
            raise DataError(f"{target / name} exists and differs from the fetched file: move it away.")


def _equal(one: Path, other: Path) -> bool:
    return one.samefile(other) or (one.stat().st_size == other.stat().st_size and sha256_of(one) == sha256_of(other))
