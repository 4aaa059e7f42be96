"""Import files of another tool as one instruction file with its manifest."""

import re
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import cast

from tasks.data.importing.examples import NO_ANSWER, Example, Lost
from tasks.data.importing.formats import Format, choose_format
from tasks.data.importing.image_names import NOT_BELOW, URL, ImageNames, MissingImages
from tasks.data.record_checks import SAME_ID
from tasks.data.records_file import Changes, RecordsFile
from tasks.data.set_files import WrittenFile, inputs_of
from tasks.errors import DataError
from tasks.prompt_text import IMAGE_PLACEHOLDER, with_placeholder
from tasks.record_reader import NO_IMAGE, SEVERAL_IMAGES, Record, Turn, with_original
from tasks.sources import SOURCE_NAME

NUMBERED = "record without an id, numbered"
# what to do where nothing is left
ADVICE = {
    NOT_BELOW: "give the folder of the images with --images",
    URL: "download the images, and write their paths in place of the URLs",
    NO_ANSWER: "give the file of the answers along, such as RSVQA's for GeoChat's questions",
    SEVERAL_IMAGES: "write records with one image each, since an import takes no others",
    NO_IMAGE: "give files whose records name an image",
}


@dataclass(frozen=True)
class ImportRequest:
    """What to import: files of one format, which None leaves to their content.

    `source` is the first folder of image paths, None for the format's default. `images` is the folder in which images
    are looked up.
    """

    files: tuple[Path, ...]
    out: Path
    format: str | None = None
    source: str | None = None
    images: Path | None = None


@dataclass(frozen=True)
class Imported:
    """A written import: its format, what was changed, and the images that are missing in the images folder."""

    file: WrittenFile
    format: str
    repaired: dict[str, int]
    missing: MissingImages


def import_files(request: ImportRequest) -> Imported:
    """Write the records of the files, and a manifest that counts what is lost, to `request.out`.

    Raises DataError for files of an unknown format or without records, and where `out` holds other content.
    """
    chosen = choose_format(request.files, request.format)
    source = _source(request, chosen)
    names = ImageNames(source, request.images)
    lost: Lost = Counter()
    repaired: Counter[str] = Counter()
    parameters = {"format": chosen.name, "source": source, "images": request.images and str(request.images)}
    file = RecordsFile(request.out, _inputs(request.files), parameters)
    examples = chosen.read(request.files, lost)
    counts = file.write_each(
        _records(examples, names, lost, repaired),
        lambda: Changes(dict(lost), dict(repaired), _missing(names, request)),
        ADVICE,
    )
    written = WrittenFile(request.out, counts.kept, counts.tasks, counts.dropped, new=True)
    return Imported(written, chosen.name, dict(counts.repaired), names.missing)


def _missing(names: ImageNames, request: ImportRequest) -> dict[str, object]:
    return {"missing_images": names.missing._asdict()} if request.images else {}


def _source(request: ImportRequest, chosen: Format) -> str | None:
    source = request.source
    if source is None:
        return chosen.default_source(request.files)
    if not re.match(SOURCE_NAME, source):
        raise DataError(f"{source!r} is not the name of a source: give one word, such as LR.")
    return source


def _inputs(files: Iterable[Path]) -> dict[str, str]:
    """The SHA-256 of each file, by name, or by path where names repeat."""
    inputs: dict[str, str] = {}
    for path in files:
        for name, sha256 in inputs_of(path).items():
            inputs[name if name not in inputs else str(path)] = sha256
    return inputs


def _records(examples: Iterable[Example], names: ImageNames, lost: Lost, repaired: Counter[str]) -> Iterator[Record]:
    ids = _Ids()
    for number, example in enumerate(examples):
        try:
            image = names.path_of(example.images)
        except ValueError as reason:
            lost[str(reason)] += 1
            continue
        name = number if example.id is None else example.id
        own = ids.own(name)
        if example.id is None:
            repaired[NUMBERED] += 1
        fields = example.fields
        if own != name:
            repaired[SAME_ID] += 1
            fields = fields if example.id is None else {**fields, **with_original(fields, name)}
        yield cast(Record, {"id": own, "image": image, **fields, "conversations": _with_image(example.turns)})


class _Ids:
    """Gives each record an id of its own: the one it has, or that with a number."""

    def __init__(self) -> None:
        self._taken: set[str | int] = set()
        # the last number of an id that repeats: a data set may have one id a million times
        self._last: dict[str | int, int] = {}

    def own(self, name: str | int) -> str | int:
        own = name
        while own in self._taken:
            self._last[name] = self._last.get(name, 1) + 1
            own = f"{name}-{self._last[name]}"
        self._taken.add(own)
        return own


def _with_image(turns: list[Turn]) -> list[Turn]:
    """The turns with the image placeholder in the first one, unless one has it."""
    if any(IMAGE_PLACEHOLDER in turn["value"] for turn in turns):
        return turns
    return [{**turns[0], "value": with_placeholder(turns[0]["value"])}, *turns[1:]]
