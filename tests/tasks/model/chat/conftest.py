"""Each member of the generic families as a tiny random model, and images of two sizes."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from support.tiny_families import CONFIGS


@pytest.fixture(params=CONFIGS)
def member(request: pytest.FixtureRequest) -> str:
    """The model type of a member."""
    return str(request.param)


@pytest.fixture
def folder(member: str, tiny_family_dir: Callable[[str], Path]) -> Path:
    """The directory of the member's tiny model, not to be changed."""
    return tiny_family_dir(member)


@pytest.fixture(scope="session")
def pictures() -> list[Image.Image]:
    """Two noisy images of different sizes and aspect ratios."""
    noise = np.random.default_rng(5)
    sizes = ((50, 70, 3), (130, 120, 3))
    return [Image.fromarray(noise.integers(0, 256, size, dtype=np.uint8)) for size in sizes]
