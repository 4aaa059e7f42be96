"""What the model is fed of each record: made by the functions that make the samples of a training."""

import io
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tasks.errors import DataError
from tasks.files import written_atomically
from tasks.model.llava.prompt import round_text
from tasks.model.loading import Processor
from tasks.training.collator import SampleDataset
from tasks.training.samples import Limit, Part, Sample, parts_of

LONGEST_FILE_NAME = 200


@dataclass(frozen=True)
class Inspector:
    """Shows records as a training with this processor, images folder and limit would feed them.

    With `pixels`, a folder, each record's image is written there as <id>.npy, float32, channels x height x width.
    """

    processor: Processor
    images: Path
    limit: Limit
    pixels: Path | None = None

    def show(self, record: dict[str, Any]) -> dict[str, Any]:
        """One record: its text, ids and labels, and why it is dropped, or what is left out, where anything is.

        A record that is split shows its samples one after another, and in `parts` how many ids each has.
        """
        parts, lost = parts_of(record, self.processor, self.limit)
        samples = [part.sample for part in parts]
        shown = {
            "id": record["id"],
            "prompt": "".join(self._text(part) for part in parts),
            "input_ids": [token for sample in samples for token in sample.encoded.input_ids],
            "labels": [label for sample in samples for label in sample.encoded.labels],
            "supervised_tokens": sum(sample.encoded.supervised_tokens for sample in samples),
            "dropped": self._fault_of_image(samples[0]) if samples else "; ".join(sorted(lost)),
        }
        if len(samples) > 1:
            shown["parts"] = [len(sample.encoded.input_ids) for sample in samples]
        if samples and lost:
            shown["left_out"] = dict(lost)
        return shown

    def _text(self, part: Part) -> str:
        end = self.processor.tokenizer.eos_token
        return "".join(round_text(number, *texts) + end for number, texts in enumerate(part.rounds))

    def _fault_of_image(self, sample: Sample) -> str | None:
        """Why a sample's image cannot be shown to the model; where asked, it is written."""
        if sample.image is None:
            return None
        try:
            pixels = SampleDataset([sample], self.images, self.processor)[0]["pixel_values"]
        except DataError as error:
            return str(error)
        if self.pixels is not None:
            _write_array(self.pixels / f"{_file_name(sample.record_id)}.npy", pixels.numpy())
        return None


def _file_name(record_id: str) -> str:
    """A record's id as a name inside a folder, another for each id; most are as they are."""
    # half a character, which JSON may hold, is written out
    name = record_id.encode(errors="backslashreplace").decode()
    for letter in "%/\\\0":
        name = name.replace(letter, f"%{ord(letter):02X}")
    if len(name.encode()) > LONGEST_FILE_NAME:
        raise DataError(f"The id {name[:40]}... is too long for a file name: inspect without --pixels.")
    return name


def _write_array(path: Path, array: Any) -> None:
    import numpy as np

    file = io.BytesIO()
    np.save(file, array)
    if path.is_file():
        if path.read_bytes() != file.getvalue():
            raise DataError(f"{path} holds other pixels: give an empty folder, and each record an id of its own.")
        return
    with written_atomically(path) as part:
        part.write_bytes(file.getvalue())
