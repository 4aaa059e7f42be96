import json

import pytest
from prefect.logging import disable_run_logger

from tasks.inference.steps import answer_subsets
from tasks.records import DatasetRef, ModelRef
from tasks.settings import InferenceConfig
from tasks.storage.manifests import folder_digest


@pytest.mark.slow
def test_the_step_answers_the_datasets_test_set_in_a_child_process(records, images, tiny_model_dir, tmp_path):
    (tmp_path / "sets").mkdir()
    (tmp_path / "sets" / "filtered_test.json").write_text(json.dumps(records))
    dataset = DatasetRef(path=tmp_path / "sets", sha256="0", images=images, images_sha256="1", records={})
    model = ModelRef(path=tiny_model_dir, sha256=folder_digest(tiny_model_dir))
    with disable_run_logger():
        made = answer_subsets.fn(
            model, dataset, InferenceConfig(max_new_tokens=2), "final", tmp_path / "out", tmp_path / "log.txt"
        )
    assert (made.path, made.model, made.answers) == (tmp_path / "out", "final", 7)
    assert "7 of 7 questions answered" in (tmp_path / "log.txt").read_text()
