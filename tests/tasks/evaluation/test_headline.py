"""The headline scores of sources."""

from typing import Any

from tasks.evaluation.headline import headline_scores


def scores(interval: list[float] | None, images: int = 6, **controls: float | None) -> Any:
    return {"CIDEr": 0.5, "images": images, "ci95": {"CIDEr": interval}, "controls": controls}


def test_sources_without_a_headline_score_are_left_out() -> None:
    single = {**scores(None), "CIDEr": None}
    found = headline_scores({"captioning": {"NWPU": scores([0.4, 0.6]), "UCM": single}, "vqa": {}})
    assert found == {"NWPU": {"metric": "CIDEr", "value": 0.5, "ci95": [0.4, 0.6]}}


def test_captions_and_questions_of_one_source_have_a_score_each() -> None:
    questions: Any = {"accuracy": 0.7, "images": 6, "ci95": {"accuracy": [0.6, 0.8]}}
    found = headline_scores(
        {"captioning": {"UCM": scores([0.4, 0.6]), "NWPU": scores(None)}, "vqa": {"UCM": questions}}
    )
    assert {name: each["metric"] for name, each in found.items()} == {
        "UCM captions": "CIDEr",
        "NWPU": "CIDEr",
        "UCM": "accuracy",
    }
