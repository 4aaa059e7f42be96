"""A directory loads as a model, or is refused with one sentence."""

import json
import logging
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from support.changed_files import Code, change_json, cut

from tasks.errors import ModelError
from tasks.model.llava.model_config import require_model_config
from tasks.model.llava.tokenizer import load_original_tokenizer, load_tokenizer
from tasks.model.loading import load_base, load_model, load_processor


def test_load_model_also_loads_its_processor(tiny_model_dir: Path) -> None:
    loaded = load_model(tiny_model_dir, dtype="float32")
    assert loaded.processor.image_tokens == 64
    assert loaded.processor.tokenizer.convert_ids_to_tokens(loaded.processor.image_token_id) == "<image>"
    assert loaded.processor.image_processor.do_pad
    assert not loaded.model.training


def test_a_tokenizer_json_in_the_original_layout_is_read_without_a_warning(
    model_dir: Path, caplog: pytest.LogCaptureFixture
) -> None:
    change_json(model_dir / "config.json", model_type="llava_llama")
    library = logging.getLogger("transformers")
    library.addHandler(caplog.handler)
    try:
        tokenizer = load_original_tokenizer(model_dir)
    finally:
        library.removeHandler(caplog.handler)
    assert caplog.messages == []
    # which is read with the warning
    assert tokenizer.convert_tokens_to_ids("<image>") == load_tokenizer(model_dir).convert_tokens_to_ids("<image>")


def test_a_directory_without_config_json_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"holds no config\.json"):
        require_model_config(tmp_path)


@pytest.mark.parametrize("content", ['{"model_type": ', "\udcff", "[]", "{}"])
def test_a_damaged_config_json_is_refused(tmp_path: Path, content: str) -> None:
    (tmp_path / "config.json").write_text(content, errors="surrogateescape")
    with pytest.raises(ModelError):
        require_model_config(tmp_path)


def test_a_model_that_is_not_llava_is_refused(model_dir: Path) -> None:
    change_json(model_dir / "config.json", model_type="llama")
    with pytest.raises(ModelError, match="of type 'llama', and rsvlm takes LLaVA"):
        load_base(model_dir, torch.float32)


def test_a_config_without_vision_config_is_refused(model_dir: Path) -> None:
    change_json(model_dir / "config.json", vision_config=None)
    with pytest.raises(ModelError, match="lacks 'vision_config'"):
        load_processor(model_dir)


@pytest.mark.parametrize("name", ["tokenizer_config.json", "preprocessor_config.json"])
def test_a_model_without_tokenizer_or_image_processor_is_refused(model_dir: Path, name: str) -> None:
    (model_dir / name).unlink()
    with pytest.raises(ModelError, match=f"lacks {name}"):
        load_processor(model_dir)


@pytest.mark.parametrize("content", ["{", "[]", "{}"])
def test_a_damaged_tokenizer_is_refused(model_dir: Path, content: str) -> None:
    (model_dir / "tokenizer.json").write_text(content)
    with pytest.raises(ModelError, match=f"The tokenizer of {model_dir} cannot be read .*: copy it from where"):
        load_processor(model_dir)


@pytest.mark.parametrize("content", ["{", "[]"])
def test_a_damaged_processor_config_is_refused(model_dir: Path, content: str) -> None:
    (model_dir / "processor_config.json").write_text(content)
    with pytest.raises(
        ModelError,
        match=r"(The image handling of .* cannot be read .*|processor_config.* holds no settings): copy ",
    ):
        load_processor(model_dir)


def test_truncated_weights_are_refused(model_dir: Path) -> None:
    cut(model_dir / "model.safetensors")
    with pytest.raises(ModelError, match=r"model\.safetensors is cut off or damaged"):
        load_base(model_dir, torch.float32)


@pytest.mark.parametrize("content", ["[", "[]", "{}"])
def test_a_damaged_index_is_refused(model_dir: Path, content: str) -> None:
    (model_dir / "model.safetensors").rename(model_dir / "model-00001-of-00001.safetensors")
    (model_dir / "model.safetensors.index.json").write_text(content)
    with pytest.raises(ModelError, match=f"{model_dir}/model.safetensors.index.json is damaged: copy it again"):
        load_base(model_dir, torch.float32)


def test_a_missing_tensor_is_refused(model_dir: Path) -> None:
    file = model_dir / "model.safetensors"
    weights = {name: value for name, value in load_file(file).items() if "linear_2.bias" not in name}
    save_file(weights, file, {"format": "pt"})
    with pytest.raises(ModelError, match=r"lacks .*multi_modal_projector\.linear_2\.bias"):
        load_base(model_dir, torch.float32)


def test_a_tensor_of_another_shape_is_refused(model_dir: Path) -> None:
    change_json(model_dir / "config.json", image_seq_length=64)
    file = model_dir / "model.safetensors"
    weights = load_file(file)
    name = next(name for name in weights if name.endswith("linear_2.bias"))
    save_file({**weights, name: torch.zeros(3)}, file, {"format": "pt"})
    with pytest.raises(
        ModelError, match=r"linear_2.bias of .* has the shape \[3\], and its config.json makes it \[128\]"
    ):
        load_base(model_dir, torch.float32)


def test_a_model_with_fewer_positions_than_an_image_has_tokens_is_refused(model_dir: Path) -> None:
    config = json.loads((model_dir / "config.json").read_text())
    config["text_config"]["max_position_embeddings"] = 16
    (model_dir / "config.json").write_text(json.dumps(config))
    with pytest.raises(ModelError, match=r"max_position_embeddings of .* is 16, and an image alone takes 64 tokens"):
        load_base(model_dir, torch.float32)


def test_an_adapter_provides_lora_matrices_and_projector(model_dir: Path, adapter: Path) -> None:
    state = load_model(model_dir, adapter, "float32").model.state_dict()
    assert any("lora_B" in name and value.any() for name, value in state.items())
    projector = [value for name, value in state.items() if "multi_modal_projector" in name]
    assert len(projector) == 4
    assert all(torch.equal(value, torch.ones_like(value)) for value in projector)


@pytest.mark.parametrize(
    ("name", "lacking"),
    [
        ("adapter_config.json", "adapter_config.json"),
        ("adapter_model.safetensors", "adapter_model.safetensors"),
        ("non_lora_trainables.bin", r"the projector .* give --projector base"),
    ],
)
def test_an_incomplete_adapter_is_refused(model_dir: Path, adapter: Path, name: str, lacking: str) -> None:
    (adapter / name).unlink()
    with pytest.raises(ModelError, match=f"lacks {lacking}"):
        load_model(model_dir, adapter, "float32")


def other_rank(adapter: Path) -> None:
    change_json(adapter / "adapter_config.json", r=8)


def other_projector(adapter: Path) -> None:
    file = adapter / "non_lora_trainables.bin"
    weights = torch.load(file, weights_only=True)
    torch.save({name: torch.ones(3, 3) for name in weights}, file)


@pytest.mark.parametrize(
    "harm",
    [
        other_rank,
        other_projector,
        lambda adapter: cut(adapter / "adapter_model.safetensors"),
        lambda adapter: cut(adapter / "non_lora_trainables.bin"),
        lambda adapter: (adapter / "adapter_config.json").write_text("{"),
        lambda adapter: (adapter / "adapter_config.json").write_text("{}"),
        lambda adapter: (adapter / "adapter_config.json").write_text("[]"),
    ],
    ids=["rank", "projector", "cut-matrices", "cut-projector", "configuration", "no-kind", "no-settings"],
)
def test_an_adapter_that_does_not_fit_is_refused(model_dir: Path, adapter: Path, harm: Callable[[Path], Any]) -> None:
    harm(adapter)
    with pytest.raises(ModelError, match=adapter.name):
        load_model(model_dir, adapter, "float32")


def test_pickled_code_in_a_checkpoint_is_not_run(model_dir: Path, adapter: Path, tmp_path: Path) -> None:
    (adapter / "non_lora_trainables.bin").write_bytes(pickle.dumps(Code(tmp_path / "ran"), protocol=2))
    with pytest.raises(ModelError, match="holds more than tensors"):
        load_model(model_dir, adapter, "float32")
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize(("written", "pads"), [(None, True), (True, True), (False, False)])
def test_images_are_padded_as_the_directory_says_and_by_default(
    model_dir: Path, written: bool | None, pads: bool
) -> None:
    change_json(model_dir / "preprocessor_config.json", do_pad=written)
    assert load_processor(model_dir).image_processor.do_pad is pads


def test_an_adapters_image_settings_replace_the_bases(model_dir: Path, adapter: Path) -> None:
    settings = json.loads((model_dir / "preprocessor_config.json").read_text())
    (adapter / "preprocessor_config.json").write_text(json.dumps({**settings, "do_pad": False}))
    assert load_processor(model_dir).image_processor.do_pad
    assert not load_model(model_dir, adapter, "float32").processor.image_processor.do_pad
