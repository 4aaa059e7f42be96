"""Tensor names of the generic families: in transformers' module tree, in earlier versions and on the hub.

The canonical name is the module path in transformers 5. Many published files were written by transformers before 4.52,
whose module trees had no common `model.`: transformers renames these tensors itself when it loads a model.
"""

import re
from collections.abc import Iterable
from functools import reduce

from tasks.model.tensor_names import PEFT_PREFIX, TensorNames

# a pattern and its replacement, applied in order
Rule = tuple[str, str]


def qwen2_5_names() -> TensorNames:
    """The names of Qwen2.5-VL: published without a level for the language model."""
    return _names(
        projector=("model.visual.merger.",),
        tower=("model.visual.",),
        projector_matrix="model.visual.merger.mlp.0.weight",
        canonical=(
            (r"^visual\.", "model.visual."),
            (r"^model\.(?!language_model\.|visual\.)", "model.language_model."),
        ),
        published=((r"^model\.language_model\.", "model."), (r"^model\.visual\.", "visual.")),
    )


def qwen3_names() -> TensorNames:
    """The names of Qwen3-VL, which are the same everywhere; it has a merger for each layer that it reads."""
    return _names(
        projector=("model.visual.merger.", "model.visual.deepstack_merger_list."),
        tower=("model.visual.",),
        projector_matrix="model.visual.merger.linear_fc1.weight",
    )


def idefics3_names() -> TensorNames:
    """The names of Idefics3 and SmolVLM, which are the same everywhere."""
    return _names(
        projector=("model.connector.",),
        tower=("model.vision_model.",),
        projector_matrix="model.connector.modality_projection.proj.weight",
        embedding="model.text_model.embed_tokens.weight",
    )


# as llava-hf publishes them
_LLAVA_CANONICAL: tuple[Rule, ...] = (
    (r"^language_model\.lm_head\.", "lm_head."),
    (r"^language_model\.model\.", "model.language_model."),
    (r"^(multi_modal_projector\.|vision_tower\.|image_newline$)", r"model.\1"),
    # a level that transformers 5 removed
    (r"^model\.vision_tower\.vision_model\.", "model.vision_tower."),
)
_LLAVA_PUBLISHED: tuple[Rule, ...] = (
    (r"^lm_head\.", "language_model.lm_head."),
    (r"^model\.language_model\.", "language_model.model."),
    (r"^model\.(multi_modal_projector\.|vision_tower\.|image_newline$)", r"\1"),
)


def llava_names(projector_matrix: str = "linear_1.weight", level: str = "vision_model.") -> TensorNames:
    """The names of families that are published as llava-hf's; `level` is above the modules of the published tower.

    `projector_matrix` is relative to the projector.
    """
    projector = "model.multi_modal_projector."
    return _names(
        projector=(projector,),
        tower=("model.vision_tower.",),
        projector_matrix=projector + projector_matrix,
        canonical=_LLAVA_CANONICAL,
        published=(*_LLAVA_PUBLISHED, (r"^vision_tower\.", f"vision_tower.{level}")),
    )


def _names(
    projector: tuple[str, ...],
    tower: tuple[str, ...],
    projector_matrix: str,
    canonical: Iterable[Rule] = (),
    published: Iterable[Rule] = (),
    embedding: str = TensorNames.embedding,
) -> TensorNames:
    """Names by rules, which may be applied to names that they have already changed."""
    to_canonical, to_published = _compiled(canonical), _compiled(published)

    def canonical_name(name: str) -> str:
        return _renamed(name.removeprefix(PEFT_PREFIX), to_canonical)

    def published_name(name: str) -> str:
        return _renamed(name, to_published)

    def older_modules(module: str) -> tuple[str, ...]:
        return (published_name(f"{module}.").removesuffix("."),)

    return TensorNames(
        projector, tower, projector_matrix, embedding,
        canonical=canonical_name, published=published_name, older_modules=older_modules,
    )  # fmt: skip


def _compiled(rules: Iterable[Rule]) -> list[tuple[re.Pattern[str], str]]:
    return [(re.compile(pattern), replacement) for pattern, replacement in rules]


def _renamed(name: str, rules: Iterable[tuple[re.Pattern[str], str]]) -> str:
    return reduce(lambda changed, rule: rule[0].sub(rule[1], changed), rules, name)
