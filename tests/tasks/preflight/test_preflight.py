"""A look ahead finds all that would stop or starve a run, makes nothing and leaves nothing behind."""

import json
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from tasks.preflight.data_checks import LOOKED_AT, image_findings, look_at_records, token_findings, validation_findings
from tasks.preflight.findings import Report, ok, stops, warning
from tasks.preflight.preflight import look_ahead, path_findings
from tasks.preflight.service_checks import engine_findings, store_findings, wandb_findings
from tasks.settings import DataConfig, ExperimentConfig, InferenceConfig, TrainingConfig

DataFolder = Callable[..., Path]


@pytest.fixture
def data_folder(tmp_path: Path) -> DataFolder:
    """Make a data folder of so many NWPU records, each with an image of its own."""

    def make(records: int = 8, turns: int = 1) -> Path:
        images = tmp_path / "data" / "imagenes" / "NWPU" / "NWPU_images" / "airport"
        images.mkdir(parents=True)
        made = []
        for number in range(records):
            image = Image.linear_gradient("L").resize((40, 40)).point(lambda value, n=number: (value * (n + 3)) % 251)
            image.convert("RGB").save(images / f"airport_{number:03}.jpg")
            question = {"from": "human", "value": "<image>\nWhat is the topic of this image?"}
            said = [question, {"from": "gpt", "value": f"an airport with {number} planes"}]
            said += [{"from": "human", "value": "And what else?"}, {"from": "gpt", "value": "a road"}] * (turns - 1)
            made.append({"id": str(number), "image": f"NWPU/NWPU_images/airport/airport_{number:03}.jpg",
                         "conversations": said})  # fmt: skip
        (tmp_path / "data" / "dataset.json").write_text(json.dumps(made))
        return tmp_path / "data"

    return make


def experiment(root: Path | None, base: str = "tiny", **training: Any) -> ExperimentConfig:
    settings = {"use_cpu": True, "bf16": False, "model_max_length": 1024, **training}
    data = {"root": root, "sources": ["NWPU"]}
    return ExperimentConfig.model_validate({"data": data, "model": {"base": base}, "training": settings})


def paths_below(folder: Path) -> set[Path]:
    return set(folder.rglob("*"))


def test_a_sound_run_is_found_sound_and_nothing_is_left_behind(data_folder: DataFolder, tiny_model_dir: Path) -> None:
    root = data_folder()
    before = paths_below(root.parent)
    config = experiment(root, str(tiny_model_dir), gradient_accumulation_steps=1)
    report = look_ahead(config, root.parent / "workspace")
    assert [finding for finding in report.findings if finding.level != "ok"] == []
    assert {"data", "images", "base model", "tokenizer", "tokens", "disk", "store", "memory"} <= {
        finding.check for finding in report.findings
    }
    assert paths_below(root.parent) == before


def test_everything_that_stops_is_found_at_once(data_folder: DataFolder, tmp_path: Path) -> None:
    root = data_folder()
    image = next((root / "imagenes").rglob("*.jpg"))
    image.write_bytes(b"no image")
    (tmp_path / "file").write_text("")
    report = look_ahead(experiment(root, str(tmp_path)), tmp_path / "file" / "workspace")
    assert {"workspace", "images", "base model", "store"} == {finding.check for finding in report.stops}
    assert report.message().startswith("4 things stop this run:\n  - ")


def test_a_broken_image_stops_the_run_or_is_told_where_it_is_dropped(data_folder: DataFolder) -> None:
    root = data_folder()
    image = next((root / "imagenes").rglob("*.jpg"))
    image.write_bytes(image.read_bytes()[:200])
    for broken, level in (("refuse", "stops"), ("drop", "warning")):
        config = DataConfig(root=root, sources=("NWPU",), broken_images=broken)
        _, sample = look_at_records(config)
        assert sample is not None
        (found,) = image_findings(sample, config)
        assert found.level == level
        assert f"1 image(s) cannot be read, first {image}" in found.text


def test_missing_images_are_told_and_stop_where_there_is_none(data_folder: DataFolder) -> None:
    root = data_folder()
    config = DataConfig(root=root, sources=("NWPU",))
    for image in (images := sorted((root / "imagenes").rglob("*.jpg"))):
        image.unlink()
        _, sample = look_at_records(config)
        assert sample is not None
        (found,) = image_findings(sample, config)
        assert found.level == ("stops" if image == images[-1] else "warning")


def test_the_sample_is_drawn_by_the_seed(data_folder: DataFolder) -> None:
    root = data_folder(records=LOOKED_AT + 20)
    drawn = []
    for seed in (1, 1, 2):
        _, sample = look_at_records(DataConfig(root=root, sources=("NWPU",), seed=seed))
        assert sample is not None
        assert (len(sample.records), sample.total) == (LOOKED_AT, LOOKED_AT + 20)
        drawn.append([record["id"] for record in sample.records])
    assert drawn[0] == drawn[1] != drawn[2]


def test_a_missing_folder_and_other_sources_stop(data_folder: DataFolder, tmp_path: Path) -> None:
    found, _ = look_at_records(DataConfig(root=tmp_path / "none"))
    assert found.level == "stops" and "set data.root" in found.text
    found, _ = look_at_records(DataConfig(root=data_folder(), sources=("LR",)))
    assert found.level == "stops" and "set data.sources" in found.text


def test_the_sources_that_the_file_holds_instead_are_named(data_folder: DataFolder) -> None:
    root = data_folder()
    records = [{**record, "image": "flat.jpg"} for record in json.loads((root / "dataset.json").read_text())]
    (root / "dataset.json").write_text(json.dumps(records))
    found, _ = look_at_records(DataConfig(root=root, sources=("LR",)))
    assert found.text.endswith(f"to those that you have (source unnamed not selected: {len(records)})")


def test_each_source_that_is_asked_for_needs_records_and_images(data_folder: DataFolder) -> None:
    root = data_folder()
    records = json.loads((root / "dataset.json").read_text())
    found, sample = look_at_records(DataConfig(root=root, sources=("NWPU", "LR")))
    assert (found.level, sample) == ("stops", None) and "holds no record of LR: set data.sources" in found.text
    records += [{**record, "id": f"LR_{record['id']}", "image": "LR/Train/1.tif"} for record in records]
    (root / "dataset.json").write_text(json.dumps(records))
    found, _ = look_at_records(DataConfig(root=root, sources=("NWPU", "LR")))
    assert found.level == "stops" and "holds no image of LR: put them there" in found.text
    assert look_at_records(DataConfig(root=root, sources=("NWPU", "LR"), fetch=True))[0].level == "ok"
    found, _ = look_at_records(DataConfig(sources=("UCM",)))
    assert found.level == "stops" and "no scenes of UCM" in found.text


def test_records_that_leave_a_set_empty_stop(data_folder: DataFolder) -> None:
    found, _ = look_at_records(DataConfig(root=data_folder(records=1), sources=("NWPU",)))
    assert found.level == "stops" and "1 records leave 1 for training and 0 for the test" in found.text


@pytest.mark.parametrize(
    ("data", "training", "sentence"),
    [
        ({"train": 0.5, "test": 0.5}, {"eval_strategy": "epoch"}, "The validation set holds no sample"),
        (
            {"train": 0.5, "test": 0.25},
            {"eval_strategy": "epoch", "eval_answers": 2, "metric_for_best_model": "accuracy"},
            "Nothing in the validation set gives a accuracy",
        ),
        ({"train": 0.5, "test": 0.25}, {"eval_strategy": "epoch"}, None),
        ({"train": 0.5, "test": 0.5}, {}, None),
    ],
)
def test_a_validation_without_what_it_needs_stops(
    data_folder: DataFolder, data: dict[str, float], training: dict[str, Any], sentence: str | None
) -> None:
    _, sample = look_at_records(DataConfig(root=data_folder(), sources=("NWPU",), **data))
    assert sample is not None
    found = [finding.text for finding in validation_findings(sample, TrainingConfig(**training))]
    assert len(found) == (sentence is not None) and all(text.startswith(str(sentence)) for text in found)


def test_an_engine_that_is_not_installed_stops() -> None:
    assert engine_findings(InferenceConfig())[0].level == "ok"
    if find_spec("vllm") is None:
        assert "pip install vllm" in engine_findings(InferenceConfig(engine="vllm"))[0].text


def test_data_that_is_drawn_or_fetched_first_is_not_looked_at(tmp_path: Path) -> None:
    assert look_at_records(DataConfig())[0].level == "ok"
    assert look_at_records(DataConfig(root=tmp_path / "none", fetch=True))[0].level == "warning"


def test_tokens_are_held_against_the_limit(data_folder: DataFolder, tiny_model_dir: Path) -> None:
    from tasks.model.loading import load_processor

    root, processor = data_folder(turns=12), load_processor(tiny_model_dir)
    _, sample = look_at_records(DataConfig(root=root, sources=("NWPU",)))
    assert sample is not None

    def found(limit: int, split: bool) -> tuple[str, str]:
        training = TrainingConfig(model_max_length=limit, split_long_conversations=split)
        (finding,), _ = token_findings(sample, processor, training)
        return finding.level, finding.text

    assert found(2048, split=True)[0] == "ok"
    level, text = found(300, split=True)
    assert level == "ok" and "8 of 8 records are parted" in text
    level, text = found(300, split=False)
    assert level == "warning" and "8 of 8 records lose answers" in text
    level, text = found(64, split=True)
    assert level == "stops" and "the image alone takes 64" in text


def test_a_base_without_weights_or_of_another_kind_stops(tiny_model_dir: Path, tmp_path: Path) -> None:
    from shutil import copytree, ignore_patterns

    copytree(tiny_model_dir, tmp_path / "bare", ignore=ignore_patterns("*.safetensors"))
    (found,) = look_ahead(experiment(None, str(tmp_path / "bare")), tmp_path).stops
    assert "holds no weights" in found.text
    (tmp_path / "bare" / "config.json").write_text('{"model_type": "bert"}')
    (found,) = look_ahead(experiment(None, str(tmp_path / "bare")), tmp_path).stops
    assert "holds a model of type 'bert'" in found.text


def test_a_step_of_more_samples_than_there_are_is_told(data_folder: DataFolder, tiny_model_dir: Path) -> None:
    report = look_ahead(experiment(data_folder(), str(tiny_model_dir), gradient_accumulation_steps=50), Path("/tmp"))
    (found,) = [finding for finding in report.findings if finding.check == "batch"]
    assert found.level == "warning" and "a step takes 100 samples and there are about 6 records" in found.text


def test_a_local_store_is_written_to_read_and_left_as_it_was(tmp_path: Path) -> None:
    (found,) = store_findings(ExperimentConfig(), (tmp_path / "new" / "store").as_uri())
    assert found.level == "ok"
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "file").write_text("")
    (found,) = store_findings(ExperimentConfig(), (tmp_path / "file").as_uri())
    assert found.level == "stops"


def test_a_store_behind_a_prefect_block_is_not_guessed_at(tmp_path: Path) -> None:
    config = ExperimentConfig.model_validate({"store": {"credentials_block": "aws-credentials/mine"}})
    (found,) = store_findings(config, "s3://bucket/prefix")
    assert found.level == "warning" and "aws-credentials/mine" in found.text


def test_where_curves_go_is_told_without_the_key(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("WANDB_API_KEY", "WANDB_MODE", "NETRC"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    training = TrainingConfig(report_to=("wandb",))
    assert wandb_findings(TrainingConfig())[0].level == "ok"
    assert wandb_findings(training)[0].level == "warning"
    assert wandb_findings(training.model_copy(update={"wandb_mode": "online"}))[0].level == "stops"
    monkeypatch.setenv("WANDB_API_KEY", "s3cr3t" * 7)
    (found,) = wandb_findings(training)
    assert found.level == "ok" and "s3cr3t" not in found.text


def test_a_workspace_that_cannot_be_written_stops(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    assert path_findings(tmp_path / "file" / "workspace")[0].level == "stops"
    assert path_findings(tmp_path / "a" / "b")[0].level == "ok"


def test_a_report_names_one_hindrance_as_a_sentence_and_several_as_a_list() -> None:
    one = Report(findings=(ok("a", "fine"), stops("b", "no room: free some")))
    assert one.message() == "no room: free some"
    two = Report(findings=(*one.findings, warning("c", "slow"), stops("d", "no key: log in")))
    assert two.message() == "2 things stop this run:\n  - no room: free some\n  - no key: log in"
    assert [line.split()[0] for line in two.as_text().split("\n")] == ["ok", "STOPS", "warning", "STOPS"]
    assert "| STOPS | b | no room: free some |" in two.as_markdown()
