"""A small test set with real images, and requests to answer it."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from tasks.inference.request import PredictRequest
from tasks.model.loading import LoadedModel, load_model
from tasks.settings import InferenceConfig

RECORDS: list[dict[str, Any]] = [
    {
        "id": "NWPU_airport_1",
        "image": "NWPU/NWPU_images/airport/airport_1.png",
        "source_note": "kept unchanged",
        "conversations": [
            {"from": "human", "value": "<image>\nWhat is the topic of this image?"},
            {"from": "gpt", "value": "an airport with two planes"},
            {"from": "human", "value": "Provide a description of the image"},
            {"from": "gpt", "value": "two planes on a runway"},
        ],
    },
    {
        "id": "LR_1",
        "image": "LR/Train/1.tif",
        "conversations": [
            {"from": "human", "value": "<image>\nIs it a rural or an urban area"},
            {"from": "gpt", "value": "rural"},
            {"from": "human", "value": "Is there a road?"},
            {"from": "gpt", "value": "yes"},
            {"from": "human", "value": "What is the number of buildings?"},
            {"from": "gpt", "value": "12"},
        ],
    },
    {
        "id": "RSICD_beach_1",
        "image": "RSICD/images/beach_1.png",
        "conversations": [
            {"from": "human", "value": "<image>\nWhat does this image represent?"},
            {"from": "gpt", "value": "a beach"},
        ],
    },
    {
        "id": "DOTA_P1",
        "image": "DOTA/images/P1.png",
        "conversations": [
            {"from": "human", "value": "<image>\nDoes this picture contain ship?"},
            {"from": "gpt", "value": "no"},
            {"from": "human", "value": "How many ships are there in this picture?"},
            {"from": "gpt", "value": "0"},
        ],
    },
]


@pytest.fixture
def records() -> list[dict[str, Any]]:
    """Captions and questions of the four sources; tests may change them."""
    return json.loads(json.dumps(RECORDS))


@pytest.fixture(scope="session")
def lively_model(lively_model_dir: Path) -> LoadedModel:
    """A toy model that gives different answers to different images and questions."""
    return load_model(lively_model_dir, dtype="float32")


@pytest.fixture
def images(tmp_path: Path, records: list[dict[str, Any]]) -> Path:
    """The folder of the records' images, which differ in colour and size."""
    return draw_images(tmp_path / "imagenes", records)


@pytest.fixture(scope="session")
def records_and_images(tmp_path_factory: pytest.TempPathFactory) -> tuple[list[dict[str, Any]], Path]:
    """Records and the folder of their images; tests must not change them."""
    return RECORDS, draw_images(tmp_path_factory.mktemp("drawn") / "imagenes", RECORDS)


def draw_images(folder: Path, records: list[dict[str, Any]]) -> Path:
    """Draw the images of some records into `folder`."""
    for number, record in enumerate(records):
        path = folder / record["image"]
        path.parent.mkdir(parents=True)
        image = Image.linear_gradient("L").resize((40 + 8 * number, 48))
        Image.merge("RGB", [image, image.rotate(90 * number, expand=False), image.point(lambda v: 255 - v)]).save(path)
    return folder


@pytest.fixture
def request_for(tmp_path: Path, images: Path) -> Callable[..., PredictRequest]:
    """Build a request to answer records by echo; `config` takes the settings of InferenceConfig."""

    def build(records: list[dict[str, Any]], out: str = "out", **changes: Any) -> PredictRequest:
        data = tmp_path / "test.json"
        data.write_text(json.dumps(records), encoding="utf-8")
        settings = {"batch_size": 2, "dtype": "float32", "engine": "echo", **changes.pop("config", {})}
        values: dict[str, Any] = {
            "model": tmp_path / "model",
            "model_sha256": "0" * 64,
            "data": data,
            "images": images,
            "out": tmp_path / out,
            "name": "base",
            "config": InferenceConfig.model_validate(settings),
            "subset_size": 2,
        }
        return PredictRequest.model_validate({**values, **changes})

    return build
