"""Sizes and paths as people read them."""

import pytest

from tasks.runs.words import name_of_path, size_in_words


@pytest.mark.parametrize(
    ("size", "words"), [(0, "0 B"), (999, "999 B"), (1_400, "1.4 kB"), (139_000, "139 kB"), (14_200_000_000, "14 GB")]
)
def test_a_size_has_a_unit(size: int, words: str) -> None:
    assert size_in_words(size) == words


@pytest.mark.parametrize(("text", "name"), [("/lab/models/base", "base"), ("Qwen/Qwen2.5-VL-7B", "Qwen/Qwen2.5-VL-7B")])
def test_only_an_absolute_path_is_shortened(text: str, name: str) -> None:
    assert name_of_path(text) == name
