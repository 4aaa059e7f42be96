"""A checkpoint with a fingerprint of its base's weights merges with that base only, in any layout."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from tasks.errors import ModelError
from tasks.files import read_json, write_json
from tasks.merging.merge import merge_adapter
from tasks.merging.model_directory import MergeOptions
from tasks.model.checkpoint_origin import CheckpointOrigin, weights_fingerprint, write_origin

LAYER = "language_model.model.layers.1.mlp.down_proj.weight"


@pytest.fixture
def trained(base: Path, adapter: Path) -> Path:
    """The adapter with an origin.json, as training writes it."""
    write_origin(adapter, CheckpointOrigin("demo", "toy", "order", weights_fingerprint(base), "0123abcd"))
    return adapter


def test_the_right_base_is_accepted_and_the_card_names_the_data(base: Path, trained: Path, tmp_path: Path) -> None:
    merge_adapter(base, trained, tmp_path / "out")
    card = (tmp_path / "out" / "README.md").read_text()
    assert "- Run: demo\n" in card and "0123abcd" in card
    assert "rank 8, alpha 16" in card


def test_other_weights_of_the_same_shapes_are_refused(base: Path, trained: Path, tmp_path: Path) -> None:
    tensors = load_file(base / "model.safetensors")
    tensors[LAYER] *= 1.1
    save_file(tensors, base / "model.safetensors", {"format": "pt"})
    with pytest.raises(ModelError, match=r"was trained on toy, whose weights are not those of .*give the base"):
        merge_adapter(base, trained, tmp_path / "merged")
    assert not list(tmp_path.glob("*merged*"))


def test_a_view_of_the_base_is_accepted(base: Path, trained: Path, tmp_path: Path) -> None:
    view = tmp_path / "view"
    view.mkdir()
    for file in base.iterdir():
        (view / file.name).symlink_to(file)
    (view / "preprocessor_config.json").unlink()
    write_json(view / "preprocessor_config.json", {**read_json(base / "preprocessor_config.json"), "do_pad": False})
    merge_adapter(view, trained, tmp_path / "out")


def test_the_fingerprint_does_not_depend_on_layout_and_shards(base: Path, adapter: Path, tmp_path: Path) -> None:
    merge_adapter(base, adapter, tmp_path / "one")
    merge_adapter(base, adapter, tmp_path / "other", MergeOptions(layout="llava"))
    assert weights_fingerprint(tmp_path / "one") == weights_fingerprint(tmp_path / "other")
    assert weights_fingerprint(tmp_path / "one") != weights_fingerprint(base)


def test_the_fingerprint_does_not_depend_on_rounding_float16_to_bfloat16(base: Path) -> None:
    file = base / "model.safetensors"
    half = {name: value.half() for name, value in load_file(file).items()}
    save_file(half, file)
    before = weights_fingerprint(base)
    save_file({name: value.to(torch.bfloat16) for name, value in half.items()}, file)
    assert weights_fingerprint(base) == before


def test_a_damaged_origin_is_refused(base: Path, trained: Path, tmp_path: Path) -> None:
    (trained / "origin.json").write_text("{")
    with pytest.raises(ModelError, match=r"origin.json is damaged"):
        merge_adapter(base, trained, tmp_path / "out")
