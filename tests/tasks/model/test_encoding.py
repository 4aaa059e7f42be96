"""Rounds of a conversation, and the tokens of its images."""

import pytest

from tasks.errors import DataError
from tasks.model.encoding import IMAGE_INDEX, expand_images, rounds_of

ROUNDS = [("human", "a"), ("gpt", "b"), ("human", "c"), ("gpt", "d")]


def test_rounds() -> None:
    assert rounds_of(ROUNDS) == ([("a", "b"), ("c", "d")], None)
    assert rounds_of(ROUNDS[:3]) == ([("a", "b")], "c")
    assert rounds_of([]) == ([], None)
    for wrong in (ROUNDS[1:], [ROUNDS[0], ROUNDS[0]], [("system", "a")]):
        with pytest.raises(DataError, match="Turns must alternate human, gpt"):
            rounds_of(wrong)


def test_each_image_is_replaced_by_its_own_tokens() -> None:
    assert expand_images([1, IMAGE_INDEX, 2, IMAGE_INDEX], [[7, 8], [9]]) == [1, 7, 8, 2, 9]


@pytest.mark.parametrize("images", [[], [[7]], [[7], [8], [9]]])
def test_another_number_of_images_is_an_error(images: list[list[int]]) -> None:
    with pytest.raises(ValueError, match="for 2 placeholders"):
        expand_images([1, IMAGE_INDEX, 2, IMAGE_INDEX], images)
