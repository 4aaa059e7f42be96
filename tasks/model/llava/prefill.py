"""Run prompts with images as embeddings: the vocabulary of an original LLaVA has no row for the image token."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch

from tasks.model.family import Prefilled
from tasks.model.inputs import ImageInputs

if TYPE_CHECKING:
    from transformers import PreTrainedModel


@torch.no_grad()
def encode_images(model: "PreTrainedModel", pixels: torch.Tensor) -> torch.Tensor:
    """The projected features of images, of shape (images, image tokens, hidden size) in the model's dtype.

    `pixels` are float32, of shape (images, channels, height, width).
    """
    features = model.get_image_features(pixel_values=pixels.to(model.device, model.dtype)).pooler_output
    return torch.stack(list(features))


@torch.no_grad()
def embed_prompts(
    model: "PreTrainedModel", ids: Sequence[int], image_token_id: int, features: torch.Tensor
) -> torch.Tensor:
    """Embeddings of a prompt with each of several images, of shape (images, tokens, hidden size) in the model's dtype.

    `features` of shape (images, image tokens, hidden size) replace the embeddings of the image tokens among `ids`.
    """
    tokens = torch.tensor(ids, device=model.device)
    image = tokens == image_token_id
    # the image token's id may lie beyond the embedding matrix: its embedding is replaced in any case
    embeddings: torch.Tensor = model.get_input_embeddings()(tokens.masked_fill(image, 0))
    embeddings = embeddings.expand(len(features), -1, -1).clone()
    embeddings[:, image] = features.to(embeddings.dtype)
    return embeddings


@torch.no_grad()
def prefill(
    model: "PreTrainedModel", ids: Sequence[int], image_token_id: int, images: Sequence[ImageInputs]
) -> Prefilled:
    """Keys, values and last logits of a prompt `ids` (T,) with each of the images."""
    features = encode_images(model, torch.cat([image.tensors["pixel_values"] for image in images]))
    prompts = embed_prompts(model, ids, image_token_id, features)
    output = model(inputs_embeds=prompts, use_cache=True, logits_to_keep=1)
    positions = torch.full((len(images),), len(ids), device=model.device)
    return Prefilled(output.past_key_values, output.logits[:, -1], positions)
