"""Drawn data is recognised by the manifest of its folder, and called that in every output."""

import json
import shutil
from pathlib import Path

import pytest

from tasks.data.preparing import prepare_dataset
from tasks.data.synthetic.dataset import draw_sample
from tasks.evaluation.drawn_data import is_drawn
from tasks.evaluation.evaluate_answers import EvaluationFiles, evaluate
from tasks.paths import DataFolder
from tasks.settings import DataConfig, EvaluationConfig, SampleConfig


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> DataFolder:
    """A drawn sample with its sets; do not change it."""
    folder = DataFolder(tmp_path_factory.mktemp("drawn") / "data")
    draw_sample(folder.root, SampleConfig(scenes=60, image_size=48))
    prepare_dataset(folder.raw, folder.images, DataConfig(), folder.sets)
    return folder


def test_a_drawn_sample_is_recognised_by_its_images_or_its_sets(drawn: DataFolder, tmp_path: Path) -> None:
    test = drawn.sets / "filtered_test.json"
    assert is_drawn(test, drawn.images)
    assert is_drawn(test, None)
    moved = shutil.copy(test, tmp_path / "test.json")
    assert is_drawn(moved, drawn.images)
    # nothing says where this file is from
    assert not is_drawn(moved, None)


def test_other_images_or_records_in_a_drawn_folder_are_not_drawn(drawn: DataFolder, tmp_path: Path) -> None:
    copy = DataFolder(Path(shutil.copytree(drawn.root, tmp_path / "copy")))
    test = copy.sets / "filtered_test.json"
    image = copy.images / json.loads(test.read_text())[0]["image"]
    image.write_bytes(b"a photograph")
    assert not is_drawn(test, copy.images)
    image.unlink()
    assert is_drawn(test, copy.images)
    manifest = test.with_name("filtered_test.manifest.json")
    manifest.write_text(manifest.read_text().replace("instructions_raw", "dataset"))
    assert not is_drawn(test, None)


def test_a_folder_without_the_drawers_manifest_is_not_drawn(drawn: DataFolder, tmp_path: Path) -> None:
    copy = DataFolder(Path(shutil.copytree(drawn.root, tmp_path / "copy")))
    manifest = copy.root / "MANIFEST.json"
    manifest.write_text(manifest.read_text().replace('"kind": "sample"', '"kind": "photographs"'))
    assert not is_drawn(copy.sets / "filtered_test.json", copy.images)
    manifest.unlink()
    assert not is_drawn(copy.sets / "filtered_test.json", copy.images)


def test_a_report_never_has_a_real_sources_name_alone(drawn: DataFolder, tmp_path: Path) -> None:
    records = [
        each for each in json.loads((drawn.sets / "data_test.json").read_text()) if each["image"].startswith("LR")
    ]
    for name in ("test", "said"):
        (tmp_path / f"{name}.json").write_text(json.dumps(records))
    files = EvaluationFiles(tmp_path / "test.json", tmp_path / "said.json", images=drawn.images)
    page = (evaluate(files, tmp_path / "final", EvaluationConfig()).path / "report.html").read_text()
    assert "<title>final, drawn sample data - rsvlm report</title>" in page
    assert ">LR <" not in page and ">LR<" not in page and "LR (drawn sample data)" in page
    assert "Published scores" not in page
    assert json.loads((tmp_path / "final" / "metrics.json").read_text())["data"] == "drawn sample data"
    plain = EvaluationFiles(tmp_path / "test.json", tmp_path / "said.json")
    page = (evaluate(plain, tmp_path / "plain", EvaluationConfig()).path / "report.html").read_text()
    assert "drawn sample data" not in page and "Published scores" in page
