"""Adapters of every kind that people bring: merged and asked as PEFT would have it, or refused in a sentence.

The truth is the model as it was trained, in memory; `pytest -s` prints the table of the largest differences.
"""

import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from tasks.errors import ModelError
from tasks.files import read_json, write_json
from tasks.merging.merge import merge_adapter
from tasks.merging.publishing import Form
from tasks.merging.verifying import require_same_answers
from tasks.model.loading import load_model

LANGUAGE = r".*language_model.*\.(q_proj|k_proj|v_proj|o_proj|gate_proj|up_proj|down_proj)"
WEIGHTS, CONFIG, NON_LORA = "adapter_model.safetensors", "adapter_config.json", "non_lora_trainables.bin"
# of logits whose spread is about 0.1, in float32
EXACT = 1e-5
OLD, ORIGINAL = "language_model.model.", "model."
FULL, BASE, OWN = "in non_lora_trainables.bin", "the base's", "in the adapter"
Change = Callable[[Path], object]


def rewrite(folder: Path, rename: Callable[[str], str]) -> None:
    """Give tensors and patterns of an adapter other names, as if another version had trained it."""
    save_file({rename(name): value for name, value in load_file(folder / WEIGHTS).items()}, folder / WEIGHTS)
    config = read_json(folder / CONFIG)
    for key in ("rank_pattern", "alpha_pattern"):
        config[key] = {rename(name): value for name, value in (config.get(key) or {}).items()}
    write_json(folder / CONFIG, config)
    if (folder / NON_LORA).exists():
        tensors = torch.load(folder / NON_LORA, weights_only=True)
        torch.save({rename(name): value for name, value in tensors.items()}, folder / NON_LORA)


def before_4_52(name: str) -> str:
    for new, old in (
        ("model.language_model.", "language_model.model."),
        ("model.multi_modal_projector.", "multi_modal_projector."),
        ("model.vision_tower.", "vision_tower.vision_model."),
    ):
        for prefix in ("base_model.model.", ""):
            if name.startswith(prefix + new):
                return prefix + old + name.removeprefix(prefix + new)
    return name


def of_the_original(name: str) -> str:
    for new, old in (
        ("model.language_model.", "model."),
        ("model.multi_modal_projector.linear_1", "model.mm_projector.0"),
        ("model.multi_modal_projector.linear_2", "model.mm_projector.2"),
    ):
        name = name.replace(new, old)
    return name


def old_patterns(folder: Path) -> None:
    rewrite(folder, before_4_52)


def old_patterns_alone(folder: Path) -> None:
    """Renamed by a tool that left the settings as they were."""
    config = read_json(folder / CONFIG)
    rewrite(folder, before_4_52)
    new = load_file(folder / WEIGHTS)
    save_file({name.replace(OLD, "model.language_model."): value for name, value in new.items()}, folder / WEIGHTS)
    assert read_json(folder / CONFIG)["rank_pattern"] != config["rank_pattern"]


def into_torch_file(folder: Path) -> None:
    torch.save(load_file(folder / WEIGHTS), folder / "adapter_model.bin")
    (folder / WEIGHTS).unlink()


def projector_in_both(folder: Path) -> None:
    tensors = {name: value for name, value in load_file(folder / WEIGHTS).items() if "multi_modal_projector" in name}
    torch.save(tensors, folder / NON_LORA)


def fan_in_fan_out(folder: Path) -> None:
    write_json(folder / CONFIG, {**read_json(folder / CONFIG), "fan_in_fan_out": True})


LAYERS = "model.language_model.layers"
PATTERNS = {
    "rank_pattern": {f"{LAYERS}.0.self_attn.q_proj": 2, f"{LAYERS}.1.mlp.up_proj": 3},
    "alpha_pattern": {f"{LAYERS}.0.self_attn.q_proj": 40, f"{LAYERS}.2.self_attn.v_proj": 7},
}
ALPHAS = {"alpha_pattern": PATTERNS["alpha_pattern"]}
# kind: settings of LoraConfig beside the language model's layers, where the projector is, what is done to the files
KINDS: dict[str, tuple[dict[str, Any], str, Change | None]] = {
    "LoRA": ({}, FULL, None),
    "rsLoRA": ({"use_rslora": True}, FULL, None),
    "rsLoRA, rank_pattern": ({"use_rslora": True, **PATTERNS}, FULL, None),
    "rank_pattern, alpha_pattern": (PATTERNS, FULL, None),
    "patterns, names before 4.52": (PATTERNS, FULL, old_patterns),
    "alpha_pattern, names before 4.52": (ALPHAS, FULL, old_patterns),
    "patterns of before 4.52, weights of after": (PATTERNS, FULL, old_patterns_alone),
    "patterns, names of the original": (PATTERNS, FULL, lambda folder: rewrite(folder, of_the_original)),
    "DoRA": ({"use_dora": True}, FULL, None),
    "DoRA of all linear layers": ({"use_dora": True, "target_modules": "all-linear"}, OWN, None),
    "DoRA, patterns, names before 4.52": ({"use_dora": True, **PATTERNS}, FULL, old_patterns),
    "DoRA without the projector": ({"use_dora": True}, BASE, None),
    "all-linear": ({"target_modules": "all-linear"}, OWN, None),
    "all-linear, names before 4.52": ({"target_modules": "all-linear"}, OWN, old_patterns),
    "LoRA of the projector, state dict beside it": ({"target_modules": ["q_proj", "linear_1", "linear_2"]}, FULL, None),
    "LoRA of the vision tower": ({"target_modules": r".*vision_tower.*\.(q_proj|fc1)|.*layers\.0.*v_proj"}, FULL, None),
    "LoRA of a convolution": ({"target_modules": ["q_proj", "patch_embedding"]}, FULL, None),
    "DoRA of a convolution": ({"use_dora": True, "target_modules": ["q_proj", "patch_embedding"]}, FULL, None),
    "LoRA of embedding and head": ({"target_modules": ["q_proj", "embed_tokens", "lm_head"]}, FULL, None),
    "LoRA of the embedding alone": ({"target_modules": ["embed_tokens"]}, FULL, None),
    "LoRA of the places in the tower": ({"target_modules": ["q_proj", "position_embedding"]}, FULL, None),
    "modules_to_save": ({"modules_to_save": ["embed_tokens", "lm_head"]}, FULL, None),
    "modules_to_save with the projector": ({"modules_to_save": ["multi_modal_projector"]}, OWN, None),
    "modules_to_save, projector in both": ({"modules_to_save": ["multi_modal_projector"]}, OWN, projector_in_both),
    "modules_to_save, state dict beside it": ({"modules_to_save": ["multi_modal_projector"]}, FULL, None),
    "modules_to_save, names before 4.52": ({"modules_to_save": ["multi_modal_projector", "norm"]}, OWN, old_patterns),
    "bias all": ({"bias": "all", "target_modules": ["q_proj", "fc1"]}, FULL, None),
    "bias all without the projector's matrices": ({"bias": "all", "target_modules": ["q_proj", "fc1"]}, BASE, None),
    "bias lora_only": ({"bias": "lora_only", "target_modules": ["q_proj", "fc1", "linear_1", "linear_2"]}, OWN, None),
    "fan_in_fan_out": ({}, FULL, fan_in_fan_out),
    "layers_to_transform": ({"target_modules": ["q_proj"], "layers_to_transform": [1]}, FULL, None),
    "exclude_modules": ({"target_modules": "all-linear", "exclude_modules": r".*vision_tower.*"}, OWN, None),
    "target_parameters": (
        {"target_modules": ["v_proj"], "target_parameters": ["self_attn.q_proj.weight", "position_embedding.weight"]},
        FULL,
        None,
    ),
    "trainable_token_indices": ({"trainable_token_indices": [3, 5]}, FULL, None),
    "trainable_token_indices by module": (
        {"trainable_token_indices": {"embed_tokens": [3, 5], "lm_head": [2, 7, 11]}}, FULL, None
    ),
    "adapter_model.bin": ({}, FULL, into_torch_file),
    "plain PEFT, projector never trained": ({}, BASE, None),
    "init gaussian": ({"init_lora_weights": "gaussian", "r": 16}, FULL, None),
    "init orthogonal": ({"init_lora_weights": "orthogonal"}, FULL, None),
    "init mica": ({"init_lora_weights": "mica"}, FULL, None),
}  # fmt: skip


REFUSED = {
    "IA3": ({"peft_type": "IA3"}, "only LoRA can be merged or asked here"),
    "LoHa": ({"peft_type": "LOHA"}, "only LoRA can be merged or asked here"),
    "prefix tuning": ({"peft_type": "PREFIX_TUNING"}, "only LoRA can be merged or asked here"),
    "aLoRA": ({"alora_invocation_tokens": [3]}, "cannot be merged or asked here: use PEFT itself"),
    "lora_bias": ({"lora_bias": True}, "cannot be merged or asked here: use PEFT itself"),
    "PiSSA as it was trained": ({"init_lora_weights": "pissa"}, "path_initial_model_for_weight_conversion"),
    "CorDA as it was trained": ({"init_lora_weights": "corda"}, "path_initial_model_for_weight_conversion"),
    "OLoRA as it was trained": ({"init_lora_weights": "olora"}, "path_initial_model_for_weight_conversion"),
}


def tuned(base: Path, settings: dict[str, Any], projector: str, toy: SimpleNamespace) -> Any:
    """A PEFT model all of whose trained parameters look trained."""
    from peft import LoraConfig, get_peft_model

    with warnings.catch_warnings(), torch.random.fork_rng():
        torch.manual_seed(2)
        # what PEFT has to say of embeddings, and a name that transformers drops
        warnings.simplefilter("ignore")
        config = LoraConfig(**{"r": 4, "lora_alpha": 16, "target_modules": LANGUAGE, **settings})
        model = get_peft_model(toy.load(base, "float32"), config)
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
    """Of a prompt with an image."""
    config = model.config
    image = [config.image_token_id] * config.image_seq_length
    words = [number for number in range(40) if number != config.image_token_id]
    ids = torch.tensor([[1, *image, *words]])
    side = config.vision_config.image_size
    pixels = torch.randn(1, 3, side, side, generator=torch.Generator().manual_seed(7))
    logits: torch.Tensor = model(input_ids=ids, pixel_values=pixels).logits
    return logits


def peft_loads(base: Path, folder: Path, toy: SimpleNamespace) -> torch.Tensor | str:
    """What PEFT makes of the files in this environment, with what is beside its own; for the table."""
    from peft import PeftModel

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            model = PeftModel.from_pretrained(toy.load(base, "float32"), str(folder)).eval()
            if (folder / NON_LORA).exists():
                model.load_state_dict(torch.load(folder / NON_LORA, weights_only=True), strict=False)
            return logits_of(model)
        except (ValueError, RuntimeError, KeyError, OSError) as error:
            return type(error).__name__


@pytest.fixture(scope="module")
def table() -> Iterator[list[str]]:
    rows: list[str] = []
    yield rows
    print("\n| kind | merge | merge --verify | predict --adapter | PEFT's loader |\n|---|---|---|---|---|")
    print("\n".join(rows))


@pytest.mark.parametrize("kind", KINDS)
def test_merged_and_asked_it_is_as_it_was_trained(
    toy: SimpleNamespace, made_base: Path, tmp_path: Path, table: list[str], kind: str
) -> None:
    settings, projector, change = KINDS[kind]
    model = tuned(made_base, settings, projector, toy)
    folder, out = tmp_path / "adapter", tmp_path / "out"
    save(model, folder, projector)
    if change is not None:
        change(folder)
    of_whom = "base" if projector == BASE else "adapter"
    # what is merged and what is asked must be the change of weights, not too small to be seen
    expected, before = logits_of(model), logits_of(toy.load(made_base, "float32"))
    assert (expected - before).abs().max() > 1000 * EXACT
    merge_adapter(made_base, folder, out, Form(projector=of_whom))
    require_same_answers(made_base, folder, out, of_whom)
    asked = load_model(made_base, folder, "float32", of_whom).model
    found = [logits_of(toy.load(out, "float32")), logits_of(asked), peft_loads(made_base, folder, toy)]
    cells = [value if isinstance(value, str) else f"{(value - expected).abs().max():.1e}" for value in found]
    table.append(f"| {kind} | {cells[0]} | same answers | {cells[1]} | {cells[2]} |")
    for value in found[:2]:
        assert isinstance(value, torch.Tensor)
        torch.testing.assert_close(value, expected, atol=EXACT, rtol=0)


@pytest.mark.parametrize("start", ["pissa", "olora"])
def test_a_start_that_changes_the_base_is_read_once_it_is_saved_as_lora(
    toy: SimpleNamespace, made_base: Path, tmp_path: Path, start: str
) -> None:
    first, folder, out = tmp_path / "first", tmp_path / "adapter", tmp_path / "out"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = tuned_from(made_base, start, first, toy)
        model.save_pretrained(folder, path_initial_model_for_weight_conversion=str(first))
    merge_adapter(made_base, folder, out, Form(projector="base"))
    asked = load_model(made_base, folder, "float32", "base").model
    for found in (logits_of(toy.load(out, "float32")), logits_of(asked)):
        torch.testing.assert_close(found, logits_of(model), atol=EXACT, rtol=0)


def tuned_from(base: Path, start: str, first: Path, toy: SimpleNamespace) -> Any:
    """A model that begins with another part of the base's weights, which is saved as `first` and then trained."""
    from peft import LoraConfig, get_peft_model

    config = LoraConfig(r=4, lora_alpha=16, target_modules=["q_proj"], init_lora_weights=start)
    model = get_peft_model(toy.load(base, "float32"), config)
    model.peft_config["default"].init_lora_weights = True
    model.save_pretrained(first)
    model.peft_config["default"].init_lora_weights = start
    generator = torch.Generator().manual_seed(3)
    for name, parameter in model.named_parameters():
        if "lora_" in name:
            parameter.data.add_(torch.randn(parameter.shape, generator=generator) * 0.02)
    return model.eval()


@pytest.mark.parametrize("kind", REFUSED)
def test_what_is_neither_is_refused_in_the_same_sentence_by_merging_and_by_asking(
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


def test_an_adapter_without_projector_is_refused_by_both_and_the_option_is_named(
    made_base: Path, adapter: Path, tmp_path: Path
) -> None:
    (adapter / NON_LORA).unlink()
    for use in (lambda: merge_adapter(made_base, adapter, tmp_path / "out"), lambda: load_model(made_base, adapter)):
        with pytest.raises(ModelError, match=r"checkpoint-400 lacks the projector .* give --projector base"):
            use()


def test_the_card_and_provenance_say_that_the_projector_is_the_bases(
    made_base: Path, adapter: Path, tmp_path: Path
) -> None:
    (adapter / NON_LORA).unlink()
    merge_adapter(made_base, adapter, tmp_path / "out", Form(projector="base"))
    assert "whose projector stays where the adapter has none" in (tmp_path / "out" / "README.md").read_text()
    assert read_json(tmp_path / "out" / "provenance.json")["settings"]["projector"] == "base"


def test_base_and_tuned_answer_from_one_memory_whatever_the_adapter_changes(
    toy: SimpleNamespace, made_base: Path, tmp_path: Path
) -> None:
    from tasks.inference.conversation_models import load_speakers

    settings = {"target_modules": ["q_proj", "embed_tokens", "linear_1"], "trainable_token_indices": {"lm_head": [2]}}
    model = tuned(made_base, settings, OWN, toy)
    save(model, tmp_path / "adapter", OWN)
    expected = {"base": logits_of(toy.load(made_base, "float32")), "tuned": logits_of(model)}
    speakers = load_speakers(made_base, tmp_path / "adapter", "float32")
    for speaker in (*speakers, *speakers):
        with speaker.at_work():
            found = logits_of(speaker.loaded.model)
        torch.testing.assert_close(found, expected[speaker.name], atol=EXACT, rtol=0)
