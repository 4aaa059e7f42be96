"""The gain over image-blind baselines: paired by image, over the baseline that is hardest to beat."""

import numpy as np
import pytest

from tasks.evaluation.gains import gain_over, show_gains


def statistics(own: list[float], blind: list[float], asked: float = 1.0) -> np.ndarray:
    return np.array([own, blind, [asked] * len(own)]).T


def test_baselines_of_the_training_set_decide_where_they_are_known() -> None:
    own, none = [1.0] * 8, [0.0] * 8
    some = [1.0] * 4 + [0.0] * 4
    found = gain_over({"majority": statistics(own, none), "question_only": statistics(own, some)})
    assert found is not None and (found["baseline"], found["value"]) == ("question_only", 0.5)
    alone = gain_over({"shuffled_images": statistics(own, some), "majority": statistics(own, none)})
    assert alone is not None and (alone["baseline"], alone["value"]) == ("majority", 1.0)


def test_of_baselines_that_are_all_beaten_the_best_is_named() -> None:
    random = np.random.default_rng(2)
    own = random.gamma(2, 1, 40) + 2
    steady, uneven = own - 0.5, own - 1 - random.gamma(1, 1, 40)
    found = gain_over(
        {"majority": statistics(list(own), list(uneven)), "question_only": statistics(list(own), list(steady))}
    )
    assert found is not None and found["baseline"] == "question_only" and found["value"] == pytest.approx(0.5)
    alone = gain_over({"majority": statistics(list(own), list(uneven))})
    # the other is beaten less clearly
    assert alone is not None and found["p"] == alone["p"]


def test_no_baseline_means_no_gain() -> None:
    assert gain_over({}) is None


def test_a_gain_is_paired_by_image() -> None:
    # the model is ahead by 0.1 on every image, which differ far more among each other
    random = np.random.default_rng(1)
    blind = random.gamma(1, 2, 30)
    own = blind + 0.1 + random.normal(0, 0.05, 30)
    found = gain_over({"constant": statistics(list(own), list(blind))})
    show_gains([found])
    assert found is not None and found["shown"] and found["value"] == pytest.approx(np.mean(own - blind))


def test_six_of_six_against_five_of_six_is_not_shown() -> None:
    found = gain_over({"majority": statistics([1.0] * 6, [1.0] * 5 + [0.0])})
    show_gains([found])
    assert found is not None and not found["shown"]


def test_fewer_than_six_images_have_no_test() -> None:
    found = gain_over({"majority": statistics([1.0] * 5, [0.0] * 5)})
    show_gains([found])
    assert found is not None
    assert (found["value"], found["ci95"], found["p"], found["shown"]) == (1.0, None, None, False)


def test_sources_of_a_page_are_one_family() -> None:
    page = [gain_over({"majority": statistics([1.0] * 7, [0.0] * 7)}) for _ in range(5)]
    show_gains([*page, None])
    # 2 / 128 alone, five times that among five sources
    assert [(each or {}).get("p_adjusted") for each in page] == pytest.approx([10 / 128] * 5)
    assert not any((each or {}).get("shown") for each in page)


def test_a_loss_is_never_shown() -> None:
    found = gain_over({"majority": statistics([0.0] * 20, [1.0] * 20)})
    show_gains([found])
    assert found is not None and found["p"] is not None and found["p"] < 1e-4 and not found["shown"]


@pytest.mark.parametrize("images", [6, 10, 20])
def test_equal_accuracies_are_seldom_shown(images: int) -> None:
    # held against the interval of the model alone, 21 to 25 % of these were shown
    random = np.random.default_rng(images)
    shown = 0
    for _ in range(1500):
        own, blind = (random.binomial(1, 0.93, images).astype(float) for _ in range(2))
        found = gain_over({"majority": statistics(list(own), list(blind))})
        show_gains([found])
        shown += found is not None and found["shown"]
    assert shown / 1500 < 0.035
