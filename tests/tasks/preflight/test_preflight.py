"""Preflight finds all problems of a run at once, and creates nothing."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from PIL import Image

from tasks.preflight.findings import PreflightReport, fatal, ok, warning
from tasks.preflight.preflight import path_findings, run_preflight
from tasks.settings import DataConfig, ExperimentConfig

DataFolder = Callable[..., Path]


def experiment(root: Path | None, base: str = "tiny", **training: Any) -> ExperimentConfig:
    settings = {"use_cpu": True, "bf16": False, "model_max_length": 1024, **training}
    data = {"root": root, "sources": ["NWPU"]}
    return ExperimentConfig.model_validate({"data": data, "model": {"base": base}, "training": settings})


def paths_below(folder: Path) -> set[Path]:
    return set(folder.rglob("*"))


def test_run_without_problems_passes_and_nothing_is_left_behind(data_folder: DataFolder, tiny_model_dir: Path) -> None:
    root = data_folder()
    before = paths_below(root.parent)
    config = experiment(root, str(tiny_model_dir), gradient_accumulation_steps=1)
    report = run_preflight(config, root.parent / "workspace")
    assert [finding for finding in report.findings if finding.level != "ok"] == []
    assert {"data", "images", "base model", "tokenizer", "tokens", "disk", "store", "memory"} <= {
        finding.check for finding in report.findings
    }
    assert paths_below(root.parent) == before


def test_all_problems_are_found_at_once(data_folder: DataFolder, tmp_path: Path) -> None:
    root = data_folder()
    image = next((root / "imagenes").rglob("*.jpg"))
    image.write_bytes(b"no image")
    (tmp_path / "file").write_text("")
    report = run_preflight(experiment(root, str(tmp_path)), tmp_path / "file" / "workspace")
    assert {"workspace", "images", "base model", "store"} == {finding.check for finding in report.errors}
    assert report.message().startswith("4 problems prevent this run:\n  - ")


def test_base_without_weights_or_of_another_type_is_an_error(tiny_model_dir: Path, tmp_path: Path) -> None:
    from shutil import copytree, ignore_patterns

    copytree(tiny_model_dir, tmp_path / "bare", ignore=ignore_patterns("*.safetensors"))
    (found,) = run_preflight(experiment(None, str(tmp_path / "bare")), tmp_path).errors
    assert "holds no weights" in found.text
    (tmp_path / "bare" / "config.json").write_text('{"model_type": "bert"}')
    (found,) = run_preflight(experiment(None, str(tmp_path / "bare")), tmp_path).errors
    assert "holds a model of type 'bert'" in found.text


def test_step_with_more_samples_than_the_set_is_a_warning(data_folder: DataFolder, tiny_model_dir: Path) -> None:
    report = run_preflight(experiment(data_folder(), str(tiny_model_dir), gradient_accumulation_steps=50), Path("/tmp"))
    (found,) = [finding for finding in report.findings if finding.check == "batch"]
    assert found.level == "warning" and "a step takes 100 samples and there are about 6 records" in found.text


def test_unwritable_workspace_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    assert path_findings(tmp_path / "file" / "workspace")[0].level == "stops"
    assert path_findings(tmp_path / "a" / "b")[0].level == "ok"


def test_report_message_is_one_sentence_or_a_list() -> None:
    one = PreflightReport(findings=(ok("a", "fine"), fatal("b", "no room: free some")))
    assert one.message() == "no room: free some"
    two = PreflightReport(findings=(*one.findings, warning("c", "slow"), fatal("d", "no key: log in")))
    assert two.message() == "2 problems prevent this run:\n  - no room: free some\n  - no key: log in"
    assert [line.split()[0] for line in two.as_text().split("\n")] == ["ok", "ERROR", "warning", "ERROR"]
    assert "| ERROR | b | no room: free some |" in two.as_markdown()


def test_images_whose_size_decides_their_tokens_are_found_elsewhere(
    data_folder: DataFolder, tiny_family_dir: Callable[[str], Path]
) -> None:
    root = data_folder()
    (root / "imagenes" / "NWPU").rename(root / "elsewhere")
    next((root / "elsewhere").rglob("*.jpg")).unlink()
    data = {"root": root, "sources": ["NWPU"], "image_root": {"NWPU": root / "elsewhere"}}
    config = experiment(root, str(tiny_family_dir("qwen2_5_vl"))).model_copy(
        update={"data": DataConfig.model_validate(data)}
    )
    found = {finding.check: finding for finding in run_preflight(config, root.parent).findings}
    assert (found["images"].level, found["tokens"].level) == ("warning", "ok")
    assert " per sample on average" in found["tokens"].text


def test_image_that_the_base_does_not_take_is_an_error(
    data_folder: DataFolder, tiny_family_dir: Callable[[str], Path]
) -> None:
    root = data_folder()
    image = next((root / "imagenes").rglob("*.jpg"))
    Image.new("RGB", (300, 1)).save(image)
    (found,) = run_preflight(experiment(root, str(tiny_family_dir("qwen2_5_vl"))), root.parent).errors
    assert found.check == "tokens" and "The model does not take an image of 300 x 1 pixels" in found.text


def test_each_round_is_counted_for_a_base_without_dialogues(
    data_folder: DataFolder, tiny_family_dir: Callable[[str], Path]
) -> None:
    root = data_folder(turns=3)
    base = str(tiny_family_dir("paligemma"))
    assert run_preflight(experiment(root, base), root.parent).errors == []
    data = {"root": root, "sources": ["NWPU"]}
    asked = {"data": data, "model": {"base": base}, "inference": {"history": "predicted"}}
    found = run_preflight(ExperimentConfig.model_validate(asked), root.parent).errors
    assert [one.text for one in found if one.check == "engine"] == [
        f"{base} is a PaliGemma, which takes one question at a time, and inference.history is predicted: set it to "
        "independent."
    ]
