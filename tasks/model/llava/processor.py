"""Load what turns text and images into model input: the tokenizer, the image processor and the image token."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tasks.errors import ModelError
from tasks.model.configuration import (
    CONFIG,
    PREPROCESSOR,
    PROCESSOR,
    TOKENIZER_CONFIG,
    read_config,
    read_model_config,
    read_settings,
    readable,
    require_file,
)
from tasks.model.encoding import IMAGE_INDEX, EncodedConversation, Turn, padding_id
from tasks.model.images import pixels_of
from tasks.model.inputs import ImageInputs
from tasks.model.llava.model_config import MAX_SIDE, image_tokens_of, require_model_config
from tasks.model.llava.original_layout import find_tower, is_original
from tasks.model.llava.prompt import IMAGE_PLACEHOLDER, encode_conversation, encode_prompt, round_text
from tasks.model.llava.tokenizer import load_original_tokenizer, load_tokenizer

if TYPE_CHECKING:
    import torch
    from PIL.Image import Image
    from transformers import PreTrainedTokenizerBase
    from transformers.models.llava.image_processing_pil_llava import LlavaImageProcessorPil


@dataclass(frozen=True)
class LlavaProcessor:
    """Tokenizer and image processor of a model, the id of its image token and the number of tokens per image."""

    tokenizer: "PreTrainedTokenizerBase"
    image_processor: "LlavaImageProcessorPil"
    image_token_id: int
    image_tokens: int

    @property
    def padding_id(self) -> int:
        return padding_id(self.tokenizer)

    @property
    def several_images(self) -> bool:
        return False

    @property
    def dialogues(self) -> bool:
        return True

    def encode_conversation(self, turns: Sequence[Turn], images: int = 1) -> EncodedConversation:
        return encode_conversation(self.tokenizer, turns, images > 0)

    def encode_prompt(self, turns: Sequence[Turn], images: int = 1) -> list[int]:
        return encode_prompt(self.tokenizer, turns, images > 0)

    def render(self, turns: Sequence[Turn]) -> str:
        texts = [text for _, text in turns]
        end = self.tokenizer.eos_token
        answered = zip(texts[::2], texts[1::2], strict=False)
        text = "".join(round_text(number, *pair) + end for number, pair in enumerate(answered))
        return text + round_text(len(texts) // 2, texts[-1]) if len(texts) % 2 else text

    def count_tokens(self, size: tuple[int, int]) -> int:
        return self.image_tokens

    def prepare(self, image: "Image") -> ImageInputs:
        import torch

        return self._inputs(torch.from_numpy(pixels_of(image, self.image_processor)))

    def blank_image(self) -> ImageInputs:
        import torch

        size = self.image_processor.crop_size
        return self._inputs(torch.zeros(3, size["height"], size["width"]))

    def _inputs(self, pixels: "torch.Tensor") -> ImageInputs:
        return ImageInputs([self.image_token_id] * self.image_tokens, {"pixel_values": pixels[None]})

    def batch_images(self, images: Sequence[Sequence[ImageInputs]]) -> "dict[str, torch.Tensor]":
        """`pixel_values` (images, 3, height, width) float32."""
        import torch

        return {"pixel_values": torch.cat([image.tensors["pixel_values"] for row in images for image in row])}

    def token_types(self, batch: "Mapping[str, torch.Tensor]") -> "dict[str, torch.Tensor]":
        return {}

    def save(self, folder: Path) -> None:
        from tasks.model.llava.processor_files import save_processor

        save_processor(self, folder)


def load_processor(folder: Path, adapter: Path | None = None, tower: Path | None = None) -> LlavaProcessor:
    """Load the processor of a model directory; images are padded as the adapter says, or else the model.

    `tower` overrides the vision tower that an original model names. A trial on a small image and a short dialogue
    finds damaged settings: raises ModelError.
    """
    from transformers import LlavaConfig

    written, config = read_model_config(folder), require_model_config(folder, tower)
    original = is_original(written)
    if not original:
        for name in (TOKENIZER_CONFIG, PREPROCESSOR):
            require_file(folder, name, PROCESSOR, fix="copy it from the base model")
    with readable("configuration", folder):
        # the tokenizer reads config.json as well, and would be blamed for it
        LlavaConfig.from_dict(config)
        image_token_id = int(config.get("image_token_index") or config["image_token_id"])
    processor = LlavaProcessor(
        tokenizer=tokenizer_of(folder, original),
        image_processor=load_image_processor(folder, adapter, tower),
        image_token_id=image_token_id,
        image_tokens=image_tokens_of(folder, config),
    )
    _try_image_processor(adapter or folder, processor.image_processor, config["vision_config"]["image_size"])
    _try_tokenizer(folder, processor.tokenizer, config.get("text_config", {}).get("vocab_size"))
    return processor


def processor_without_tower(folder: Path, image_tokens: int) -> LlavaProcessor:
    """The processor of an original model whose tower, and with it the image processor, is not on this machine."""
    return LlavaProcessor(tokenizer_of(folder, original=True), None, IMAGE_INDEX, image_tokens)


def tokenizer_of(folder: Path, original: bool) -> "PreTrainedTokenizerBase":
    """Load the tokenizer of a directory in the original or in transformers' layout; ModelError if it is damaged."""
    with readable("tokenizer", folder):
        return load_original_tokenizer(folder) if original else load_tokenizer(folder)


def load_image_processor(
    folder: Path, tuned: Path | None = None, tower: Path | None = None
) -> "LlavaImageProcessorPil":
    """Load the image processor of a checkpoint, or else of its base; raises ModelError if neither has one."""
    if tuned is not None and _has_image_processor(tuned):
        return _image_processor(tuned)
    written = read_config(folder)
    processor = _image_processor((tower or find_tower(folder, written)) if is_original(written) else folder)
    # an adapter of the original LLaVA states only whether images are padded
    states = tuned is not None and (tuned / CONFIG).is_file() and is_original(read_config(tuned))
    processor.do_pad = pads(tuned if tuned is not None and states else folder)
    return processor


def _has_image_processor(folder: Path) -> bool:
    # transformers 4 wrote a processor_config.json without the image processor's settings
    processor = folder / PROCESSOR
    return (folder / PREPROCESSOR).is_file() or (processor.is_file() and "image_processor" in read_settings(processor))


def _image_processor(folder: Path) -> "LlavaImageProcessorPil":
    from transformers.models.llava.image_processing_pil_llava import LlavaImageProcessorPil

    require_file(folder, PREPROCESSOR, PROCESSOR, fix="copy it from where the vision tower was published")
    with readable("image handling", folder):
        return LlavaImageProcessorPil.from_pretrained(folder)


def pads(folder: Path) -> bool:
    """Whether a model directory pads images to a square; True, as LLaVA 1.5 was trained, if it does not say."""
    written = read_config(folder)
    if is_original(written):
        # the original LLaVA crops by default
        return written.get("image_aspect_ratio") == "pad"
    for name in (PROCESSOR, PREPROCESSOR):
        if (folder / name).is_file():
            with readable("image handling", folder):
                settings = read_settings(folder / name)
                pad = settings.get("image_processor", settings).get("do_pad")
            if pad is not None:
                return bool(pad)
    return True


def _try_image_processor(folder: Path, processor: "LlavaImageProcessorPil", side: int) -> None:
    """Raise ModelError unless an image becomes finite float pixels of shape (3, side, side)."""
    import numpy as np
    from PIL import Image

    with readable("image handling", folder):
        for sizes in (processor.size, processor.crop_size):
            for name, pixels in dict(sizes or {}).items():
                if pixels is not None and (type(pixels) is not int or not 0 < pixels <= MAX_SIDE):
                    raise ValueError(f"{name} is {pixels!r}")
        with np.errstate(all="ignore"):
            values = pixels_of(Image.new("RGB", (3, 2), "white"), processor)
        if not np.isfinite(values).all():
            raise ValueError("it makes pixels that are NaN or infinite: image_std may hold a zero")
        if values.shape != (3, side, side):
            raise ValueError(f"it makes pixels of shape {values.shape}, and the vision tower takes {side} x {side}")


def _try_tokenizer(folder: Path, tokenizer: "PreTrainedTokenizerBase", vocabulary: Any) -> None:
    """Raise ModelError unless a dialogue becomes tokens below `vocabulary`; None if its size is unknown."""
    with readable("tokenizer", folder):
        ids = encode_conversation(tokenizer, [("human", f"{IMAGE_PLACEHOLDER}\nA"), ("gpt", "B")]).input_ids
        if not isinstance(tokenizer.eos_token, str):
            raise ValueError("it has no token for the end")
        if vocabulary is not None and not all(0 <= token < vocabulary for token in ids if token != IMAGE_INDEX):
            raise ValueError(f"it makes tokens beyond the model's {vocabulary}")
        padding = padding_id(tokenizer)
        if vocabulary is not None and padding >= vocabulary:
            raise ModelError(
                f"The tokenizer of {folder} pads with {tokenizer.pad_token}, which is {padding} and beyond the model's "
                f"{vocabulary} tokens: set pad_token in tokenizer_config.json to one that the model has."
            )
