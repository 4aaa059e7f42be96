"""The merged model equals PEFT's merge, and its directory is complete or absent."""

import gc
import time
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from support.tuned_models import load_plain, save_adapter, shard, tuned_model

from tasks.errors import ModelError, OccupiedError
from tasks.files import read_json, sha256_of, write_json
from tasks.manifests import read_manifest, verified_manifest
from tasks.merging.merge import merge_adapter
from tasks.merging.model_directory import MergeOptions
from tasks.merging.provenance import hashing
from tasks.model.llava.tensor_names import canonical_name, published_name

Q_PROJ = "language_model.model.layers.0.self_attn.q_proj.weight"
MODULES = ["language_model.layers.0.mlp.up_proj", "language_model.layers.2.self_attn.k_proj"]


def peft_merge(base: Path, **settings: Any) -> dict[str, torch.Tensor]:
    return dict(tuned_model(base, **settings).merge_and_unload().state_dict())


def round_to_bf16(folder: Path) -> None:
    file = folder / "model.safetensors"
    save_file({name: value.bfloat16() for name, value in load_file(file).items()}, file, {"format": "pt"})
    write_json(folder / "config.json", {**read_json(folder / "config.json"), "dtype": "bfloat16"})


def assert_same(found: dict[str, torch.Tensor], expected: dict[str, torch.Tensor], atol: float) -> None:
    assert set(found) == set(expected)
    for name, value in expected.items():
        torch.testing.assert_close(found[name].float(), value.float(), atol=atol, rtol=0, msg=name)


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"use_rslora": True},
        {"r": 4, "lora_alpha": 3},
        {"use_dora": True},
        {"rank_pattern": {"q_proj": 2, r"layers.1.mlp.*": 3}, "alpha_pattern": {"v_proj": 5, "q_proj": 7}},
        {"target_modules": [*MODULES, "lm_head"]},
        {"modules_to_save": ["embed_tokens", "lm_head"]},
    ],
)
def test_the_merge_equals_peft(base: Path, tmp_path: Path, settings: dict[str, Any]) -> None:
    tuned = tuned_model(base, **settings)
    save_adapter(tuned, tmp_path / "adapter")
    merge_adapter(base, tmp_path / "adapter", tmp_path / "out")
    assert_same(load_plain(tmp_path / "out").state_dict(), tuned.merge_and_unload().state_dict(), 1e-6)


def test_bf16_weights_are_rounded_once(base: Path, tmp_path: Path) -> None:
    round_to_bf16(base)
    tuned = tuned_model(base)
    save_adapter(tuned, tmp_path / "adapter")
    merge_adapter(base, tmp_path / "adapter", tmp_path / "out")
    found = load_plain(tmp_path / "out").state_dict()
    for name, exact in tuned.merge_and_unload().state_dict().items():
        assert found[name].dtype == torch.bfloat16
        # bf16 keeps 8 bits of a number: the nearest one is at most 2^-8 of it away
        assert ((found[name].float() - exact).abs() <= exact.abs() * 2**-8 + 1e-8).all(), name


def test_the_requested_dtype_is_written_and_declared(base: Path, adapter: Path, tmp_path: Path) -> None:
    merge_adapter(base, adapter, tmp_path / "out", MergeOptions("bfloat16"))
    assert {value.dtype for value in load_file(tmp_path / "out" / "model.safetensors").values()} == {torch.bfloat16}
    assert load_plain(tmp_path / "out").dtype == torch.bfloat16


def test_shards_stay_shards(base: Path, adapter: Path, tmp_path: Path) -> None:
    expected = peft_merge(base)
    shard(base)
    merge_adapter(base, adapter, tmp_path / "out")
    assert len(list((tmp_path / "out").glob("model-*.safetensors"))) == 2
    assert_same(load_plain(tmp_path / "out").state_dict(), expected, 1e-6)


def test_untrained_tensors_are_copied_bit_for_bit(base: Path, adapter: Path, tmp_path: Path) -> None:
    merge_adapter(base, adapter, tmp_path / "out")
    before, after = (load_file(folder / "model.safetensors") for folder in (base, tmp_path / "out"))
    # the names of published files, whatever version wrote the base's
    before = {published_name(canonical_name(name)): value for name, value in before.items()}
    changed = {name for name in before if not torch.equal(before[name], after[name])}
    assert before.keys() == after.keys()
    assert all("_proj" in name or "multi_modal_projector" in name for name in changed)
    assert len(changed) == 3 * 7 + 4


def test_the_directory_contains_all_files_for_loading(base: Path, adapter: Path, tmp_path: Path) -> None:
    from tasks.model.loading import load_processor

    merge_adapter(base, adapter, tmp_path / "out")
    assert load_processor(tmp_path / "out").image_tokens == 16
    assert {"README.md", "provenance.json", "generation_config.json", "MANIFEST.json"} <= {
        path.name for path in (tmp_path / "out").iterdir()
    }


def test_a_tokenizer_that_the_base_lacks_comes_from_the_adapter(base: Path, adapter: Path, tmp_path: Path) -> None:
    (base / "tokenizer.json").rename(adapter / "tokenizer.json")
    (base / "tokenizer_config.json").rename(adapter / "tokenizer_config.json")
    merge_adapter(base, adapter, tmp_path / "out")
    assert (tmp_path / "out" / "tokenizer.json").is_file()


def test_image_settings_come_from_the_checkpoint(base: Path, adapter: Path, tmp_path: Path) -> None:
    trained_with = {**read_json(base / "preprocessor_config.json"), "do_pad": False}
    write_json(adapter / "preprocessor_config.json", trained_with)
    merge_adapter(base, adapter, tmp_path / "out")
    assert read_json(tmp_path / "out" / "preprocessor_config.json") == trained_with


def test_repeating_a_merge_writes_nothing(base: Path, adapter: Path, tmp_path: Path) -> None:
    first = merge_adapter(base, adapter, tmp_path / "out")
    written = (tmp_path / "out" / "model.safetensors").stat().st_ino
    assert merge_adapter(base, adapter, tmp_path / "out") == first
    assert (tmp_path / "out" / "model.safetensors").stat().st_ino == written


def test_a_damaged_result_is_rebuilt(base: Path, adapter: Path, tmp_path: Path) -> None:
    first = merge_adapter(base, adapter, tmp_path / "out")
    with (tmp_path / "out" / "model.safetensors").open("r+b") as file:
        file.seek(-1, 2)
        file.write(b"\x01")
    assert merge_adapter(base, adapter, tmp_path / "out") == first
    assert verified_manifest(tmp_path / "out")


def test_another_result_is_not_overwritten(base: Path, adapter: Path, tmp_path: Path) -> None:
    merge_adapter(base, adapter, tmp_path / "out")
    before = read_manifest(tmp_path / "out")
    with pytest.raises(OccupiedError, match="already holds something other"):
        merge_adapter(base, adapter, tmp_path / "out", MergeOptions("bfloat16"))
    assert read_manifest(tmp_path / "out") == before


def test_a_foreign_folder_is_not_overwritten(base: Path, adapter: Path, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "thesis.tex").touch()
    with pytest.raises(OccupiedError, match="already holds something other"):
        merge_adapter(base, adapter, tmp_path / "out")
    assert (tmp_path / "out" / "thesis.tex").exists()


def test_provenance_lists_the_hash_of_every_input(made_base: Path, base: Path, adapter: Path, tmp_path: Path) -> None:
    merge_adapter(base, adapter, tmp_path / "out")
    provenance = read_json(tmp_path / "out" / "provenance.json")
    assert set(provenance["base"]["files"]) == {"config.json", "model.safetensors"}
    assert set(provenance["adapter"]["files"]) == {
        "adapter_config.json",
        "adapter_model.safetensors",
        "non_lora_trainables.bin",
    }
    for part, folder in (("base", base), ("adapter", adapter)):
        files = provenance[part]["files"]
        assert files == {name: sha256_of(folder / name) for name in files}
    settings = {"dtype": "base", "format": "transformers", "rank": 8, "alpha": 16, "trained_on": str(made_base)}
    assert provenance["settings"] == settings


def test_a_file_longer_than_the_readahead_is_hashed_completely(tmp_path: Path) -> None:
    file = tmp_path / "shard"
    with file.open("wb") as opened:
        opened.truncate(3 << 26)
        opened.seek(-5, 2)
        opened.write(b"end")
    with hashing([file]) as hashes:
        assert hashes.of({"base": {"shard": file}}) == {"base": {"shard": sha256_of(file)}}


def test_a_file_that_is_being_hashed_is_not_hashed_again(tmp_path: Path) -> None:
    file, other = tmp_path / "shard", tmp_path / "config.json"
    file.write_bytes(b"first")
    other.write_bytes(b"other")
    digest = sha256_of(file)
    with hashing([file]) as hashes:
        assert hashes.of({"base": {"shard": file}}) == {"base": {"shard": digest}}
        file.write_bytes(b"second")
        inputs = {"base": {"shard": file}, "companions": {"config.json": other}}
        assert hashes.of(inputs) == {"base": {"shard": digest}, "companions": {"config.json": sha256_of(other)}}


def test_an_error_does_not_wait_for_hashes(tmp_path: Path) -> None:
    # hashing a terabyte, of which nothing is stored, would take minutes
    file = tmp_path / "shard"
    with file.open("wb") as opened:
        opened.truncate(1 << 40)
    start = time.monotonic()
    with pytest.raises(ModelError, match="refused"), hashing([file]):
        raise ModelError("refused")
    assert time.monotonic() - start < 60


def test_a_merge_leaves_garbage_collection_as_it_was(base: Path, adapter: Path, tmp_path: Path) -> None:
    merge_adapter(base, adapter, tmp_path / "out")
    assert gc.isenabled()
    (base / "config.json").unlink()
    gc.disable()
    try:
        with pytest.raises(ModelError):
            merge_adapter(base, adapter, tmp_path / "other")
        assert not gc.isenabled()
    finally:
        gc.enable()


def test_damage_in_one_shard_ends_the_writing_of_all(base: Path, adapter: Path, tmp_path: Path) -> None:
    shard(base)
    last = max(base.glob("model-*.safetensors"))
    weights = load_file(last)
    weights[min(weights)].view(-1)[0] = float("nan")
    save_file(weights, last, {"format": "pt"})
    with pytest.raises(ModelError, match="holds NaN or Inf"):
        merge_adapter(base, adapter, tmp_path / "out")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["base", adapter.name]


def test_an_unknown_dtype_is_refused(base: Path, adapter: Path, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="is not a dtype for weights"):
        merge_adapter(base, adapter, tmp_path / "out", MergeOptions("int4"))
