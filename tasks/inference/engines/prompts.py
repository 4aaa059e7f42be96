"""Prompts that a model can take: encoded, and refused when they are too long or show more than one image."""

from collections.abc import Sequence
from typing import Any

from tasks.errors import DataError
from tasks.model.llava.prompt import Turn, encode_prompt
from tasks.model.loading import LoadedModel, Processor


def encode_asked(loaded: LoadedModel, turns: Sequence[Turn], max_new_tokens: int) -> list[int]:
    """Ids of a dialogue up to the answer; raises DataError when the model cannot take it whole.

    Nothing is ever cut: a prompt without its image or its question has no meaningful answer.
    """
    token = loaded.image_token_id
    ids = encode_prompt(loaded.tokenizer, turns, token, 1)
    require_fitting(ids, loaded, loaded.model.config.text_config.max_position_embeddings, max_new_tokens)
    place = ids.index(token)
    return [*ids[:place], *[token] * loaded.image_tokens, *ids[place + 1 :]]


def require_fitting(ids: Sequence[int], processor: Processor, positions: int, max_new_tokens: int) -> None:
    """Raise DataError unless a prompt, its image as one token, fits into a model of `positions` beside its answer."""
    images = ids.count(processor.image_token_id)
    if images != 1:
        raise DataError(f"the dialogue holds {images} image placeholders instead of one")
    tokens, longest = len(ids) - 1 + processor.image_tokens, positions - max_new_tokens
    if tokens > longest:
        raise DataError(
            f"the prompt has {tokens} tokens, and the model takes {longest} beside {max_new_tokens} for the answer: "
            "ask with less history or fewer new tokens"
        )


def stop_tokens(loaded: LoadedModel) -> list[int]:
    """The tokens that end an answer, as the model directory says."""
    stops = loaded.model.generation_config.eos_token_id
    if stops is None:
        stops = loaded.tokenizer.eos_token_id
    return list(stops) if isinstance(stops, list) else [stops]


def text_of(tokenizer: Any, ids: Sequence[int]) -> str:
    """The text of generated tokens, without special tokens and white space around it."""
    text: str = tokenizer.decode(ids, skip_special_tokens=True)
    return text.strip()
