"""A tiny processor of each generic family, written once, with transformers' own next to it."""

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
from PIL import Image
from transformers import ProcessorMixin

from tasks.model.chat.processor import ChatProcessor, load_chat_processor
from tests.support.tiny_processors import MEMBERS, tiny_processor


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
