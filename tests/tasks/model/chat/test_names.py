"""Tensor names of the generic families round trip, and files with the hub's names load."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from support.tiny_families import CONFIGS

from tasks.model.chat.names import llava_names, qwen2_5_names
from tasks.model.families import family_of
from tasks.model.tensor_names import PEFT_PREFIX
from tasks.model.weights import read_tensors, tensors_of

# a name of each published repository's files, and the module in transformers 5
ON_THE_HUB = {
    # Qwen/Qwen2.5-VL-7B-Instruct
    "qwen2_5_vl": {
        "visual.merger.mlp.0.weight": "model.visual.merger.mlp.0.weight",
        "visual.blocks.0.attn.qkv.bias": "model.visual.blocks.0.attn.qkv.bias",
        "model.embed_tokens.weight": "model.language_model.embed_tokens.weight",
        "model.layers.0.mlp.up_proj.weight": "model.language_model.layers.0.mlp.up_proj.weight",
        "lm_head.weight": "lm_head.weight",
    },
    # Qwen/Qwen3-VL-8B-Instruct
    "qwen3_vl": {
        name: name
        for name in (
            "model.visual.deepstack_merger_list.0.linear_fc1.weight",
            "model.language_model.layers.0.self_attn.q_norm.weight",
        )
    },
    # llava-hf/llava-v1.6-mistral-7b-hf
    "llava_next": {
        "image_newline": "model.image_newline",
        "language_model.lm_head.weight": "lm_head.weight",
        "language_model.model.norm.weight": "model.language_model.norm.weight",
        "vision_tower.vision_model.pre_layrnorm.weight": "model.vision_tower.pre_layrnorm.weight",
        "multi_modal_projector.linear_1.weight": "model.multi_modal_projector.linear_1.weight",
    },
    # llava-hf/llava-onevision-qwen2-7b-ov-hf
    "llava_onevision": {
        "vision_tower.vision_model.embeddings.patch_embedding.weight": (
            "model.vision_tower.embeddings.patch_embedding.weight"
        ),
    },
    # OpenGVLab/InternVL3-8B-hf
    "internvl": {
        "vision_tower.encoder.layer.0.attention.q_proj.weight": (
            "model.vision_tower.encoder.layer.0.attention.q_proj.weight"
        ),
        "multi_modal_projector.layer_norm.weight": "model.multi_modal_projector.layer_norm.weight",
    },
    # HuggingFaceTB/SmolVLM-Instruct
    "smolvlm": {
        name: name
        for name in (
            "model.connector.modality_projection.proj.weight",
            "model.text_model.embed_tokens.weight",
            "model.vision_model.encoder.layers.0.self_attn.q_proj.weight",
        )
    },
    # google/paligemma-3b-pt-224
    "paligemma": {
        "language_model.model.embed_tokens.weight": "model.language_model.embed_tokens.weight",
        "vision_tower.vision_model.post_layernorm.weight": "model.vision_tower.post_layernorm.weight",
        "multi_modal_projector.linear.weight": "model.multi_modal_projector.linear.weight",
    },
}


def test_canonical_undoes_published_for_all_tensors(folder: Path) -> None:
    names = family_of(folder).names
    model = family_of(folder).load_base(folder, torch.float32)
    for name in model.state_dict():
        assert names.canonical(name) == name
        assert names.canonical(names.published(name)) == name
        assert names.canonical(PEFT_PREFIX + name) == name
        assert names.canonical(PEFT_PREFIX + names.published(name)) == name
    files = tensors_of(folder, names)
    assert files.keys() == {name for name in model.state_dict() if name in files or name != names.head}
    assert names.embedding in files and names.projector_matrix in files


@pytest.mark.parametrize(
    ("member", "published", "canonical"),
    [(member, *pair) for member, pairs in ON_THE_HUB.items() for pair in pairs.items()],
)
def test_published_names_are_those_of_the_hub(folder: Path, published: str, canonical: str) -> None:
    names = family_of(folder).names
    assert names.published(canonical) == published
    assert names.canonical(published) == canonical


def test_files_with_the_hubs_names_load(folder: Path, tmp_path: Path) -> None:
    family = family_of(folder)
    base = family.load_base(folder, torch.float32).state_dict()
    for file in folder.glob("*.json*"):
        (tmp_path / file.name).write_bytes(file.read_bytes())
    stored = tensors_of(folder, family.names)
    save_file({family.names.published(name): value for name, value in stored.items()}, tmp_path / "model.safetensors")
    loaded = family.load_base(tmp_path, torch.float32).state_dict()
    assert loaded.keys() == base.keys()
    assert all(torch.equal(value, base[name]) for name, value in loaded.items())


def test_the_projector_is_not_part_of_the_tower(folder: Path) -> None:
    family = family_of(folder)
    canonical = tensors_of(folder, family.names)
    projector = {name for name in canonical if family.names.is_projector(name)}
    tower = {name for name in canonical if family.names.is_tower(name)}
    assert projector and tower and not projector & tower
    rest = {name for name in canonical if name not in projector | tower}
    others = {family.names.head, "model.image_newline"}
    assert all(name.startswith(family.language_model) for name in rest - others)


def test_modules_have_their_names_of_earlier_versions() -> None:
    module = "model.language_model.layers.0.self_attn.q_proj"
    assert qwen2_5_names().older_modules(module) == ("model.layers.0.self_attn.q_proj",)
    assert llava_names().older_modules(module) == ("language_model.model.layers.0.self_attn.q_proj",)


def test_what_transformers_writes_is_read(folder: Path) -> None:
    names = family_of(folder).names
    written = read_tensors(folder / "model.safetensors")
    assert {names.canonical(name) for name in written} == tensors_of(folder, names).keys()


def test_every_member_is_checked() -> None:
    assert ON_THE_HUB.keys() == CONFIGS.keys() - {"idefics3"}
