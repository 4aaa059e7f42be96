"""COCO captions: {"images": [{"id", "file_name"}], "annotations": [{"id", "image_id", "caption"}]}.

COCO numbers its annotations and images; a record's id that is not a number of its own is kept in `record_id`. Where
images are without ids or share one, all are numbered and marked, and an id is kept in `image_id`.
"""

from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from tasks.data.importing.coco import NUMBERED
from tasks.data.importing.examples import CAPTION_PROMPT, IMAGE_ID
from tasks.data.records_file import Counts, RecordsFile, encode_value, own_split
from tasks.prompt_text import without_placeholder
from tasks.record_reader import ORIGINAL_ID, Record, alternates, iterate_records
from tasks.sources import source_of
from tasks.turn_tasks import amount, answered_turns

QUESTION = "question (COCO captions hold none)"
PROMPT = "words of a prompt for a caption (COCO captions hold none)"
UNORDERED = "record with turns not in the order human, gpt"
UNANSWERED = "prompt without a caption"
ADVICE = {QUESTION: "convert questions with sharegpt or hf"}
FIELD = "field {} of a record or turn (COCO captions hold none)"
HELD = {"id", "image", "conversations", "split", "task", IMAGE_ID, ORIGINAL_ID, "from", "value"}


class _Captions:
    """The captions of a file, with the images and ids that they get."""

    def __init__(self, dataset: Path, lost: Counter[str]):
        self._dataset, self._lost = dataset, lost
        # by path and split: captions of one image may be in several sets
        self.images: dict[tuple[str, str | None], dict[str, Any]] = {}
        self._image_ids: dict[tuple[str, str | None], object] = {}
        self._names: set[object] = set()
        self._own_ids = True
        self.kept: Counter[str] = Counter()

    def read_images(self) -> None:
        """Number the images that have no ids of their own, and find out whether each caption has its own number."""
        for record, captions in self._records(Counter()):
            split = own_split(record)
            image = {"id": len(self.images) + 1, "file_name": record["image"], **({"split": split} if split else {})}
            self.images.setdefault((record["image"], split), image)
            name = record["id"]
            self._image_ids[record["image"], split] = record.get(IMAGE_ID)
            self._own_ids &= isinstance(name, int) and len(captions) == 1 and name not in self._names
            if self._own_ids:
                self._names.add(name)
        known = set(self._image_ids.values())
        own = None not in known and len(known) == len(self.images)
        for key, image in self.images.items():
            number = self._image_ids[key]
            image |= {"id": number} if own else {NUMBERED: True} | ({} if number is None else {IMAGE_ID: number})

    def annotations(self) -> Iterator[dict[str, Any]]:
        """Each caption as COCO has it."""
        number = 0
        for record, captions in self._records(self._lost):
            self.kept[source_of(record["image"])] += len(captions)
            for caption in captions:
                number += 1
                own = {"id": record["id"]} if self._own_ids else {"id": number, "record_id": record["id"]}
                image = self.images[record["image"], own_split(record)]
                original = {ORIGINAL_ID: held} if (held := record.get(ORIGINAL_ID)) is not None else {}
                yield {**own, "image_id": image["id"], "caption": caption, **original}

    def _records(self, lost: Counter[str]) -> Iterator[tuple[Record, list[str]]]:
        for record, _ in iterate_records(self._dataset):
            if captions := _captions(record, lost):
                for key in (key for entry in (record, *record["conversations"]) for key in entry if key not in HELD):
                    lost[FIELD.format(key)] += 1
                yield record, captions


def write(dataset: Path, out: Path, inputs: Mapping[str, str], lost: Counter[str]) -> str:
    """Write the captions of all records; questions are counted as lost."""
    found = _Captions(dataset, lost)
    found.read_images()
    file = RecordsFile(out, inputs, {"format": "coco"})
    file.write_pieces(_pieces(found), lambda: Counts(dict(found.kept), {}, dict(lost)), ADVICE)
    return f"{amount(sum(found.kept.values()), 'caption')} of {amount(len(found.images), 'image')}"


def _pieces(found: _Captions) -> Iterator[bytes]:
    yield b'{"info": {}, "licenses": [], "type": "captions",\n"images": [\n'
    yield b",\n".join(map(encode_value, found.images.values()))
    yield b'\n],\n"annotations": [\n'
    before = b""
    for annotation in found.annotations():
        yield before + encode_value(annotation)
        before = b",\n"
    yield b"\n]}\n"


def _captions(record: Record, lost: Counter[str]) -> list[str]:
    if not alternates(record["conversations"]):
        lost[UNORDERED] += 1
        return []
    captions = []
    for turn in answered_turns(record):
        if turn.task != "captioning":
            lost[QUESTION] += 1
        elif turn.answer.strip():
            captions.append(turn.answer)
            if without_placeholder(turn.question) != CAPTION_PROMPT:
                lost[PROMPT] += 1
        else:
            lost[UNANSWERED] += 1
    return captions
