"""The sizes of a generic family's model: its modules are built without weights and their parameters counted."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tasks.model.chat.loading import built_on_meta, with_defaults
from tasks.model.configuration import CONFIG
from tasks.model.shape import ModelShape
from tasks.model.tensor_names import TensorNames

if TYPE_CHECKING:
    from torch.nn import Linear
    from transformers import PreTrainedModel

# pixels per side: the tokens of an image of that size are taken where no image is known
TYPICAL_SIDE = 448


@dataclass(frozen=True)
class CountedShape(ModelShape):
    """A shape whose parameters are counted; `lora_width` is the sum of inputs and outputs of LoRA's layers.

    `head_width` need not be hidden / heads.
    """

    language: int
    projector: int
    tower: int
    lora_width: int
    head_width: int

    @property
    def key_value_width(self) -> int:
        return self.head_width * self.key_value_heads

    @property
    def language_parameters(self) -> int:
        return self.language

    @property
    def projector_parameters(self) -> int:
        return self.projector

    @property
    def tower_parameters(self) -> int:
        return self.tower

    def lora_parameters(self, rank: int) -> int:
        return rank * self.lora_width


def shape_of(
    config: Mapping[str, Any], names: TensorNames, language_model: str, cuts_images: bool = True
) -> CountedShape:
    """The shape of a model from its config.json.

    `language_model` is the prefix of the language model's modules; `cuts_images` is whether a large image is cut into
    tiles.
    """
    complete = with_defaults(config)
    text, vision = complete["text_config"], complete["vision_config"]
    model = built_on_meta(Path(CONFIG), complete)
    layers = linear_layers(model, language_model)
    counts = {"language": 0, "projector": 0, "tower": 0}
    for name, parameter in model.named_parameters():
        part = "projector" if names.is_projector(name) else "tower" if names.is_tower(name) else "language"
        counts[part] += parameter.numel()
    return CountedShape(
        hidden=text["hidden_size"],
        intermediate=text["intermediate_size"],
        layers=text["num_hidden_layers"],
        heads=text["num_attention_heads"],
        key_value_heads=text.get("num_key_value_heads") or text["num_attention_heads"],
        vocabulary=text["vocab_size"],
        tied=bool(complete.get("tie_word_embeddings")),
        tower_hidden=vision["hidden_size"],
        tower_intermediate=vision["intermediate_size"],
        tower_layers=vision.get("num_hidden_layers") or vision["depth"],
        image_tokens=_image_tokens(complete, cuts_images),
        patch_size=_first(vision["patch_size"]),
        lora_width=sum(layer.in_features + layer.out_features for layer in layers.values()),
        head_width=text.get("head_dim") or text["hidden_size"] // text["num_attention_heads"],
        **counts,
    )


def linear_layers(model: "PreTrainedModel", language_model: str) -> "dict[str, Linear]":
    """The linear layers of the language model by name, which LoRA adapts; `language_model` is its prefix."""
    from torch.nn import Linear

    return {
        name: module
        for name, module in model.named_modules()
        if isinstance(module, Linear) and name.startswith(language_model)
    }


def _image_tokens(config: Mapping[str, Any], cuts_images: bool) -> int:
    """Tokens of an image of TYPICAL_SIDE: one per patch, or per square of patches that are merged.

    A model that cuts images into tiles has those of each tile and of the whole image once more.
    """
    vision = config["vision_config"]
    patch, merged = _first(vision["patch_size"]), vision.get("spatial_merge_size") or config.get("scale_factor") or 1
    if "image_size" not in vision:
        return max(1, TYPICAL_SIDE // (patch * merged)) ** 2
    side = _first(vision["image_size"])
    tile = config.get("image_seq_length") or (side // (patch * merged)) ** 2
    tiles = (-(-TYPICAL_SIDE // side)) ** 2 if cuts_images else 1
    return int(tile * (tiles + 1 if tiles > 1 else 1))


def _first(size: int | list[int]) -> int:
    return size if isinstance(size, int) else size[0]
