"""A few images a source: always the same ones, with all that is said of them."""

import json
from pathlib import Path
from random import Random
from typing import Any

from tasks.data.few_images import choose_images, settings_for_few, view_few_images
from tasks.files import read_json
from tasks.manifests import verified_manifest
from tasks.records import DatasetRef
from tasks.settings import ExperimentConfig


def record(source: str, number: int, said: str = "") -> dict[str, Any]:
    return {"id": f"{source}-{number}{said}", "image": f"{source}/images/{number}.jpg", "conversations": []}


RECORDS = [record(source, number, said) for source in ("NWPU", "LR") for number in range(20) for said in "ab"]


def names(records: Any) -> list[str]:
    return [each["id"] for each in records]


def test_each_source_has_its_few_images_with_all_their_records_in_their_order() -> None:
    chosen = choose_images(RECORDS, 3, seed=28)
    assert [each for each in RECORDS if each in chosen] == chosen
    for source in ("NWPU", "LR"):
        of_source = [each for each in chosen if each["image"].startswith(source)]
        assert len(of_source) == 6 and len({each["image"] for each in of_source}) == 3


def test_the_same_images_are_chosen_whatever_else_stands_there_and_a_larger_number_keeps_them() -> None:
    few = set(names(choose_images(RECORDS, 3, seed=28)))
    shuffled = Random(1).sample(RECORDS, len(RECORDS))
    assert set(names(choose_images(shuffled, 3, seed=28))) == few
    assert few < set(names(choose_images(RECORDS, 5, seed=28)))
    assert set(names(choose_images(RECORDS, 3, seed=29))) != few
    assert names(choose_images(RECORDS, 3, seed=28))[:2] == ["NWPU-4a", "NWPU-4b"]


def test_a_source_with_fewer_images_has_all_of_them() -> None:
    assert choose_images(RECORDS, 1000, seed=28) == RECORDS


def test_the_view_is_a_dataset_with_the_chosen_as_its_test_set(tmp_path: Path) -> None:
    sets = tmp_path / "sets"
    sets.mkdir()
    (sets / "filtered_test.json").write_text(json.dumps(RECORDS))
    (sets / "data_train.json").write_text("[]")
    whole = DatasetRef(path=sets, sha256="0", images=tmp_path, images_sha256="1", records={"train": 0, "test": 80})
    view = view_few_images(whole, 2, 28, tmp_path / "view")
    assert verified_manifest(view.path)
    assert read_json(view.path / "filtered_test.json") == choose_images(RECORDS, 2, 28)
    assert (view.records, view.images) == ({"train": 0, "test": 8}, tmp_path)


def test_a_few_questions_are_asked_by_one_process_that_takes_an_adapter_and_without_the_test_sets_audit() -> None:
    inference = {"engine": "vllm", "workers": 4, "ray_address": "auto", "max_new_tokens": 7}
    config = ExperimentConfig.model_validate({"inference": inference, "evaluation": {"only_clean": True}})
    few = settings_for_few(config)
    assert (few.inference.engine, few.inference.workers, few.inference.ray_address) == ("transformers", 1, None)
    assert few.inference.max_new_tokens == 7 and not few.evaluation.only_clean
