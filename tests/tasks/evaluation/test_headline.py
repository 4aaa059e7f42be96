"""The headline scores of sources, and when a gain over image-blind baselines is shown."""

from typing import Any

import pytest

from tasks.evaluation.headline import blind_baseline, gain_is_shown, headline_scores


def scores(interval: list[float] | None, images: int = 6, **controls: float | None) -> Any:
    return {"CIDEr": 0.5, "images": images, "ci95": {"CIDEr": interval}, "controls": controls}


@pytest.mark.parametrize(
    ("controls", "expected"),
    [
        ({"train_consensus": 0.9, "constant": 0.3, "shuffled_images": 1.2}, 0.9),
        ({"train_consensus": 0.2, "constant": 0.3, "leave_one_out": 4.0}, 0.3),
        ({"question_only": 0.85, "majority": 0.6}, 0.85),
        ({"train_consensus": None, "constant": None, "shuffled_images": 0.1}, 0.1),
        ({"shuffled_images": None, "leave_one_out": 4.0}, None),
    ],
)
def test_the_blind_baseline_is_that_of_the_training_set_where_it_is_known(
    controls: dict[str, float | None], expected: float | None
) -> None:
    assert blind_baseline(controls) == expected


def test_a_gain_is_shown_when_the_whole_interval_is_above_the_baseline() -> None:
    assert gain_is_shown(scores([0.41, 0.6], constant=0.4), "CIDEr")
    assert not gain_is_shown(scores([0.4, 0.6], constant=0.4), "CIDEr")
    assert not gain_is_shown(scores([0.3, 0.7], constant=0.4), "CIDEr")


def test_without_an_interval_the_score_itself_is_compared_with_the_baseline() -> None:
    assert gain_is_shown(scores(None, constant=0.4), "CIDEr")
    assert not gain_is_shown(scores(None, constant=0.5), "CIDEr")


def test_no_gain_is_shown_on_few_images_or_without_a_control() -> None:
    assert not gain_is_shown(scores([0.41, 0.6], images=5, constant=0.4), "CIDEr")
    assert not gain_is_shown(scores([0.41, 0.6]), "CIDEr")


def test_sources_without_a_headline_score_are_left_out() -> None:
    single = {**scores(None), "CIDEr": None}
    found = headline_scores({"captioning": {"NWPU": scores([0.4, 0.6]), "UCM": single}, "vqa": {}})
    assert found == {"NWPU": {"metric": "CIDEr", "value": 0.5, "ci95": [0.4, 0.6]}}
