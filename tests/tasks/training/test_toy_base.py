"""The toy base model is taken over from an earlier version, and made again only for other lessons."""

from pathlib import Path

import pytest

from tasks.files import digest_of, write_text
from tasks.manifests import content_digest, write_manifest
from tasks.records import DatasetRef
from tasks.settings import ModelConfig
from tasks.training.toy_base import SEED, TRAINING, pretrained_toy


@pytest.fixture
def lessons(tmp_path: Path) -> DatasetRef:
    write_text(tmp_path / "sets" / "data_train.json", "[]")
    write_text(tmp_path / "sets" / "samples.html", "a page")
    sha256 = content_digest(write_manifest(tmp_path / "sets", "sets"))
    return DatasetRef(path=tmp_path / "sets", sha256=sha256, images=tmp_path, images_sha256="0", records={})


def earlier_toy(folder: Path, lessons: DatasetRef) -> Path:
    """A toy as an earlier version wrote it: its fingerprint covers all files next to the sets."""
    write_text(folder / "config.json", "{}")
    parts = {
        "base": f"drawn with seed {SEED}",
        "dataset": lessons.sha256,
        "images": lessons.images_sha256,
        "model": ModelConfig().content,
        "training": TRAINING.content,
    }
    write_manifest(folder, digest_of(parts))
    return folder


def test_toy_of_an_earlier_version_is_used(tmp_path: Path, lessons: DatasetRef) -> None:
    toy = earlier_toy(tmp_path / "toy", lessons)
    found = pretrained_toy(lessons, toy)
    assert found is not None and found.path == toy


def test_toy_of_other_lessons_or_with_damage_is_not_used(tmp_path: Path, lessons: DatasetRef) -> None:
    toy = earlier_toy(tmp_path / "toy", lessons)
    assert pretrained_toy(lessons.model_copy(update={"images_sha256": "1"}), toy) is None
    write_text(toy / "config.json", "damaged")
    assert pretrained_toy(lessons, toy) is None
    assert pretrained_toy(lessons, tmp_path / "none") is None
