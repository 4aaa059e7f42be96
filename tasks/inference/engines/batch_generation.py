"""One prompt, answered token by token: how chat lets a model speak, and what batched answers are compared with."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import torch


@torch.no_grad()
def encode_images(model: Any, pixels: Sequence[np.ndarray]) -> list[torch.Tensor]:
    """What the language model sees of each image: image tokens x hidden size.

    `pixels` holds float32 arrays, channels x height x width.
    """
    stacked = torch.from_numpy(np.stack(pixels)).to(model.device, model.dtype)
    return list(model.get_image_features(pixel_values=stacked).pooler_output)


@torch.no_grad()
def embed_prompt(model: Any, ids: Sequence[int], image_token_id: int, features: torch.Tensor) -> torch.Tensor:
    """Embeddings of a prompt, tokens x hidden size, with the image's features in its image tokens' places."""
    tokens = torch.tensor(ids, device=model.device)
    image = tokens == image_token_id
    # the image token may stand behind the vocabulary: it is a place, never a word
    embeddings = model.get_input_embeddings()(tokens.masked_fill(image, 0))
    embeddings[image] = features.to(embeddings.dtype)
    return embeddings


@torch.no_grad()
def generate_tokens(
    model: Any,
    prompt: torch.Tensor,
    stops: Sequence[int],
    max_new_tokens: int,
    choose: Callable[[torch.Tensor], int] = lambda logits: int(logits.argmax()),
) -> Iterator[int]:
    """Yield the tokens that answer a prompt, tokens x hidden size, up to one of `stops` or the limit; the stop as well.

    `choose` takes the next token by its logits, 1 x vocabulary.
    """
    cache, inputs = None, {"inputs_embeds": prompt[None]}
    for _ in range(max_new_tokens):
        output = model(**inputs, past_key_values=cache, use_cache=True, logits_to_keep=1)
        cache, token = output.past_key_values, choose(output.logits[:, -1])
        yield token
        if token in stops:
            return
        inputs = {"input_ids": torch.tensor([[token]], device=prompt.device)}
