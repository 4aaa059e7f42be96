"""What models and adapters are called."""

import json

import pytest

from tasks.serving.model_names import adapter_name, model_name, run_of


@pytest.mark.parametrize(
    ("folder", "name"),
    [
        ("models/toy-qwen", "toy-qwen"),
        ("hub/models--llava-hf--llava-1.5-7b-hf/snapshots/0a1b2c", "llava-hf/llava-1.5-7b-hf"),
        ("hub/models--gpt2/snapshots/0a1b2c", "gpt2"),
        ("runs/night/merged", "night, merged"),
    ],
)
def test_a_model_is_called_as_on_the_hub_or_by_its_run(tmp_path, folder, name):
    (tmp_path / folder).mkdir(parents=True)
    (tmp_path / "runs/night").mkdir(parents=True, exist_ok=True)
    (tmp_path / "runs/night/experiment.yaml").touch()
    assert model_name(tmp_path / folder) == name


def test_an_adapter_has_the_name_of_its_run(tmp_path):
    folder = tmp_path / "pulled" / "checkpoint-300"
    folder.mkdir(parents=True)
    assert adapter_name(folder) == "checkpoint-300"
    (folder / "origin.json").write_text(json.dumps({"run": "night"}))
    assert adapter_name(folder) == "night, checkpoint-300"


def test_the_run_of_a_checkpoint_is_found_in_workspace_and_store(tmp_path):
    for inner in ("training/final", "checkpoints/checkpoint-300"):
        (tmp_path / "night" / inner).mkdir(parents=True)
    assert run_of(tmp_path / "night/training/final") is None
    (tmp_path / "night/experiment.yaml").touch()
    assert run_of(tmp_path / "night/training/final") == tmp_path / "night"
    assert run_of(tmp_path / "night/checkpoints/checkpoint-300") == tmp_path / "night"
