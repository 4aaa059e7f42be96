"""One name for each tensor, whichever layout wrote it: transformers' modules, its files, or the original LLaVA.

Canonical is the module path in transformers 5: `model.language_model.layers.0...`, `lm_head.weight`,
`model.multi_modal_projector.linear_1.weight`, `model.vision_tower...`.
"""

import re
from typing import Literal, NamedTuple

PROJECTOR_PREFIX = "model.multi_modal_projector."
PEFT_PREFIX = "base_model.model."
_LORA = re.compile(r"(?P<module>.+)\.lora_(?P<side>[AB])(?:\.[^.]+)?\.weight")
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


class LoraName(NamedTuple):
    """The weight that a LoRA matrix belongs to, by canonical name, and which of the two it is."""

    weight: str
    side: Literal["A", "B"]


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


def lora_name(name: str) -> LoraName | None:
    """What an adapter's tensor is a LoRA matrix of, or None when it is none."""
    match = _LORA.fullmatch(name)
    if match is None:
        return None
    return LoraName(canonical_name(f"{match['module']}.weight"), "A" if match["side"] == "A" else "B")
