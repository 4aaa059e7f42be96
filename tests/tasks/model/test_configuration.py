"""What stands beside the weights is read before them, or one sentence says which file is damaged."""

from pathlib import Path

import pytest
from PIL import Image

from flows.cli import main
from tasks.errors import ModelError
from tasks.files import write_json
from tasks.model.configuration import require_model_config


@pytest.mark.parametrize("content", ["[]", "{", '"text"', "\udcff"])
def test_generation_settings_that_are_damaged_are_named(model_dir: Path, content: str) -> None:
    file = model_dir / "generation_config.json"
    file.write_text(content, errors="surrogateescape")
    with pytest.raises(ModelError, match=f"{file} (is damaged .*|holds no settings): copy the model again"):
        require_model_config(model_dir)


def test_a_model_without_generation_settings_is_one(model_dir: Path) -> None:
    (model_dir / "generation_config.json").unlink()
    assert require_model_config(model_dir)


def test_a_command_ends_with_2_and_names_the_damaged_settings(
    model_dir: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Image.new("RGB", (20, 20)).save(tmp_path / "a.png")
    turns = [{"from": "human", "value": "<image>\nIs there a road?"}, {"from": "gpt", "value": "yes"}]
    write_json(tmp_path / "test.json", [{"id": "1", "image": "a.png", "conversations": turns}])
    write_json(model_dir / "generation_config.json", [])
    paths = {"model": model_dir, "data": tmp_path / "test.json", "images": tmp_path, "out": tmp_path / "out"}
    assert main(["predict", *(word for name, path in paths.items() for word in (f"--{name}", str(path)))]) == 2
    said = capsys.readouterr().err.splitlines()
    assert said[-1] == f"error: {model_dir}/generation_config.json holds no settings: copy the model again."
    assert not any("Traceback" in line for line in said)
