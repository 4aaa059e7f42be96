"""Adapters of every kind give PEFT's logits, merged and applied, or are refused with one sentence.

The truth is the model as it was trained, in memory; `pytest -s` prints the table of the largest differences.
"""

import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from support.adapter_kinds import BASE, CONFIG, EXACT, FULL, KINDS, LANGUAGE, NON_LORA, OWN, REFUSED
from support.tuned_models import load_plain

from tasks.errors import ModelError
from tasks.files import read_json, write_json
from tasks.merging import verify
from tasks.merging.merge import merge_adapter
from tasks.merging.model_directory import MergeOptions
from tasks.model.loading import load_model


def tuned(base: Path, settings: dict[str, Any], projector: str) -> Any:
    """A PEFT model with random values in all of its trained parameters."""
    from peft import LoraConfig, get_peft_model

    with warnings.catch_warnings(), torch.random.fork_rng():
        torch.manual_seed(2)
        # what PEFT has to say of embeddings, and a name that transformers drops
        warnings.simplefilter("ignore")
        config = LoraConfig(**{"r": 4, "lora_alpha": 16, "target_modules": LANGUAGE, **settings})
        model = get_peft_model(load_plain(base, "float32"), config)
        for name, parameter in model.named_parameters():
            if parameter.requires_grad or (projector == FULL and is_projector(name)):
                parameter.data.add_(torch.randn(parameter.shape) * 0.05)
    return model.eval()


def is_projector(name: str) -> bool:
    return "multi_modal_projector" in name and "original_module" not in name


def save(model: Any, folder: Path, projector: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model.save_pretrained(folder)
    if projector == FULL:
        # as it comes: with LoRA or modules_to_save on the projector, the names of wrappers among them
        tensors = {name: value for name, value in model.state_dict().items() if "multi_modal_projector" in name}
        torch.save(tensors, folder / NON_LORA)


@torch.inference_mode()
def logits_of(model: Any) -> torch.Tensor:
    """Logits of a prompt with an image."""
    config = model.config
    image = [config.image_token_id] * config.image_seq_length
    words = [number for number in range(40) if number != config.image_token_id]
    ids = torch.tensor([[1, *image, *words]])
    side = config.vision_config.image_size
    pixels = torch.randn(1, 3, side, side, generator=torch.Generator().manual_seed(7))
    logits: torch.Tensor = model(input_ids=ids, pixel_values=pixels).logits
    return logits


@pytest.fixture(scope="module")
def table() -> Iterator[list[str]]:
    rows: list[str] = []
    yield rows
    print("\n| kind | merge | merge --verify | predict --adapter |\n|---|---|---|---|")
    print("\n".join(rows))


@pytest.fixture(scope="module")
def base_logits(made_base: Path) -> torch.Tensor:
    return logits_of(load_plain(made_base, "float32"))


@pytest.mark.parametrize("kind", KINDS)
def test_each_kind_gives_pefts_logits_merged_and_applied(
    made_base: Path,
    base_logits: torch.Tensor,
    tmp_path: Path,
    table: list[str],
    kind: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    settings, projector, change = KINDS[kind]
    model = tuned(made_base, settings, projector)
    folder, out = tmp_path / "adapter", tmp_path / "out"
    save(model, folder, projector)
    if change is not None:
        change(folder)
    of_whom = "base" if projector == BASE else "adapter"
    # what is merged and what is asked must be the change of weights, not too small to be seen
    expected = logits_of(model)
    assert (expected - base_logits).abs().max() > 1000 * EXACT
    merge_adapter(made_base, folder, out, MergeOptions(projector=of_whom))
    # a correct merge passes; how many tokens it takes to find a wrong one is tested elsewhere
    monkeypatch.setattr(verify, "ANSWER_TOKENS", 1)
    verify.require_same_answers(made_base, folder, out, of_whom)
    asked = load_model(made_base, folder, "float32", of_whom).model
    found = [logits_of(load_plain(out, "float32")), logits_of(asked)]
    cells = [f"{(value - expected).abs().max():.1e}" for value in found]
    table.append(f"| {kind} | {cells[0]} | same answers | {cells[1]} |")
    for value in found:
        torch.testing.assert_close(value, expected, atol=EXACT, rtol=0)


@pytest.mark.parametrize("start", ["pissa", "olora"])
def test_a_converted_pissa_adapter_gives_the_trained_logits(made_base: Path, tmp_path: Path, start: str) -> None:
    first, folder, out = tmp_path / "first", tmp_path / "adapter", tmp_path / "out"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = tuned_from(made_base, start, first)
        model.save_pretrained(folder, path_initial_model_for_weight_conversion=str(first))
    merge_adapter(made_base, folder, out, MergeOptions(projector="base"))
    asked = load_model(made_base, folder, "float32", "base").model
    for found in (logits_of(load_plain(out, "float32")), logits_of(asked)):
        torch.testing.assert_close(found, logits_of(model), atol=EXACT, rtol=0)


def tuned_from(base: Path, start: str, first: Path) -> Any:
    """A model whose initialisation changes the base: saved as `first`, then trained."""
    from peft import LoraConfig, get_peft_model

    config = LoraConfig(r=4, lora_alpha=16, target_modules=["q_proj"], init_lora_weights=start)
    model = get_peft_model(load_plain(base, "float32"), config)
    model.peft_config["default"].init_lora_weights = True
    model.save_pretrained(first)
    model.peft_config["default"].init_lora_weights = start
    generator = torch.Generator().manual_seed(3)
    for name, parameter in model.named_parameters():
        if "lora_" in name:
            parameter.data.add_(torch.randn(parameter.shape, generator=generator) * 0.02)
    return model.eval()


@pytest.mark.parametrize("kind", REFUSED)
def test_unsupported_kinds_are_refused_alike_by_merging_and_loading(
    made_base: Path, adapter: Path, tmp_path: Path, kind: str
) -> None:
    settings, said = REFUSED[kind]
    write_json(adapter / CONFIG, {**read_json(adapter / CONFIG), **settings})
    sentences = []
    for use in (lambda: merge_adapter(made_base, adapter, tmp_path / "out"), lambda: load_model(made_base, adapter)):
        with pytest.raises(ModelError, match=said) as refusal:
            use()
        sentences.append(str(refusal.value))
    assert sentences[0] == sentences[1]


def test_an_adapter_without_projector_is_refused_and_the_option_named(
    made_base: Path, adapter: Path, tmp_path: Path
) -> None:
    (adapter / NON_LORA).unlink()
    for use in (lambda: merge_adapter(made_base, adapter, tmp_path / "out"), lambda: load_model(made_base, adapter)):
        with pytest.raises(ModelError, match=r"checkpoint-400 lacks the projector .* give --projector base"):
            use()


def test_card_and_provenance_state_that_the_projector_is_the_bases(
    made_base: Path, adapter: Path, tmp_path: Path
) -> None:
    (adapter / NON_LORA).unlink()
    merge_adapter(made_base, adapter, tmp_path / "out", MergeOptions(projector="base"))
    assert "with the base's own projector, since the adapter has none" in (tmp_path / "out" / "README.md").read_text()
    assert read_json(tmp_path / "out" / "provenance.json")["settings"]["projector"] == "base"


def test_base_and_tuned_share_weights_and_keep_their_logits(made_base: Path, tmp_path: Path) -> None:
    from tasks.serving.models import load_served_models

    settings = {"target_modules": ["q_proj", "embed_tokens", "linear_1"], "trainable_token_indices": {"lm_head": [2]}}
    model = tuned(made_base, settings, OWN)
    save(model, tmp_path / "adapter", OWN)
    expected = {"base": logits_of(load_plain(made_base, "float32")), "tuned": logits_of(model)}
    speakers = load_served_models(made_base, tmp_path / "adapter", "float32")
    for speaker in (*speakers, *speakers):
        with speaker.activate():
            found = logits_of(speaker.loaded.model)
        torch.testing.assert_close(found, expected[speaker.name], atol=EXACT, rtol=0)
