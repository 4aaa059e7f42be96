"""`rsvlm inspect` on models of both layouts."""

import json
import subprocess
import sys
from collections.abc import Callable
from io import BytesIO, TextIOWrapper
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
from PIL import Image
from support.command_line import rsvlm
from support.locations import ORACLE


class Inspected(NamedTuple):
    """How the command ended, and what it wrote."""

    returncode: int
    stdout: str
    stderr: str


@pytest.fixture
def inspect(capsys: pytest.CaptureFixture[str]) -> Callable[..., Inspected]:
    """Run the command in this process."""

    def run(*arguments: str | Path) -> Inspected:
        code = rsvlm("inspect", *arguments)
        return Inspected(code, *capsys.readouterr())

    return run


@pytest.fixture
def data(tmp_path: Path) -> Path:
    Image.new("RGB", (20, 10), "green").save(tmp_path / "a.png")
    texts = (("<image>\nRural?\u2028", "yes"), ("<image>\nShips?", ""))
    records = [
        {
            "id": f"LR_{i}",
            "image": "a.png",
            "conversations": [{"from": "human", "value": q}, {"from": "gpt", "value": a}],
        }
        for i, (q, a) in enumerate(texts)
    ]
    (tmp_path / "data.json").write_text(json.dumps(records))
    return tmp_path / "data.json"


def test_inspect_prints_a_line_per_record_and_saves_an_array_per_image(
    inspect: Callable[..., Inspected], tiny_model_dir: Path, data: Path, tmp_path: Path
) -> None:
    done = inspect(
        *("--model", tiny_model_dir, "--data", data, "--images", tmp_path, "--pixels", tmp_path / "pixels"),
    )
    assert done.returncode == 0, done.stderr
    lines = [json.loads(line) for line in done.stdout.split("\n") if line]
    assert [line["id"] for line in lines] == ["LR_0", "LR_1"]
    assert [line["dropped"] is None for line in lines] == [True, False]
    assert [path.name for path in (tmp_path / "pixels").iterdir()] == ["LR_0.npy"]
    assert np.load(tmp_path / "pixels" / "LR_0.npy").shape == (3, 64, 64)


def test_a_wrong_directory_ends_with_2_and_a_sentence(
    inspect: Callable[..., Inspected], data: Path, tmp_path: Path
) -> None:
    done = inspect("--model", tmp_path, "--data", data, "--images", tmp_path)
    assert (done.returncode, done.stdout) == (2, "")
    assert "holds no config.json" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_missing_images_folder_ends_with_2(
    inspect: Callable[..., Inspected], tiny_model_dir: Path, data: Path, tmp_path: Path
) -> None:
    done = inspect("--model", tiny_model_dir, "--data", data, "--images", tmp_path / "none")
    assert (done.returncode, done.stdout) == (2, "")
    assert "none is not a folder" in done.stderr


def test_any_text_is_shown_in_any_encoding(
    tiny_model_dir: Path, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    records = json.loads(data.read_text())
    records[0]["id"], records[1]["id"] = "\ud800", "ü"
    data.write_text(json.dumps(records))
    shown = BytesIO()
    # as Python opens it in the locale C
    monkeypatch.setattr(sys, "stdout", TextIOWrapper(shown, encoding="ascii", errors="strict"))
    assert rsvlm("inspect", "--model", tiny_model_dir, "--data", data, "--images", tmp_path) == 0
    assert [json.loads(line)["id"] for line in shown.getvalue().decode("ascii").splitlines()] == ["\ud800", "ü"]


def test_a_reader_that_closes_the_output_is_not_an_error(tiny_model_dir: Path, data: Path, tmp_path: Path) -> None:
    (tmp_path / "many.json").write_text(json.dumps(json.loads(data.read_text()) * 300))
    command = [sys.executable, "-m", "flows.cli", "inspect", "--model", str(tiny_model_dir), "--images", str(tmp_path)]
    with subprocess.Popen(
        [*command, "--data", str(tmp_path / "many.json")], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert json.loads(process.stdout.readline())["id"] == "LR_0"
        process.stdout.close()
        assert "Traceback" not in process.stderr.read()
    assert process.returncode == 0


def differences(golden: dict[str, Any], line: dict[str, Any]) -> str | None:
    """The first key in which the line differs from the reference."""
    if line["dropped"] is not None:
        return "dropped"
    if line["input_ids"] != golden.get("input_ids"):
        return "ids"
    return None if line["labels"] == golden["labels"] else "labels"


def test_inputs_of_the_original_layout_equal_the_reference(inspect: Callable[..., Inspected], tmp_path: Path) -> None:
    if not ORACLE.is_dir():
        pytest.skip("golden values not present")
    lines = (ORACLE / "prompts_v1.jsonl").read_text(encoding="utf-8").split("\n")
    cases = [json.loads(line) for line in lines if line]
    (tmp_path / "data.json").write_text(json.dumps(cases))
    for case in cases:
        if case.get("image"):
            Image.new("RGB", (9, 9)).save(tmp_path / case["image"])
    done = inspect(
        *("--model", ORACLE / "models" / "tiny-llava-v1.5", "--data", tmp_path / "data.json", "--images", tmp_path)
    )
    assert done.returncode == 0, done.stderr
    shown = [json.loads(line) for line in done.stdout.split("\n") if line]
    found = {case["id"]: differences(case, line) for case, line in zip(cases, shown, strict=True)}
    assert {name: what for name, what in found.items() if what} == {
        # no answer to learn
        **{"empty_000": "dropped", "text_only_008": "dropped"},
        # turns left out: an empty answer, a last question without one
        **{"empty_002": "ids", "structure_001": "ids"},
        # the image is shown once: not a second time, not in an answer, and also where no turn names it
        **{"image_pos_009": "ids", "image_pos_011": "ids", "empty_006": "ids"},
        # labels that the reference loses, or puts on the question
        **{"special_001": "labels", "special_003": "labels", "special_005": "labels"},
        **{"special_009": "labels", "special_011": "labels"},
        # a role that the reference fails on
        "structure_003": "dropped",
        # longer than the limit with the image: parted between its two turns, or one turn that the reference cuts
        "boundary_011": "ids",
        **{f"boundary_00{number}": "dropped" for number in (1, 3, 5, 7, 9)},
        "long_001": "dropped",
    }
    for case, line in zip(cases, shown, strict=True):
        if not found[case["id"]]:
            assert line["prompt"].startswith(case["infer_prompt"])
            assert line["supervised_tokens"] == case["n_supervised"]
