"""Each member of the generic families as a tiny random model and as a tiny processor, and images of several sizes."""

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
from PIL import Image
from support.tiny_families import CONFIGS
from support.tiny_processors import MEMBERS, tiny_processor
from transformers import ProcessorMixin

from tasks.model.chat.processor import ChatProcessor, load_chat_processor


class Pair(NamedTuple):
    """A directory with rsvlm's processor of it and transformers' own."""

    folder: Path
    ours: ChatProcessor
    own: ProcessorMixin


@pytest.fixture(scope="session")
def pair_of(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Pair]:
    pairs: dict[str, Pair] = {}

    def pair(member: str) -> Pair:
        if member not in pairs:
            folder = tmp_path_factory.mktemp(member)
            own = tiny_processor(member, folder)
            pairs[member] = Pair(folder, load_chat_processor(folder), own)
        return pairs[member]

    return pair


@pytest.fixture(params=MEMBERS)
def pair(request: pytest.FixtureRequest, pair_of: Callable[[str], Pair]) -> Pair:
    return pair_of(request.param)


@pytest.fixture(scope="session")
def photos() -> list[Image.Image]:
    """Images of noise of different sizes and aspects."""
    generator = np.random.default_rng(5)
    sizes = ((150, 90), (60, 130), (56, 56))
    return [Image.fromarray(generator.integers(0, 256, (high, wide, 3), dtype=np.uint8)) for wide, high in sizes]


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
