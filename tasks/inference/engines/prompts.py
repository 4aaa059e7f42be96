"""A prompt as the model takes it: token ids that fit its context, and embeddings with the image's features.

Nothing is ever truncated: a prompt without its image or its question has no meaningful answer.
"""

from collections.abc import Sequence

import numpy as np
import torch
from transformers import PreTrainedModel

from tasks.errors import DataError
from tasks.model.llava.prompt import Turn, encode_prompt
from tasks.model.loading import LoadedModel, Processor


def encode_question(loaded: LoadedModel, turns: Sequence[Turn], max_new_tokens: int) -> list[int]:
    """Token ids of a dialogue up to the answer, the image expanded to all its tokens.

    Raises DataError if the prompt does not fit or does not show exactly one image.
    """
    token = loaded.image_token_id
    ids = encode_prompt(loaded.tokenizer, turns, token, 1)
    require_fitting(ids, loaded, loaded.model.config.text_config.max_position_embeddings, max_new_tokens)
    index = ids.index(token)
    return [*ids[:index], *[token] * loaded.image_tokens, *ids[index + 1 :]]


def require_fitting(ids: Sequence[int], processor: Processor, positions: int, max_new_tokens: int) -> None:
    """Raise DataError unless prompt and answer fit into `positions`; `ids` hold the image as one token."""
    images = ids.count(processor.image_token_id)
    if images != 1:
        raise DataError(f"the dialogue holds {images} image placeholders instead of one")
    tokens, longest = len(ids) - 1 + processor.image_tokens, positions - max_new_tokens
    if tokens > longest:
        raise DataError(
            f"the prompt has {tokens} tokens, and the model takes {longest} besides {max_new_tokens} for the answer: "
            "ask with less history or fewer new tokens"
        )


@torch.no_grad()
def encode_images(model: PreTrainedModel, pixels: Sequence[np.ndarray]) -> list[torch.Tensor]:
    """The projected features of each image, of shape (image tokens, hidden size) in the model's dtype.

    `pixels` holds float32 arrays of shape (channels, height, width).
    """
    stacked = torch.from_numpy(np.stack(pixels)).to(model.device, model.dtype)
    return list(model.get_image_features(pixel_values=stacked).pooler_output)


@torch.no_grad()
def embed_prompt(
    model: PreTrainedModel, ids: Sequence[int], image_token_id: int, features: torch.Tensor
) -> torch.Tensor:
    """Embeddings of a prompt, of shape (tokens, hidden size) in the model's dtype.

    `features` of shape (image tokens, hidden size) replace the embeddings of the image tokens.
    """
    tokens = torch.tensor(ids, device=model.device)
    image = tokens == image_token_id
    # the image token's id may lie beyond the embedding matrix: its embedding is replaced in any case
    embeddings: torch.Tensor = model.get_input_embeddings()(tokens.masked_fill(image, 0))
    embeddings[image] = features.to(embeddings.dtype)
    return embeddings
