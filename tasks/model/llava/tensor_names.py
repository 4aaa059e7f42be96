"""Tensor names in every layout: the module tree of transformers, published files, and the original LLaVA.

The canonical name is the module path in transformers 5: `model.language_model.layers.0...`, `lm_head.weight`,
`model.multi_modal_projector.linear_1.weight`, `model.vision_tower...`.
"""

import re

from tasks.model.tensor_names import PEFT_PREFIX, TensorNames

PROJECTOR_PREFIX = "model.multi_modal_projector."
TOWER_PREFIX = "model.vision_tower."
EMBEDDING, HEAD = "model.language_model.embed_tokens.weight", "lm_head.weight"
# buffers that older versions saved; they follow from the configuration
BUFFERS = ("rotary_emb.inv_freq", "embeddings.position_ids")
# the vision tower in the module tree of the original LLaVA
_ORIGINAL_TOWER = "model.vision_tower.vision_tower."
_TOWER_PARTS = ("embeddings.", "encoder.", "pre_layrnorm.", "post_layernorm.")
_TO_CANONICAL = tuple(
    (re.compile(pattern), replacement)
    for pattern, replacement in (
        # files that transformers writes and that llava-hf publishes
        (r"^language_model\.lm_head\.", "lm_head."),
        (r"^language_model\.model\.", "model.language_model."),
        (r"^(multi_modal_projector|vision_tower)\.", r"model.\1."),
        # the original LLaVA
        (r"^model\.(layers|embed_tokens|norm)\.", r"model.language_model.\1."),
        (r"^model\.mm_projector\.0\.", PROJECTOR_PREFIX + "linear_1."),
        (r"^model\.mm_projector\.2\.", PROJECTOR_PREFIX + "linear_2."),
        (r"^model\.vision_tower\.vision_tower\.", TOWER_PREFIX),
        # both of them, before transformers 5 removed this level
        (r"^model\.vision_tower\.vision_model\.", TOWER_PREFIX),
    )
)
# The names in llava-hf's files, which every version of transformers reads, and vLLM. Towers of kinds other than CLIP
# and SigLIP have no level `vision_model`.
_TO_PUBLISHED = tuple(
    (re.compile(pattern), replacement)
    for pattern, replacement in (
        (r"^model\.language_model\.", "language_model.model."),
        (r"^lm_head\.", "language_model.lm_head."),
        (r"^model\.multi_modal_projector\.", "multi_modal_projector."),
        (
            r"^model\.vision_tower\.(?=encoder\.layers\.|pre_layrnorm\.|post_layernorm\.|head\."
            r"|embeddings\.(class_embedding|patch_embedding|position_))",
            "vision_tower.vision_model.",
        ),
        (r"^model\.vision_tower\.", "vision_tower."),
    )
)
_TO_ORIGINAL = (
    ("model.language_model.", "model."),
    (f"{PROJECTOR_PREFIX}linear_1.", "model.mm_projector.0."),
    (f"{PROJECTOR_PREFIX}linear_2.", "model.mm_projector.2."),
    (TOWER_PREFIX, f"{_ORIGINAL_TOWER}vision_model."),
)


def canonical_name(name: str) -> str:
    """The canonical name of a tensor, given its name in a model's file, a module tree or an adapter."""
    name = name.removeprefix(PEFT_PREFIX)
    for pattern, replacement in _TO_CANONICAL:
        name = pattern.sub(replacement, name)
    return name


def published_name(name: str) -> str:
    """The name in the files of a published transformers LLaVA, given the canonical name."""
    for pattern, replacement in _TO_PUBLISHED:
        name = pattern.sub(replacement, name)
    return name


def original_name(name: str) -> str:
    """The name in the module tree of the original LLaVA, given the canonical name."""
    for canonical, original in _TO_ORIGINAL:
        if name.startswith(canonical):
            return original + name.removeprefix(canonical)
    return name


def original_tower_name(name: str) -> str:
    """The name in the original layout's separate vision tower, given the canonical name."""
    return original_name(name).removeprefix(_ORIGINAL_TOWER)


def older_module_names(module: str) -> tuple[str, str]:
    """A module's name before transformers 4.52 and in the original LLaVA, given its canonical name."""
    return published_name(f"{module}.").removesuffix("."), original_name(f"{module}.").removesuffix(".")


def is_tower_tensor(name: str) -> bool:
    """Whether a canonical name belongs to CLIP's vision tower: a published CLIP also contains a text tower."""
    return name.startswith(TOWER_PREFIX) and name.removeprefix(TOWER_PREFIX).startswith(_TOWER_PARTS)


NAMES = TensorNames(
    projector=(PROJECTOR_PREFIX,),
    tower=(TOWER_PREFIX,),
    projector_matrix=f"{PROJECTOR_PREFIX}linear_1.weight",
    embedding=EMBEDDING,
    head=HEAD,
    buffers=BUFFERS,
    canonical=canonical_name,
    published=published_name,
    older_modules=older_module_names,
)
