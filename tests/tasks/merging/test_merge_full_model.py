"""A fully fine-tuned checkpoint is checked like a merge and copied."""

from pathlib import Path
from shutil import copytree

import pytest
import torch
from safetensors.torch import load_file, save_file
from support.tuned_models import load_plain

from tasks.errors import ModelError, OccupiedError
from tasks.files import read_json, write_json
from tasks.manifests import verified_manifest
from tasks.merging.merge import copy_full_model, is_full_model
from tasks.merging.model_directory import MergeOptions
from tasks.merging.worker import merge

# as transformers names it in its files
HEAD = "language_model.lm_head.weight"


def change(folder: Path, name: str, value: float) -> None:
    file = folder / "model.safetensors"
    tensors = load_file(file)
    tensors[name] += value
    save_file(tensors, file, {"format": "pt"})


@pytest.fixture
def tuned(base: Path, tmp_path: Path) -> Path:
    """The base as transformers saves it after full fine-tuning."""
    folder = copytree(base, tmp_path / "checkpoint-9")
    model = load_plain(base)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "vision_tower" not in name:
                parameter.add_(0.25)
    model.save_pretrained(folder)
    (folder / "tokenizer_config.json").unlink()
    return folder


def test_a_full_model_is_recognised_by_its_files(tuned: Path, adapter: Path, tmp_path: Path) -> None:
    assert is_full_model(tuned)
    assert not is_full_model(adapter)
    (adapter / "config.json").write_text("{}")
    assert not is_full_model(adapter)
    assert not is_full_model(tmp_path)


def test_the_copy_gives_the_checkpoints_logits(base: Path, tuned: Path, tmp_path: Path) -> None:
    ref = copy_full_model(base, tuned, tmp_path / "out")
    expected, found = load_plain(tuned).state_dict(), load_plain(ref.path).state_dict()
    assert all(torch.equal(found[name], value) for name, value in expected.items())
    assert (ref.path / "tokenizer_config.json").is_file()
    assert verified_manifest(ref.path)


def test_dtypes_are_the_bases_or_the_requested_one(base: Path, tuned: Path, tmp_path: Path) -> None:
    file = base / "model.safetensors"
    save_file({name: value.bfloat16() for name, value in load_file(file).items()}, file, {"format": "pt"})
    for name, dtype, expected in (("as-base", "base", torch.bfloat16), ("asked", "float16", torch.float16)):
        copy_full_model(base, tuned, tmp_path / name, MergeOptions(dtype))
        written = load_file(tmp_path / name / "model.safetensors")
        assert {value.dtype for value in written.values()} == {expected}


def test_card_and_provenance_name_base_and_checkpoint(base: Path, tuned: Path, tmp_path: Path) -> None:
    copy_full_model(base, tuned, tmp_path / "out")
    provenance = read_json(tmp_path / "out" / "provenance.json")
    assert set(provenance["checkpoint"]["files"]) == {"config.json", "model.safetensors"}
    assert provenance["checkpoint"]["files"] != provenance["base"]["files"]
    assert (
        "with its full language model fine-tuned, from `checkpoint-9`" in (tmp_path / "out" / "README.md").read_text()
    )


def test_repeating_a_copy_writes_nothing_and_repairs_damage(base: Path, tuned: Path, tmp_path: Path) -> None:
    first = copy_full_model(base, tuned, tmp_path / "out")
    inode = (tmp_path / "out").stat().st_ino
    assert copy_full_model(base, tuned, tmp_path / "out") == first
    assert (tmp_path / "out").stat().st_ino == inode
    (tmp_path / "out" / "model.safetensors").unlink()
    assert copy_full_model(base, tuned, tmp_path / "out") == first
    assert (tmp_path / "out" / "model.safetensors").is_file()


def test_an_existing_directory_is_not_overwritten(base: Path, tuned: Path, tmp_path: Path) -> None:
    copy_full_model(base, tuned, tmp_path / "out")
    change(tuned, HEAD, 1)
    with pytest.raises(OccupiedError, match="already holds something other"):
        copy_full_model(base, tuned, tmp_path / "out")


def test_an_untrained_checkpoint_is_refused(base: Path, tmp_path: Path) -> None:
    copytree(base, tmp_path / "checkpoint-0")
    with pytest.raises(ModelError, match="bit for bit: it was not trained"):
        copy_full_model(base, tmp_path / "checkpoint-0", tmp_path / "out")


def test_nan_weights_are_refused_and_nothing_is_written(base: Path, tuned: Path, tmp_path: Path) -> None:
    change(tuned, HEAD, float("nan"))
    with pytest.raises(ModelError, match=r"lm_head\.weight holds NaN or Inf"):
        copy_full_model(base, tuned, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_another_base_is_refused(base: Path, tuned: Path, tmp_path: Path) -> None:
    file = tuned / "model.safetensors"
    save_file({**load_file(file), HEAD: torch.zeros(3, 3)}, file, {"format": "pt"})
    with pytest.raises(ModelError, match=r"differ in lm_head\.weight"):
        copy_full_model(base, tuned, tmp_path / "out")


def test_a_truncated_checkpoint_is_refused(base: Path, tuned: Path, tmp_path: Path) -> None:
    file = tuned / "model.safetensors"
    file.write_bytes(file.read_bytes()[:-10])
    with pytest.raises(ModelError, match="cut off or damaged"):
        copy_full_model(base, tuned, tmp_path / "out")


def test_the_worker_merges_adapters_and_copies_full_models(
    base: Path, adapter: Path, tuned: Path, tmp_path: Path
) -> None:
    for checkpoint in (adapter, tuned):
        out = tmp_path / f"merged-{checkpoint.name}"
        merge(
            {
                "base": str(base),
                "checkpoint": str(checkpoint),
                "out": str(out),
                "dtype": "base",
                "format": "transformers",
                "verify": False,
            }
        )
        assert verified_manifest(out)


def tie(folder: Path) -> None:
    """Tie head and embedding, in the weights and in the configuration."""
    file, config = folder / "model.safetensors", read_json(folder / "config.json")
    tensors = load_file(file)
    (embedding,) = [value for name, value in tensors.items() if name.endswith("embed_tokens.weight")]
    save_file({**tensors, HEAD: embedding.clone()}, file, {"format": "pt"})
    write_json(folder / "config.json", {**config, "tie_word_embeddings": True})


@pytest.mark.parametrize("without", ["base", "checkpoint"])
def test_a_tied_head_may_be_stored_or_left_out(base: Path, tuned: Path, tmp_path: Path, without: str) -> None:
    for folder in (base, tuned):
        tie(folder)
    file = (base if without == "base" else tuned) / "model.safetensors"
    save_file({name: value for name, value in load_file(file).items() if name != HEAD}, file, {"format": "pt"})
    copy_full_model(base, tuned, tmp_path / "out")
    config = read_json(tmp_path / "out" / "config.json")
    assert config["tie_word_embeddings"] is config["text_config"]["tie_word_embeddings"] is True


def test_a_stored_head_that_differs_is_not_tied(base: Path, tuned: Path, tmp_path: Path) -> None:
    for folder in (base, tuned):
        tie(folder)
        change(folder, HEAD, 1)
    copy_full_model(base, tuned, tmp_path / "out")
    config = read_json(tmp_path / "out" / "config.json")
    assert config["tie_word_embeddings"] is config["text_config"]["tie_word_embeddings"] is False
    expected, found = (load_plain(folder).state_dict()["lm_head.weight"] for folder in (tuned, tmp_path / "out"))
    assert torch.equal(expected, found)
    change_to = {name: value for name, value in load_file(tuned / "model.safetensors").items() if name != HEAD}
    save_file(change_to, tuned / "model.safetensors", {"format": "pt"})
    with pytest.raises(ModelError, match=r"differ in lm_head\.weight"):
        copy_full_model(base, tuned, tmp_path / "other")
