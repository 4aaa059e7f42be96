"""Find the image of a test set that another program's file means: by path, file name, number, or the set's own id."""

import re
from collections import defaultdict
from collections.abc import Iterable
from pathlib import PurePosixPath

from tasks.evaluation.pairing import RecordText
from tasks.image_paths import image_key

# COCO_val2014_000000000139.jpg is image 139
LAST_NUMBER = re.compile(r"(?:^|\D)0*(\d+)$")
Images = frozenset[str]
NONE: Images = frozenset()


class ImageNames:
    """The images of a test set by all names that a file of answers may have for them."""

    def __init__(self, test: Iterable[RecordText]):
        self._exact: dict[str, set[str]] = defaultdict(set)
        self._files: dict[str, set[str]] = defaultdict(set)
        self._stems: dict[str, set[str]] = defaultdict(set)
        self._numbers: dict[str, set[str]] = defaultdict(set)
        self._known: dict[str, Images] = {}
        for record in test:
            image = image_key(record.image)
            if record.image_id is not None:
                self._exact[str(record.image_id)].add(image)
            if image not in self._exact:
                self._add(image)

    def _add(self, image: str) -> None:
        self._exact[image].add(image)
        path = PurePosixPath(image)
        self._files[path.name.casefold()].add(image)
        self._stems[path.stem.casefold()].add(image)
        if found := LAST_NUMBER.search(path.stem):
            self._numbers[found[1]].add(image)

    def find(self, name: str) -> Images:
        """The images that a path, a file name or an id may mean: several if it leaves that open, or none."""
        if name not in self._known:
            self._known[name] = frozenset(self._find(name))
        return self._known[name]

    def _find(self, name: str) -> set[str]:
        key = image_key(name)
        if found := self._exact.get(name) or self._exact.get(key):
            return found
        path = PurePosixPath(key)
        if found := self._files.get(path.name.casefold()):
            return _longest_common_end(path, found)
        # the suffix may be missing or another one
        if found := self._stems.get(path.name.casefold()) or self._stems.get(path.stem.casefold()):
            return _longest_common_end(path, found)
        number = name.lstrip("0") or "0"
        return self._numbers.get(number, set()) if name.isdecimal() else set()


def _longest_common_end(path: PurePosixPath, images: set[str]) -> set[str]:
    """Those of the images that have most folders at their end in common with the path."""
    if len(images) == 1:
        return images
    common = {image: _equal_parts(path.parts[-2::-1], PurePosixPath(image).parts[-2::-1]) for image in images}
    most = max(common.values())
    return {image for image, number in common.items() if number == most}


def _equal_parts(one: Iterable[str], other: Iterable[str]) -> int:
    number = 0
    for first, second in zip(one, other, strict=False):
        if first != second:
            break
        number += 1
    return number
