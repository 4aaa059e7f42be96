"""A fixture for a small data folder."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

DataFolder = Callable[..., Path]


@pytest.fixture
def data_folder(tmp_path: Path) -> DataFolder:
    """Create a data folder with this number of NWPU records, each with its own image."""

    def make(records: int = 8, turns: int = 1) -> Path:
        images = tmp_path / "data" / "imagenes" / "NWPU" / "NWPU_images" / "airport"
        images.mkdir(parents=True)
        made = []
        for number in range(records):
            image = Image.linear_gradient("L").resize((40, 40)).point(lambda value, n=number: (value * (n + 3)) % 251)
            image.convert("RGB").save(images / f"airport_{number:03}.jpg")
            question = {"from": "human", "value": "<image>\nWhat is the topic of this image?"}
            said = [question, {"from": "gpt", "value": f"an airport with {number} planes"}]
            said += [{"from": "human", "value": "And what else?"}, {"from": "gpt", "value": "a road"}] * (turns - 1)
            made.append({"id": str(number), "image": f"NWPU/NWPU_images/airport/airport_{number:03}.jpg",
                         "conversations": said})  # fmt: skip
        (tmp_path / "data" / "dataset.json").write_text(json.dumps(made))
        return tmp_path / "data"

    return make
