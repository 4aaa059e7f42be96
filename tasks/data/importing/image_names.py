"""The image path of a record, from the names that another tool gave the image."""

import re
from pathlib import Path
from typing import NamedTuple

from tasks.errors import DataError
from tasks.image_paths import fault_of_image, image_file, image_key, leaves_folder
from tasks.record_reader import NO_PATH, OUTSIDE
from tasks.sources import SOURCES

URL = "image is a URL"
# https://, s3://, data:image/png;base64,
ADDRESS = re.compile(r"data:|[a-z][a-z0-9+.-]+://", re.IGNORECASE)
NOT_BELOW = "absolute image path that does not lead below --images"
SHOWN = 20


def find_image(folder: Path, image: str) -> Path | None:
    """The file of a record's image, or None; `folder` holds the folders of all sources, or is that of this one."""
    _, _, inner = image_key(image).partition("/")
    files = [image_file(folder, each) for each in (image, inner) if each]
    return next((file for file in files if file.is_file()), None)


class MissingImages(NamedTuple):
    """The number of missing images, and the first paths."""

    number: int
    first: list[str]


class ImageNames:
    """Finds image paths: below the folder of `source`, if one is given, and existing ones first, if `folder` is."""

    def __init__(self, source: str | None, folder: Path | None):
        if folder is not None and not folder.is_dir():
            raise DataError(f"{folder} is not a folder: give the folder that image paths start from.")
        self._source, self._folder = source, folder
        self._found: dict[tuple[str, ...], str] = {}
        self._missing: dict[str, None] = {}

    def path_of(self, names: tuple[str, ...]) -> str:
        """The image path for a record; raises ValueError with the reason where there is none."""
        if names not in self._found:
            self._found[names] = self._choose(names)
        return self._found[names]

    @property
    def missing(self) -> "MissingImages":
        """The images that are not in the folder, of those that were looked for."""
        return MissingImages(len(self._missing), list(self._missing)[:SHOWN])

    def _choose(self, names: tuple[str, ...]) -> str:
        paths = [path for name in names for path in self._paths(name)]
        if self._folder is None:
            return paths[0]
        for path in paths:
            if (self._folder / path).is_file():
                return path
        for path in paths:
            if find_image(self._folder, path):
                return path
        self._missing[paths[0]] = None
        return paths[0]

    def _paths(self, name: str) -> list[str]:
        """The paths at which an image may be, the most likely one first."""
        name = name.removeprefix("file://")
        if ADDRESS.match(name):
            raise ValueError(URL)
        name = image_key(name)
        names = self._below(name) if name.startswith("/") or name[1:2] == ":" else [name]
        if fault_of_image(names[0]):
            raise ValueError(OUTSIDE if leaves_folder(names[0]) else NO_PATH)
        return [path for each in names for path in self._of_source(each)]

    def _below(self, name: str) -> list[str]:
        """An absolute path as paths below the folder: what follows the folder, or else its last parts."""
        if self._folder is None:
            raise ValueError(NOT_BELOW)
        path = Path(name)
        if path.is_relative_to(self._folder.absolute()):
            return [path.relative_to(self._folder.absolute()).as_posix()]
        tails = ["/".join(path.parts[start:]) for start in range(1, len(path.parts))]
        found = [tail for tail in tails if any((self._folder / each).is_file() for each in self._of_source(tail))]
        if not found:
            raise ValueError(NOT_BELOW)
        return found

    def _of_source(self, name: str) -> list[str]:
        source = self._source
        if source is None or name.startswith(f"{source}/"):
            return [name]
        known = [f"{SOURCES[source].folder}/{name}"] if source in SOURCES and self._folder else []
        return [f"{source}/{name}", *known]
