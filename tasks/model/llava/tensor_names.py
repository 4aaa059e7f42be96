"""One name for each tensor, whichever layout wrote it: transformers' modules, its files, or the original LLaVA.

Canonical is the module path in transformers 5: `model.language_model.layers.0...`, `lm_head.weight`,
`model.multi_modal_projector.linear_1.weight`, `model.vision_tower...`.
"""

import re
from typing import Literal

PROJECTOR_PREFIX = "model.multi_modal_projector."
PEFT_PREFIX = "base_model.model."
EMBEDDING, HEAD = "model.language_model.embed_tokens.weight", "lm_head.weight"
# whose projector a model with an adapter has: the adapter's, or the base's where training left it alone
Projector = Literal["adapter", "base"]
_RENAMES = tuple(
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
        (r"^model\.vision_tower\.vision_tower\.", "model.vision_tower."),
        # both of them, before transformers 5 took this level out
        (r"^model\.vision_tower\.vision_model\.", "model.vision_tower."),
    )
)
# The names of llava-hf's files, which every version of transformers reads, and vLLM. Towers of other kinds than CLIP
# and SigLIP have no level `vision_model`.
_PUBLISHED = tuple(
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
# of a module's canonical name: the beginning, and what it was before transformers 4.52 and in the original LLaVA
_OLDER = (
    ("model.language_model.", "language_model.model.", "model."),
    ("lm_head", "language_model.lm_head", "lm_head"),
    (PROJECTOR_PREFIX, "multi_modal_projector.", "model.mm_projector."),
    ("model.vision_tower.", "vision_tower.vision_model.", "model.vision_tower.vision_tower.vision_model."),
)


def canonical_name(name: str) -> str:
    """The canonical name of a tensor in a model's file, a module tree or an adapter."""
    name = name.removeprefix(PEFT_PREFIX)
    for pattern, replacement in _RENAMES:
        name = pattern.sub(replacement, name)
    return name


def published_name(name: str) -> str:
    """The name in the files of a published transformers LLaVA of a tensor with a canonical name."""
    for pattern, replacement in _PUBLISHED:
        name = pattern.sub(replacement, name)
    return name


def older_names(name: str) -> tuple[str, str]:
    """What a module of that canonical name is called before transformers 4.52 and in the original LLaVA."""
    found = (
        (old + name.removeprefix(new), first + name.removeprefix(new))
        for new, old, first in _OLDER
        if name.startswith(new)
    )
    return next(found, (name, name))
