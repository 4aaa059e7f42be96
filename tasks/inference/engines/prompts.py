"""The prompt of a question as token ids that fit the model's context.

Nothing is ever truncated: a prompt without its image or its question has no meaningful answer.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tasks.errors import DataError
from tasks.model.encoding import IMAGE_INDEX, Turn
from tasks.model.inputs import ImageInputs
from tasks.model.processor import Processor

if TYPE_CHECKING:
    from tasks.model.loading import LoadedModel


@dataclass(frozen=True)
class Prompt:
    """A prompt's token ids up to and including its image, and after it."""

    shown: list[int]
    asked: list[int]

    @property
    def ids(self) -> list[int]:
        """All token ids."""
        return self.shown + self.asked


def encode_question(loaded: "LoadedModel", turns: Sequence[Turn], image: ImageInputs, max_new_tokens: int) -> Prompt:
    """The prompt of a dialogue up to the answer, with all tokens of its image.

    Raises DataError if the prompt does not fit or does not show exactly one image.
    """
    ids = loaded.processor.encode_prompt(turns)
    require_fitting_prompt(ids, len(image.token_ids), loaded.positions, max_new_tokens)
    index = ids.index(IMAGE_INDEX)
    return Prompt([*ids[:index], *image.token_ids], ids[index + 1 :])


def require_fitting_prompt(ids: Sequence[int], image_tokens: int, positions: int, max_new_tokens: int) -> None:
    """Raise DataError unless prompt and answer fit into `positions`; `ids` hold IMAGE_INDEX for the image."""
    images = ids.count(IMAGE_INDEX)
    if images != 1:
        raise DataError(f"the dialogue holds {images} image placeholders instead of one")
    tokens, longest = len(ids) - 1 + image_tokens, positions - max_new_tokens
    if tokens > longest:
        raise DataError(
            f"the prompt has {tokens} tokens, and the model takes {longest} besides {max_new_tokens} for the answer: "
            "ask with less history or fewer new tokens"
        )


def cached_prompt(processor: Processor, turns: Sequence[Turn]) -> list[int]:
    """What identifies a prompt in the answer cache: its token ids, the image as one of its tokens."""
    return [processor.image_token_id if token == IMAGE_INDEX else token for token in processor.encode_prompt(turns)]
