"""Greedy generation over a batch, token by token: the one way in which engine and chat let a model speak."""

from collections.abc import Iterator, Sequence
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
def generate_greedily(
    model: Any, prompts: Sequence[torch.Tensor], stops: Sequence[int], max_new_tokens: int
) -> Iterator[list[int]]:
    """Yield the likeliest next token of every prompt, until each has met one of `stops` or the limit.

    A row's tokens after its stop mean nothing. Prompts are padded on the left and the padding is masked, with
    positions counted from each prompt's own start, so that a row does not depend on its neighbours.
    """
    embeddings, mask = _padded_left(prompts)
    inputs: dict[str, Any] = {"inputs_embeds": embeddings, "position_ids": (mask.cumsum(-1) - 1).clamp(min=0)}
    cache, running = None, torch.ones(len(prompts), dtype=torch.bool, device=mask.device)
    stop_ids = torch.tensor(list(stops), device=mask.device)
    for _ in range(max_new_tokens):
        output = model(**inputs, attention_mask=mask, past_key_values=cache, use_cache=True, logits_to_keep=1)
        tokens, cache = output.logits[:, -1].argmax(-1), output.past_key_values
        yield tokens.tolist()
        running &= ~torch.isin(tokens, stop_ids)
        if not running.any():
            return
        mask = torch.cat([mask, mask.new_ones(len(prompts), 1)], dim=1)
        inputs = {"input_ids": tokens[:, None], "position_ids": mask.sum(-1, keepdim=True) - 1}


def _padded_left(prompts: Sequence[torch.Tensor]) -> tuple[torch.Tensor, torch.Tensor]:
    """Prompts as one batch, rows x longest x hidden size, and its mask: 1 for a token, 0 for padding."""
    longest = max(len(prompt) for prompt in prompts)
    batch = prompts[0].new_zeros(len(prompts), longest, prompts[0].shape[-1])
    mask = torch.zeros(len(prompts), longest, dtype=torch.long, device=batch.device)
    for row, prompt in enumerate(prompts):
        batch[row, longest - len(prompt) :] = prompt
        mask[row, longest - len(prompt) :] = 1
    return batch, mask
