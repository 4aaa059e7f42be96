"""The sizes of a LLaVA model, from its config.json alone."""

from collections.abc import Mapping

from tasks.model.llava import tiny
from tasks.model.shape import ModelShape
from tasks.settings import TOY

# transformers' defaults for what config.json omits; that of llava-hf has little more than the vocabulary.
LLAMA_DEFAULTS = {
    "hidden_size": 4096, "intermediate_size": 11008, "num_hidden_layers": 32, "num_attention_heads": 32,
    "vocab_size": 32000,
}  # fmt: skip
CLIP_DEFAULTS = {
    "hidden_size": 768, "intermediate_size": 3072, "num_hidden_layers": 12, "image_size": 224, "patch_size": 32,
}  # fmt: skip
# openai/clip-vit-large-patch14-336, the tower of every LLaVA 1.5
CLIP_LARGE_336 = {
    "hidden_size": 1024, "intermediate_size": 4096, "num_hidden_layers": 24, "image_size": 336, "patch_size": 14,
}  # fmt: skip
VICUNA_13B = {"hidden_size": 5120, "intermediate_size": 13824, "num_hidden_layers": 40, "num_attention_heads": 40}


def read_shape(config: Mapping[str, object]) -> ModelShape:
    """The shape of a model from its config.json, in transformers' layout or the original LLaVA's.

    The original layout only names its tower, which is stored elsewhere: it is assumed to be that of LLaVA 1.5.
    """
    if "text_config" in config:
        text = _sizes(config["text_config"], LLAMA_DEFAULTS)
        tower = _sizes(config.get("vision_config", {}), CLIP_DEFAULTS)
    else:
        text = _sizes(config, LLAMA_DEFAULTS)
        tower = _sizes({"hidden_size": config.get("mm_hidden_size")}, CLIP_LARGE_336)
    return ModelShape(
        hidden=text["hidden_size"],
        intermediate=text["intermediate_size"],
        layers=text["num_hidden_layers"],
        heads=text["num_attention_heads"],
        key_value_heads=text.get("num_key_value_heads", text["num_attention_heads"]),
        vocabulary=text["vocab_size"],
        tied=bool(config.get("tie_word_embeddings", text.get("tie_word_embeddings"))),
        tower_hidden=tower["hidden_size"],
        tower_intermediate=tower["intermediate_size"],
        tower_layers=tower["num_hidden_layers"],
        image_tokens=(tower["image_size"] // tower["patch_size"]) ** 2,
        patch_size=tower["patch_size"],
    )


def _sizes(part: object, defaults: Mapping[str, int]) -> dict[str, int]:
    """The whole numbers and switches of a part of config.json by name, and the defaults of those that it omits."""
    if not isinstance(part, Mapping):
        raise TypeError(f"{part!r} is not an object")
    return {**defaults, **{name: value for name, value in part.items() if isinstance(value, int)}}


def published_shape(name: str) -> ModelShape | None:
    """The shape of a LLaVA 1.5 by its hub name, or of rsvlm's toy; None for any other name."""
    if name == TOY:
        text = {**tiny.TEXT, "vocab_size": tiny.VOCABULARY_SIZE}
        tower = {**tiny.TOWER, "image_size": tiny.IMAGE_SIZE, "patch_size": tiny.PATCH_SIZE}
        return read_shape({"text_config": text, "vision_config": tower})
    original = {"liuhaotian/llava-v1.5-7b": LLAMA_DEFAULTS, "liuhaotian/llava-v1.5-13b": VICUNA_13B}
    converted = {"llava-hf/llava-1.5-7b-hf": LLAMA_DEFAULTS, "llava-hf/llava-1.5-13b-hf": VICUNA_13B}
    if name in original:
        return read_shape(original[name])
    if name in converted:
        # two more tokens, padded to a multiple of 64
        text = {**converted[name], "vocab_size": 32064}
        return read_shape({"text_config": text, "vision_config": CLIP_LARGE_336})
    return None
