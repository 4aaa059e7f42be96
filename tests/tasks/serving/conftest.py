"""A small test set with real images, and a model that answers it."""

from pathlib import Path
from typing import Any

import pytest
from support.predictions import images, lively_model, records

from tasks.model.loading import LoadedModel
from tasks.serving.models import ServedModel

__all__ = ["images", "lively_model", "records"]


@pytest.fixture
def image(images: Path, records: list[dict[str, Any]]) -> Path:
    return images / records[0]["image"]


@pytest.fixture
def model(lively_model: LoadedModel) -> ServedModel:
    return ServedModel("model", lively_model)
