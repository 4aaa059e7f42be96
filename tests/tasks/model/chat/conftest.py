"""Each member of the generic families as a tiny random model and as a processor, and images of different sizes."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from support.tiny_families import CONFIGS
from support.tiny_processors import MEMBERS, Pair, tiny_processor


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


@pytest.fixture(scope="session")
def pair_of(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Pair]:
    """The processors of a member, written once: rsvlm's and transformers' own."""
    from tasks.model.chat.members import MEMBERS as FAMILIES
    from tasks.model.chat.processor import load_chat_processor

    several_images = {name: family.several_images for family in FAMILIES for name in family.model_types}
    pairs: dict[str, Pair] = {}

    def pair(member: str) -> Pair:
        if member not in pairs:
            folder = tmp_path_factory.mktemp(member)
            own = tiny_processor(member, folder)
            pairs[member] = Pair(folder, load_chat_processor(folder, several_images=several_images[member]), own)
        return pairs[member]

    return pair


@pytest.fixture(params=MEMBERS)
def pair(request: pytest.FixtureRequest, pair_of: Callable[[str], Pair]) -> Pair:
    """The processors of each member."""
    return pair_of(request.param)


@pytest.fixture(scope="session")
def photos() -> list[Image.Image]:
    """Three noisy images: wide, high and as large as a tile."""
    noise = np.random.default_rng(5)
    sizes = ((90, 150, 3), (130, 60, 3), (56, 56, 3))
    return [Image.fromarray(noise.integers(0, 256, size, dtype=np.uint8)) for size in sizes]
