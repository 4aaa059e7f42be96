import json
import subprocess
import sys
from pathlib import Path
from typing import get_args

import pytest
from PIL import Image

from flows.cli import build_parser, main
from tasks.choices import Transform
from tasks.settings import InferenceConfig


@pytest.fixture
def world(tmp_path):
    """A model directory, a test set and its one image; the engine needs no weights."""
    (tmp_path / "tiny").mkdir()
    (tmp_path / "tiny" / "config.json").write_text("{}")
    (tmp_path / "images" / "LR" / "Train").mkdir(parents=True)
    Image.new("RGB", (20, 20)).save(tmp_path / "images" / "LR" / "Train" / "1.tif")
    turns = [{"from": "human", "value": "<image>\nIs there a road?"}, {"from": "gpt", "value": "yes"}]
    records = [{"id": "LR_1", "image": "LR/Train/1.tif", "conversations": turns}]
    (tmp_path / "test.json").write_text(json.dumps(records))
    return tmp_path


def predict(world: Path, *more: str, **changed: str) -> int:
    values = {"model": "tiny", "data": "test.json", "images": "images", "out": "out", **changed}
    arguments = [part for name, value in values.items() for part in (f"--{name}", str(world / value))]
    return main(["predict", *arguments, "--engine", "echo", *more])


def test_predict_writes_the_folder_and_prints_it(world, capsys):
    assert predict(world) == 0
    assert capsys.readouterr().out == f"{world / 'out'}\n"
    names = {path.relative_to(world / "out").as_posix() for path in (world / "out").rglob("*") if path.is_file()}
    assert names == {"STARTED.json", "answers.jsonl", "final.json", "subsets/filter_001_final.json", "MANIFEST.json"}


def test_the_model_is_named_after_its_directory(world):
    predict(world)
    assert json.loads((world / "out" / "MANIFEST.json").read_text())["details"]["model"] == "tiny"


@pytest.mark.parametrize("changed", [{"model": "none"}, {"data": "none.json"}, {"images": "none"}])
def test_a_missing_input_ends_with_2_and_writes_nothing(world, capsys, changed):
    assert predict(world, **changed) == 2
    message = capsys.readouterr().err
    assert message.startswith("error: ") and "none" in message and "Traceback" not in message
    assert not (world / "out").exists()


@pytest.mark.parametrize("option", ["--subset-size", "--max-new-tokens", "--batch-size"])
def test_a_number_out_of_bounds_ends_with_2_and_names_the_option(world, capsys, option):
    assert predict(world, option, "0") == 2
    assert option in capsys.readouterr().err


def test_an_unreadable_image_ends_with_2_and_no_final_json(world, capsys):
    (world / "images" / "LR" / "Train" / "1.tif").write_bytes(b"no image")
    assert predict(world) == 2
    assert "LR_1" in capsys.readouterr().err
    assert not (world / "out" / "final.json").exists()


def test_other_settings_in_the_same_folder_end_with_2(world, capsys):
    predict(world)
    assert predict(world, "--history", "reference") == 2
    assert "inference.history" in capsys.readouterr().err


def test_a_transform_is_applied_recorded_and_needs_its_own_folder(world, capsys):
    assert predict(world) == predict(world, "--transform", "rot90", out="turned") == 0
    plain, turned = (json.loads((world / out / "final.json").read_text()) for out in ("out", "turned"))
    assert plain != turned
    assert json.loads((world / "turned" / "STARTED.json").read_text())["inputs"]["inference.transform"] == "rot90"
    assert predict(world, "--transform", "rot90") == 2
    assert "inference.transform" in capsys.readouterr().err


def test_transforms_are_those_of_the_settings():
    (subparsers,) = (action for action in build_parser()._actions if isinstance(action.choices, dict))
    (option,) = (action for action in subparsers.choices["predict"]._actions if action.dest == "transform")
    assert option.choices == get_args(Transform)


@pytest.mark.parametrize("name", ["history", "caption_turns", "dtype", "engine"])
def test_options_offer_the_choices_of_the_settings(name):
    (subparsers,) = (action for action in build_parser()._actions if isinstance(action.choices, dict))
    (option,) = (action for action in subparsers.choices["predict"]._actions if action.dest == name)
    assert list(option.choices) == InferenceConfig.model_json_schema()["properties"][name]["enum"]


def test_help_needs_no_heavy_import():
    program = (
        "import sys\nfrom flows.cli import build_parser\nbuild_parser().format_help()\n"
        "assert not {'torch', 'transformers', 'prefect', 'pydantic'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", program], check=True)
