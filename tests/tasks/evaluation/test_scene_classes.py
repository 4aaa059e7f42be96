"""Scores by scene class: equal to scoring each class by hand, the worst first."""

import json
from pathlib import Path
from typing import Any

import pytest
from pycocoevalcap.bleu.bleu import Bleu
from pycocoevalcap.cider.cider import Cider
from pycocoevalcap.rouge.rouge import Rouge
from support.scoring import no_meteor

from tasks.evaluation.evaluate_answers import EvaluationFiles, evaluate
from tasks.evaluation.scene_classes import group_by_class
from tasks.evaluation.scoring import score_records
from tasks.settings import EvaluationConfig

CONFIG = EvaluationConfig(gallery=4)
# image: answer, references
CAPTIONS = {
    "RSICD/images/port_1.jpg": ("two boats in a port", ["two boats in a blue port", "many boats"]),
    "RSICD/images/port_2.jpg": ("a port with boats", ["a port with some white boats", "a blue port"]),
    "RSICD/images/wood_1.jpg": ("green trees", ["many green trees in a dense wood"]),
    "RSICD/images/wood_2.jpg": ("a road", ["a wood", "trees"]),
    "RSICD/images/wood_3.jpg": ("trees in a dense wood", ["trees in a wood", "a dense wood of green trees"]),
    "RSICD/images/00007.jpg": ("a bare field", ["a bare brown field"]),
}
ROAD = "Is there a road?"


@pytest.fixture
def caption_scores(paired: Any, captions_of: Any) -> Any:
    """The scores of CAPTIONS."""
    test = [captions_of(image, references) for image, (_, references) in CAPTIONS.items()]
    said = [captions_of(image, [answer]) for image, (answer, _) in CAPTIONS.items()]
    return score_records(paired(test, said), None, CONFIG, no_meteor).scores["captioning"]["RSICD"]


def test_captions_of_a_class_score_as_pycocoevalcap_scores_them(caption_scores: Any) -> None:
    references = {image: references for image, (_, references) in CAPTIONS.items()}
    answers = {image: [answer] for image, (answer, _) in CAPTIONS.items()}
    _, each = Cider().compute_score(references, answers)
    cider = dict(zip(references, each, strict=True))
    assert set(caption_scores["by_class"]) == {"port", "wood"}
    for name, found in caption_scores["by_class"].items():
        members = [image for image in CAPTIONS if name in image]
        own = {image: references[image] for image in members}, {image: answers[image] for image in members}
        assert found["images"] == len(members)
        # the document frequency is that of all images
        assert found["CIDEr"] == pytest.approx(sum(cider[image] for image in members) / len(members), abs=1e-9)
        assert [found[f"BLEU-{n}"] for n in (1, 2, 3, 4)] == pytest.approx(Bleu(4).compute_score(*own, 0)[0], abs=1e-9)
        assert found["ROUGE-L"] == pytest.approx(Rouge().compute_score(*own)[0], abs=1e-9)
        low, high = found["ci95"]["CIDEr"]
        assert low <= found["CIDEr"] <= high


def test_the_worst_class_is_first(caption_scores: Any) -> None:
    scores = [found["CIDEr"] for found in caption_scores["by_class"].values()]
    assert scores == sorted(scores) and scores[0] < scores[1]


def test_scores_by_class_add_up_to_those_of_all_images(paired: Any, record: Any) -> None:
    asked = [(f"AID/{name}/{name}_{n}.jpg", "yes" if n % 2 else "no") for name in ("port", "wood") for n in range(4)]
    test = [record(image, [(ROAD, truth), ("How many roads are there?", "3")]) for image, truth in asked]
    said = [record(image, [(ROAD, "no"), ("How many roads are there?", "23"["wood" in image])]) for image, _ in asked]
    scores = score_records(paired(test, said), None, CONFIG, None).scores["vqa"]["AID"]
    by_class: Any = scores["by_class"]
    assert list(by_class) == ["port", "wood"]
    assert [by_class[name]["accuracy"] for name in by_class] == [2 / 8, 6 / 8]
    assert [(found["images"], found["questions"]) for found in by_class.values()] == [(4, 8), (4, 8)]
    assert scores["accuracy"] == sum(found["accuracy"] * found["questions"] for found in by_class.values()) / 16
    assert by_class["port"]["ci95"]["accuracy"][1] < 1


def test_without_classes_there_is_no_key(paired: Any, record: Any) -> None:
    test = [record(f"LR/Train/{n}.tif", [(ROAD, "yes")]) for n in range(3)]
    assert "by_class" not in score_records(paired(test, test), None, CONFIG, None).scores["vqa"]["LR"]


def test_names_that_are_hashes_are_not_classes() -> None:
    hashes = ["mine/7c0e4a31.jpg", "mine/91f2b08.jpg", "mine/0d55e7.jpg"]
    assert group_by_class("mine", hashes, hashes) == {}
    scenes = ["mine/port_1.jpg", "mine/port_2.jpg", "mine/wood_1.jpg", "mine/wood_2.jpg", "mine/12.jpg"]
    assert group_by_class("mine", scenes, scenes) == {"port": scenes[:2], "wood": scenes[2:4]}


def test_the_classes_of_registered_sources_may_have_one_image_each() -> None:
    images = ["NWPU/NWPU_images/airport/airport_1.jpg", "NWPU/NWPU_images/beach/beach_1.jpg"]
    assert group_by_class("NWPU", images, [1, 2]) == {"airport": [1], "beach": [2]}


def test_the_report_shows_twelve_classes_and_folds_the_others(write: Any, record: Any, tmp_path: Path) -> None:
    images = [f"AID/scene{chr(97 + n // 2)}/scene{chr(97 + n // 2)}_{n}.jpg" for n in range(28)]
    test = [record(image, [(ROAD, "yes")]) for image in images]
    said = [record(image, [(ROAD, "no" if "scenen" in image else "yes")]) for image in images]
    files = EvaluationFiles(write("test.json", test), write("final.json", said))
    folder = evaluate(files, tmp_path / "final", CONFIG).path
    section = (folder / "report.html").read_text().split('id="classes"')[1].split("<h2")[0]
    shown, folded = section.split("<details")
    assert (shown.count("<rect"), folded.count("<rect")) == (12, 2)
    assert "The other 2 classes" in folded
    # the worst first
    assert shown.index("scenen (2 images, 2 questions) 0.000") < shown.index("scenea (2 images, 2 questions) 1.000")
    rows = [json.loads(line) for line in (folder / "scores.jsonl").read_text().split("\n")[:-1]]
    assert [row["value"] for row in rows if (row["type"], row["metric"]) == ("class.scenen", "accuracy")] == [0]
    assert len({row["type"] for row in rows if row["type"].startswith("class.")}) == 14
