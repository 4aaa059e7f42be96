"""The comparison of two models by their rows."""

import math
from statistics import NormalDist
from typing import Any

import pytest

from tasks.evaluation.comparison import compare_rows, verdict_of

Row = dict[str, Any]


def rows(task: str, values: list[float]) -> list[Row]:
    return [
        {
            "record": number,
            "turn": 0,
            "task": task,
            "source": "LR",
            "image": f"LR/Train/{number}.tif",
            "right": value if task == "vqa" else None,
            "CIDEr": value if task == "captioning" else None,
            "ROUGE-L": value if task == "captioning" else None,
        }
        for number, value in enumerate(values)
    ]


def test_b_is_compared_with_a() -> None:
    worse, better = rows("vqa", [False] * 20 + [True] * 5), rows("vqa", [True] * 25)
    found = compare_rows(worse, better)["vqa"]["LR"]
    assert (found["images"], found["questions"]) == (25, 25)
    assert found["accuracy"]["difference"] == pytest.approx(0.8)
    assert found["accuracy"]["verdict"] == "better"
    assert compare_rows(better, worse)["vqa"]["LR"]["accuracy"]["verdict"] == "worse"


def test_captions_are_compared_by_the_mean_of_their_images() -> None:
    found = compare_rows(rows("captioning", [0.1, 0.2]), rows("captioning", [0.3, 0.6]))["captioning"]["LR"]
    assert found["CIDEr"]["a"] == pytest.approx(0.15)
    assert found["CIDEr"]["b"] == pytest.approx(0.45)


def test_images_are_weighted_by_their_number_of_questions() -> None:
    def answered(right: bool) -> list[Row]:
        of_image = rows("vqa", [right] * 20)
        return [{**row, "turn": turn} for number, row in enumerate(of_image) for turn in range(1 + number % 5)]

    found = compare_rows(answered(False), answered(True))["vqa"]["LR"]["accuracy"]
    # every answer became right on each of 20 images: Wilson's bound for 20 of 20
    assert found["difference"] == 1 and found["ci95"] == pytest.approx([2 * 20 / (20 + 1.959964**2) - 1, 1])


def test_a_model_ties_with_itself() -> None:
    same = rows("captioning", [0.1, 0.5, 0.9, 1.4])
    found = compare_rows(same, same)["captioning"]["LR"]["CIDEr"]
    assert (found["difference"], found["p_value"], found["verdict"]) == (0, 1, "tie")


def test_two_images_are_too_few_for_a_verdict() -> None:
    found = compare_rows(rows("vqa", [False] * 2), rows("vqa", [True] * 2))
    assert found["vqa"]["LR"]["accuracy"]["verdict"] == "tie"


def test_the_comparison_does_not_depend_on_the_order_of_rows() -> None:
    a, b = rows("captioning", [0.1, 0.4, 0.3, 0.9]), rows("captioning", [0.2, 0.3, 0.6, 1.0])
    assert compare_rows(a[::-1], b) == compare_rows(a, b[::-1])


def test_a_lower_score_is_better_where_the_metric_says_so() -> None:
    assert verdict_of(-0.15, 0.01, higher_is_better=False) == "better"
    assert verdict_of(0.15, 0.01, higher_is_better=False) == "worse"


@pytest.mark.parametrize(
    ("difference", "p_value", "verdict"), [(0.1, 0.01, "better"), (-0.2, 0.01, "worse"), (0.1, 0.05, "tie")]
)
def test_a_verdict_follows_the_adjusted_p_value(difference: float, p_value: float, verdict: str) -> None:
    assert verdict_of(difference, p_value) == verdict


def test_all_metrics_of_a_page_are_one_family() -> None:
    a, b = rows("captioning", [0.1] * 8), rows("captioning", [0.2] * 8)
    found = compare_rows(a, b)["captioning"]["LR"]
    tested = [each for each in found.values() if isinstance(each, dict)]
    assert {each["p_adjusted"] for each in tested} == {len(tested) * 2 / 2**8}


def test_a_tie_has_the_number_of_images_needed_for_a_verdict() -> None:
    a, b = rows("captioning", [0.1, 0.5] * 10), rows("captioning", [0.4, 0.3] * 10)
    found = compare_rows(a, b)["captioning"]["LR"]["CIDEr"]
    assert found["verdict"] == "tie"
    # differences 0.3 and -0.2: mean 0.05, deviation 0.2565 over 20 images; the correction leaves a part of the level
    normal, level = NormalDist(), 0.05 * found["p_value"] / found["p_adjusted"]
    quantiles = [normal.inv_cdf(1 - each / 2) + normal.inv_cdf(0.8) for each in (level, 0.05)]
    assert level < 0.05 and found["images_needed"] == math.ceil(207 * (quantiles[0] / quantiles[1]) ** 2)


def test_images_needed_are_never_fewer_than_the_corrected_test_takes() -> None:
    found = [rows("captioning", [value] * 7) for value in (0.1, 0.2)]
    differences = compare_rows(*found)["captioning"]["LR"]
    for each in differences.values():
        if isinstance(each, dict) and each["verdict"] == "tie":
            assert each["images_needed"] > 7
