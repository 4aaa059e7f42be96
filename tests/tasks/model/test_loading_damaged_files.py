"""A model directory with a damaged JSON file is read, or refused with one sentence."""

import json
import shutil
from copy import deepcopy
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings, strategies
from support.files import places

from flows.cli import main
from tasks.errors import ModelError
from tasks.model.loading import load_processor
from tasks.model.lora_config import read_lora_config

FILES = ("config.json", "generation_config.json", "preprocessor_config.json", "tokenizer_config.json")
DAMAGED = {
    "nothing": "",
    "cut off": '{"a": ',
    "a list": "[]",
    "null": "null",
    "a text": '"x"',
    "endless lists": "[" * 100_000,
    "endless objects": '{"a":' * 100_000,
    "5,000 digits": '{"a": ' + "9" * 5000 + "}",
    "NaN": '{"a": NaN}',
    "beyond a float": '{"a": 1e999}',
    "half a character": '{"a": "\\ud800"}',
}
EACH = pytest.mark.parametrize("text", DAMAGED.values(), ids=DAMAGED)
ODD = (None, True, 0, -1, 10**12, 10**299, 1.5, "", "x", "\0", "\ud800", "../x", [], {}, [[]], {"a": 1}, 7, [1, 2, 3])


@EACH
@pytest.mark.parametrize("name", FILES[:3])
def test_a_damaged_json_file_is_read_or_refused_in_one_sentence(
    tiny_model_dir: Path, tmp_path: Path, name: str, text: str
) -> None:
    folder = shutil.copytree(tiny_model_dir, tmp_path / "model")
    (folder / name).write_text(text)
    with pytest.raises(ModelError, match=rf"^[^\n]*{folder}[^\n]*$"):
        load_processor(folder)


@EACH
@pytest.mark.parametrize("place", ["base/config.json", "adapter/adapter_config.json"])
def test_merging_refuses_a_damaged_json_file_and_writes_nothing(
    tuned_pair: tuple[Path, Path], tmp_path: Path, place: str, text: str, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, source in zip(("base", "adapter"), tuned_pair, strict=True):
        shutil.copytree(source, tmp_path / name)
    (tmp_path / place).write_text(text)
    folders = [part for name in ("base", "adapter", "out") for part in (f"--{name}", str(tmp_path / name))]
    assert main(["merge", *folders]) == 2
    said = capsys.readouterr().err
    assert said.startswith("error: ") and len(said.splitlines()) == 1
    assert sorted(path.name for path in tmp_path.iterdir()) == ["adapter", "base"]


def mutated(file: Path, data: strategies.DataObject) -> str:
    """A JSON file with up to three of its values replaced or removed."""
    value = json.loads(file.read_text())
    for _ in range(data.draw(strategies.integers(1, 3))):
        if found := list(places(value)):
            holder, key = found[data.draw(strategies.integers(0, len(found) - 1))]
            if data.draw(strategies.integers(0, 7)):
                holder[key] = deepcopy(data.draw(strategies.sampled_from(ODD)))
            else:
                del holder[key]
    return json.dumps(value)


@pytest.mark.parametrize("name", FILES)
@settings(max_examples=60, suppress_health_check=list(HealthCheck))
@given(data=strategies.data())
def test_json_values_of_wrong_types_are_read_or_refused(
    tiny_model_dir: Path, tmp_path_factory: pytest.TempPathFactory, name: str, data: strategies.DataObject
) -> None:
    folder = shutil.copytree(tiny_model_dir, tmp_path_factory.mktemp("mutated") / "model", copy_function=shutil.copy)
    (folder / name).write_text(mutated(folder / name, data))
    try:
        load_processor(folder)
    except ModelError as error:
        assert "\n" not in str(error)
    shutil.rmtree(folder)


@settings(max_examples=200, suppress_health_check=list(HealthCheck))
@given(data=strategies.data())
def test_adapter_settings_of_wrong_types_are_read_or_refused(
    tuned_pair: tuple[Path, Path], tmp_path: Path, data: strategies.DataObject
) -> None:
    (tmp_path / "adapter_config.json").write_text(mutated(tuned_pair[1] / "adapter_config.json", data))
    try:
        read_lora_config(tmp_path)
    except ModelError as error:
        assert "\n" not in str(error)
