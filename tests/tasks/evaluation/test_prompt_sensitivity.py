"""Sensitivity of captions to the prompt, on a few short answers."""

from typing import Any

import pytest

from tasks.evaluation.caption_metrics import caption_set
from tasks.evaluation.metrics.cider import CiderSpace, mean_similarity
from tasks.evaluation.prompt_sensitivity import prompt_sensitivity

SHIPS, TREES = "two ships in the blue port", "many green trees in the wood"
IMAGES = ("RSICD/images/a_1.jpg", "RSICD/images/b_1.jpg")


@pytest.fixture
def found(paired: Any, record: Any) -> Any:
    """A function (answers of each image) -> the sensitivity."""
    prompts = ("Describe the image", "What is shown in this image?")
    test = [
        record(image, [(prompt, truth) for prompt in prompts])
        for image, truth in zip(IMAGES, (SHIPS, TREES), strict=True)
    ]

    def find(*answers: tuple[str, ...]) -> Any:
        said = [
            record(image, list(zip(prompts, given, strict=False))) for image, given in zip(IMAGES, answers, strict=True)
        ]
        records = paired(test, said)
        return prompt_sensitivity(caption_set("RSICD", records), records)

    return find


def test_one_answer_per_image_has_no_sensitivity(found: Any) -> None:
    assert found((SHIPS,), (TREES,)) is None


def test_worst_and_best_prompt_are_taken_per_image(found: Any) -> None:
    scores = found((SHIPS, "a dog"), ("a dog", TREES))
    space = CiderSpace([(SHIPS, SHIPS), (TREES, TREES)])
    whole = [mean_similarity(space.vector(text), [space.vector(text)]) for text in (SHIPS, TREES)]
    assert (scores["images"], scores["answers"], scores["same_answer_share"]) == (2, 4, 0)
    assert (scores["worst"], scores["best"]) == (0, pytest.approx(sum(whole) / 2))
    assert scores["mean"] == scores["within_image_deviation"] == pytest.approx(scores["best"] / 2)
    assert scores["by_prompt"]["Describe the image"] == {"answers": 2, "CIDEr": pytest.approx(whole[0] / 2)}


def test_images_with_one_answer_are_left_out(found: Any) -> None:
    scores = found((SHIPS, SHIPS), (TREES,))
    assert (scores["images"], scores["same_answer_share"], scores["within_image_deviation"]) == (1, 1, 0)
