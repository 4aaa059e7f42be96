"""Tensor names of all layouts convert to one canonical name, and back."""

import pytest

from tasks.model.llava.tensor_names import canonical_name, older_module_names, published_name

Q_PROJ = "model.language_model.layers.7.self_attn.q_proj.weight"
LINEAR_2 = "model.multi_modal_projector.linear_2.bias"
PATCHES = "model.vision_tower.embeddings.patch_embedding.weight"


@pytest.mark.parametrize(
    ("name", "canonical"),
    [
        ("language_model.model.layers.7.self_attn.q_proj.weight", Q_PROJ),
        ("model.layers.7.self_attn.q_proj.weight", Q_PROJ),
        ("base_model.model.model.language_model.layers.7.self_attn.q_proj.weight", Q_PROJ),
        ("base_model.model.language_model.model.layers.7.self_attn.q_proj.weight", Q_PROJ),
        (Q_PROJ, Q_PROJ),
        ("language_model.lm_head.weight", "lm_head.weight"),
        ("lm_head.weight", "lm_head.weight"),
        ("model.embed_tokens.weight", "model.language_model.embed_tokens.weight"),
        ("language_model.model.norm.weight", "model.language_model.norm.weight"),
        ("multi_modal_projector.linear_2.bias", LINEAR_2),
        ("model.mm_projector.2.bias", LINEAR_2),
        ("base_model.model.model.mm_projector.2.bias", LINEAR_2),
        ("base_model.model.model.multi_modal_projector.linear_2.bias", LINEAR_2),
        ("vision_tower.embeddings.patch_embedding.weight", PATCHES),
        ("vision_tower.vision_model.embeddings.patch_embedding.weight", PATCHES),
        ("model.vision_tower.vision_tower.vision_model.embeddings.patch_embedding.weight", PATCHES),
        (PATCHES, PATCHES),
    ],
)
def test_names_of_all_layouts_map_to_one_canonical_name(name: str, canonical: str) -> None:
    assert canonical_name(name) == canonical


@pytest.mark.parametrize(
    ("canonical", "published"),
    [
        (Q_PROJ, "language_model.model.layers.7.self_attn.q_proj.weight"),
        ("lm_head.weight", "language_model.lm_head.weight"),
        (LINEAR_2, "multi_modal_projector.linear_2.bias"),
        (PATCHES, "vision_tower.vision_model.embeddings.patch_embedding.weight"),
        ("model.vision_tower.head.probe", "vision_tower.vision_model.head.probe"),
        # a name of DINOv2, which has no such level
        ("model.vision_tower.encoder.layer.0.norm1.weight", "vision_tower.encoder.layer.0.norm1.weight"),
    ],
)
def test_published_and_canonical_names_convert_both_ways(canonical: str, published: str) -> None:
    assert published_name(canonical) == published
    assert canonical_name(published) == canonical


@pytest.mark.parametrize(
    "module",
    [
        "model.language_model.layers.7.mlp.up_proj",
        "lm_head",
        "model.multi_modal_projector.linear_2",
        "model.vision_tower.encoder",
    ],
)
def test_older_module_names_map_back_to_the_canonical_name(module: str) -> None:
    for name in older_module_names(module):
        assert canonical_name(f"{name}.weight") == f"{module}.weight"
