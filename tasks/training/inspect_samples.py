"""Show what the model is trained on, record by record, using the functions that make the samples of a training."""

import io
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from tasks.errors import DataError
from tasks.files import written_atomically
from tasks.model.inputs import ImageInputs
from tasks.model.processor import Processor
from tasks.record_reader import Record
from tasks.training.collator import SampleDataset
from tasks.training.samples import LengthLimit, Part, Sample, SampleEncoder, turns_of

if TYPE_CHECKING:
    import numpy as np

LONGEST_FILE_NAME = 200


@dataclass(frozen=True)
class Inspector:
    """Shows records as a training with this processor, images folder and length limit would use them.

    With the folder `pixels`, each record's image is saved there as <id>.npy, float32 of shape (3, height, width), or
    as the model's image processor returns it; further images of a record as <id>-2.npy, and so on.
    """

    processor: Processor
    images: Path
    limit: LengthLimit
    pixels: Path | None = None

    def show(self, record: Record) -> dict[str, object]:
        """Prompt, ids and labels of one record, and why the record, or a part of it (`left_out`), is dropped.

        The samples of a split record are concatenated, and `parts` lists the number of ids of each.
        """
        try:
            parts, lost = SampleEncoder(self.processor, self.images, self.limit).parts_of(record)
        except DataError as error:
            # a training would end with it; the other records are shown nevertheless
            parts, lost = [], Counter({str(error): 1})
        samples = [part.sample for part in parts]
        shown: dict[str, object] = {
            "id": record["id"],
            "prompt": "".join(self._text(part) for part in parts),
            "input_ids": [token for sample in samples for token in sample.encoded.input_ids],
            "labels": [label for sample in samples for label in sample.encoded.labels],
            "supervised_tokens": sum(sample.encoded.supervised_tokens for sample in samples),
            "dropped": self._image_fault(samples[0]) if samples else "; ".join(sorted(lost)),
        }
        if len(samples) > 1:
            shown["parts"] = [len(sample.encoded.input_ids) for sample in samples]
        if samples and lost:
            shown["left_out"] = dict(lost)
        return shown

    def _text(self, part: Part) -> str:
        return self.processor.render(turns_of(part.rounds))

    def _image_fault(self, sample: Sample) -> str | None:
        """Why an image of a sample cannot be read, or None; saves their pixels if there is a folder for them."""
        try:
            images = SampleDataset([sample], self.images, self.processor)[0].images
        except DataError as error:
            return str(error)
        if self.pixels is not None:
            _write_pixels(self.pixels, sample.record_id, images)
        return None


def _write_pixels(folder: Path, record_id: str, images: Sequence[ImageInputs]) -> None:
    for number, image in enumerate(images, 1):
        name = _file_name(record_id) + (f"-{number}" if number > 1 else "")
        pixels = image.tensors["pixel_values"]
        _write_array(folder / f"{name}.npy", (pixels[0] if len(pixels) == 1 else pixels).numpy())


def _file_name(record_id: str) -> str:
    """A record's id as a file name, unique for each id; most ids are unchanged."""
    # lone surrogates, which JSON allows, are escaped
    name = record_id.encode(errors="backslashreplace").decode()
    for letter in "%/\\\0":
        name = name.replace(letter, f"%{ord(letter):02X}")
    if len(name.encode()) > LONGEST_FILE_NAME:
        raise DataError(f"The id {name[:40]}... is too long for a file name: inspect without --pixels.")
    return name


def _write_array(path: Path, array: "np.ndarray") -> None:
    import numpy as np

    file = io.BytesIO()
    np.save(file, array)
    if path.is_file():
        if path.read_bytes() != file.getvalue():
            raise DataError(f"{path} holds other pixels: use an empty folder, and a unique id for each record.")
        return
    with written_atomically(path) as part:
        part.write_bytes(file.getvalue())
