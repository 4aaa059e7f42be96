import json
from pathlib import Path
from random import Random
from typing import Any

from tasks.data.dataset_views import choose_images, settings_for_few_images, view_few_images
from tasks.files import read_json
from tasks.manifests import verified_manifest
from tasks.records import DatasetRef
from tasks.settings import ExperimentConfig


def record(source: str, number: int, copy: str = "") -> dict[str, Any]:
    return {"id": f"{source}-{number}{copy}", "image": f"{source}/images/{number}.jpg", "conversations": []}


RECORDS = [record(source, number, copy) for source in ("NWPU", "LR") for number in range(20) for copy in "ab"]


def names(records: Any) -> list[str]:
    return [each["id"] for each in records]


def test_few_images_of_each_source_keep_all_their_records_in_order() -> None:
    chosen = choose_images(RECORDS, 3, seed=28)
    assert [each for each in RECORDS if each in chosen] == chosen
    for source in ("NWPU", "LR"):
        found = [each for each in chosen if each["image"].startswith(source)]
        assert len(found) == 6 and len({each["image"] for each in found}) == 3


def test_chosen_images_depend_on_name_and_seed_alone() -> None:
    few = set(names(choose_images(RECORDS, 3, seed=28)))
    shuffled = Random(1).sample(RECORDS, len(RECORDS))
    assert set(names(choose_images(shuffled, 3, seed=28))) == few
    assert few < set(names(choose_images(RECORDS, 5, seed=28)))
    assert set(names(choose_images(RECORDS, 3, seed=29))) != few
    assert names(choose_images(RECORDS, 3, seed=28))[:2] == ["NWPU-4a", "NWPU-4b"]


def test_source_with_fewer_images_keeps_all() -> None:
    assert choose_images(RECORDS, 1000, seed=28) == RECORDS


def test_view_is_a_dataset_with_the_chosen_records_as_test_set(tmp_path: Path) -> None:
    sets = tmp_path / "sets"
    sets.mkdir()
    (sets / "filtered_test.json").write_text(json.dumps(RECORDS))
    (sets / "data_train.json").write_text("[]")
    whole = DatasetRef(path=sets, sha256="0", images=tmp_path, images_sha256="1", records={"train": 0, "test": 80})
    view = view_few_images(whole, 2, 28, tmp_path / "view")
    assert verified_manifest(view.path)
    assert read_json(view.path / "filtered_test.json") == choose_images(RECORDS, 2, 28)
    assert (view.records, view.images) == ({"train": 0, "test": 8}, tmp_path)


def test_settings_for_few_images_use_one_transformers_process_without_audit() -> None:
    inference = {"engine": "vllm", "workers": 4, "ray_address": "auto", "max_new_tokens": 7}
    config = ExperimentConfig.model_validate({"inference": inference, "evaluation": {"only_clean": True}})
    few = settings_for_few_images(config)
    assert (few.inference.engine, few.inference.workers, few.inference.ray_address) == ("transformers", 1, None)
    assert few.inference.max_new_tokens == 7 and not few.evaluation.only_clean
