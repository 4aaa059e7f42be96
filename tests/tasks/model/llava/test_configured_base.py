"""A base with other model settings is used through a view, so that base and tuned model see the same pixels."""

import json
from pathlib import Path
from shutil import copytree
from typing import Any

import pytest
import torch
from support.locations import ORACLE

from tasks.errors import ConfigError
from tasks.manifests import folder_digest, write_manifest
from tasks.model.llava.configured_base import configured_base, model_digest
from tasks.model.loading import load_base, load_processor
from tasks.settings import ModelConfig

ORIGINAL, TOWER = ORACLE / "models" / "tiny-llava-v1.5", ORACLE / "models" / "tiny-clip-vit-56"
with_golden = pytest.mark.skipif(not ORACLE.is_dir(), reason="golden values not present")


def pads(folder: Path) -> Any:
    return load_processor(folder).image_processor.do_pad


def test_a_model_that_matches_the_settings_is_used_directly(tiny_model_dir: Path, tmp_path: Path) -> None:
    ref = configured_base(tiny_model_dir, ModelConfig(), tmp_path)
    assert (ref.path, ref.sha256) == (tiny_model_dir, folder_digest(tiny_model_dir))
    assert not list(tmp_path.iterdir())


def test_other_padding_creates_a_view_with_the_same_weights(tiny_model_dir: Path, tmp_path: Path) -> None:
    ref = configured_base(tiny_model_dir, ModelConfig(image_aspect_ratio="square"), tmp_path)
    assert pads(tiny_model_dir)
    assert not pads(ref.path)
    assert ref.sha256 != folder_digest(tiny_model_dir)
    assert (ref.path / "model.safetensors").is_symlink()
    ours, theirs = (load_base(folder, torch.float32).state_dict() for folder in (ref.path, tiny_model_dir))
    assert all(torch.equal(value, theirs[name]) for name, value in ours.items())


def test_padding_is_enabled_in_a_view_if_configured(tiny_model_dir: Path, tmp_path: Path) -> None:
    folder = copytree(tiny_model_dir, tmp_path / "model")
    settings = json.loads((folder / "preprocessor_config.json").read_text())
    nested = {"image_processor": {**settings, "do_pad": False}, "processor_class": "LlavaProcessor"}
    (folder / "processor_config.json").write_text(json.dumps(nested))
    assert not pads(folder)
    assert pads(configured_base(folder, ModelConfig(), tmp_path / "models").path)


def test_a_folder_with_a_manifest_can_be_configured(tiny_model_dir: Path, tmp_path: Path) -> None:
    folder = copytree(tiny_model_dir, tmp_path / "model")
    write_manifest(folder, "fingerprint")
    ref = configured_base(folder, ModelConfig(image_aspect_ratio="square"), tmp_path / "models")
    assert not (ref.path / "MANIFEST.json").exists()


def test_a_complete_view_is_reused_and_lost_links_are_restored(tiny_model_dir: Path, tmp_path: Path) -> None:
    config = ModelConfig(image_aspect_ratio="square")
    first = configured_base(tiny_model_dir, config, tmp_path)
    made = first.path.stat().st_ino
    assert configured_base(tiny_model_dir, config, tmp_path) == first
    assert first.path.stat().st_ino == made
    (first.path / "model.safetensors").unlink()
    assert configured_base(tiny_model_dir, config, tmp_path) == first
    assert (first.path / "model.safetensors").is_file()


def test_a_tower_setting_for_a_model_that_contains_one_is_refused(tiny_model_dir: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"leave model\.vision_tower empty"):
        configured_base(tiny_model_dir, ModelConfig(vision_tower=str(tmp_path)), tmp_path)


@with_golden
def test_the_configured_tower_overrides_the_models_own(tmp_path: Path) -> None:
    folder = tmp_path / "original"
    folder.mkdir()
    for path in ORIGINAL.iterdir():
        (folder / path.name).write_bytes(path.read_bytes())
    # there is no tower beside it
    config = ModelConfig(vision_tower=str(TOWER), image_aspect_ratio="square")
    ref = configured_base(folder, config, tmp_path / "models")
    assert not pads(ref.path)
    assert load_base(ref.path, torch.float32).config.vision_config.image_size == 56


@with_golden
def test_model_digest_includes_a_separate_tower(tmp_path: Path) -> None:
    for source in (ORIGINAL, TOWER):
        (tmp_path / source.name).mkdir()
        for path in source.iterdir():
            (tmp_path / source.name / path.name).write_bytes(path.read_bytes())
    before = model_digest(tmp_path / ORIGINAL.name)
    weights = tmp_path / TOWER.name / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1] + b"\x01")
    assert model_digest(tmp_path / ORIGINAL.name) != before
