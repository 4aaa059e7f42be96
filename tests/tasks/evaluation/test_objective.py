"""One objective for several sources: by hand, without units, and with both tasks of one source."""

import math
from typing import Any

import numpy as np
import pytest

from tasks.evaluation.headline import HeadlineScore
from tasks.evaluation.metrics.registry import CAPTION_METRICS, QUESTION_METRICS
from tasks.evaluation.objective import (
    Reference,
    Standard,
    objective_of,
    p_values_to_best,
    plain_mean,
    reference_of,
    values_by_source,
)

SCORES: dict[str, HeadlineScore] = {
    "NWPU": {"metric": "CIDEr", "value": 2.0, "ci95": [1.51, 2.49]},
    "LR": {"metric": "accuracy", "value": 0.8, "ci95": [0.751, 0.849]},
}


def test_a_gain_counts_in_standard_errors() -> None:
    reference = reference_of(SCORES)
    assert reference.errors == {"NWPU": pytest.approx(0.25), "LR": pytest.approx(0.025)}
    # one error up, and two down
    assert objective_of({"NWPU": 2.25, "LR": 0.75}, reference) == pytest.approx((1 - 2) / math.sqrt(2))


def test_units_cancel() -> None:
    times = {"NWPU": 10.0, "LR": 100.0}
    scaled: dict[str, HeadlineScore] = {
        name: {**found, "value": found["value"] * times[name], "ci95": [times[name] * b for b in found["ci95"] or ()]}
        for name, found in SCORES.items()
    }
    now = {"NWPU": 2.4, "LR": 0.7}
    expected = objective_of(now, reference_of(SCORES))
    moved = {name: value * times[name] for name, value in now.items()}
    assert objective_of(moved, reference_of(scaled)) == pytest.approx(expected)


def test_a_source_without_an_interval_is_named_and_left_out() -> None:
    single: dict[str, HeadlineScore] = {**SCORES, "DOTA": {"metric": "accuracy", "value": 1.0, "ci95": None}}
    reference = reference_of(single)
    assert set(reference.sources) == {"NWPU", "LR"} and reference.unresolved == ("DOTA",)


def test_the_plain_mean_is_the_mean() -> None:
    assert objective_of({"NWPU": 3.0, "LR": 0.5}, plain_mean(SCORES)) == pytest.approx(1.75)


def test_captions_and_questions_of_one_source_are_two_parts() -> None:
    rows: list[Any] = [
        {"source": "UCM", "image": f"UCM/{image}.png", "CIDEr": cider, "right": right}
        for image, cider, right in ((0, 1.0, None), (1, 3.0, None), (0, None, True), (1, None, False), (1, None, True))
    ]
    columns = {"UCM captions": CAPTION_METRICS["CIDEr"], "UCM": QUESTION_METRICS["accuracy"]}
    scores = {"UCM captions": 2.0, "UCM": 2 / 3}
    found = values_by_source([rows, rows], [scores, scores], columns)
    assert {name: each.mean(axis=0).tolist() for name, each in found.items()} == {
        "UCM captions": pytest.approx([2.0, 2.0]),
        "UCM": pytest.approx([2 / 3, 2 / 3]),
    }


@pytest.mark.parametrize("points", [2, 3])
def test_a_source_with_few_images_cannot_call_a_point_worse(points: int) -> None:
    random = np.random.default_rng(28)
    many = random.normal(size=(200, 1)) + random.normal(size=(200, points))
    many += 1 - many.mean(axis=0)
    reference = Reference(
        sources={
            "RSICD": Standard(metric="CIDEr", value=1, error=0.1),
            "DOTA": Standard(metric="accuracy", value=0.5, error=0.2),
        }
    )
    for images, found in ((5, False), (6, True)):
        # right on every image or on none: there is no spread from which an error could be seen
        few = np.tile([1.0] + [0.0] * (points - 1), (images, 1))
        p_values = p_values_to_best({"RSICD": many, "DOTA": few}, reference)
        assert p_values[0] == 1
        assert (p_values[1] < 0.05) is found
