"""What reads a model's input, tried on a small image and a short dialogue: a damaged setting shows before the data."""

from pathlib import Path
from typing import Any

from tasks.errors import ModelError
from tasks.model.configuration import readable
from tasks.model.images import pixels_of
from tasks.model.llava.prompt import IMAGE_INDEX, IMAGE_PLACEHOLDER, encode_conversation, padding_id

# pixels a side; a damaged number must not ask for all memory
MOST_SIDE = 4096


def try_image_handling(folder: Path, processor: Any, side: int) -> None:
    """Raise ModelError unless an image becomes `side` x `side` finite pixels, as the tower takes them."""
    import numpy as np
    from PIL import Image

    with readable("image handling", folder):
        for sizes in (processor.size, processor.crop_size):
            for name, pixels in dict(sizes or {}).items():
                if pixels is not None and (type(pixels) is not int or not 0 < pixels <= MOST_SIDE):
                    raise ValueError(f"{name} is {pixels!r}")
        with np.errstate(all="ignore"):
            made = pixels_of(Image.new("RGB", (3, 2), "white"), processor)
        if not np.isfinite(made).all():
            raise ValueError("it makes pixels that are no numbers: image_std may hold a zero")
        if made.shape != (3, side, side):
            raise ValueError(f"it makes pixels of shape {made.shape}, and the vision tower takes {side} x {side}")


def try_tokenizer(folder: Path, tokenizer: Any, vocabulary: Any) -> None:
    """Raise ModelError unless a dialogue becomes tokens of a vocabulary; None where its size is not told."""
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
