"""Token ids and labels of a conversation, independent of the model family."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tasks.errors import DataError

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

# the id of an image in input_ids, and the label of a token without loss
IMAGE_INDEX = -200
IGNORE_INDEX = -100

# role, "human" or "gpt", and text
Turn = tuple[str, str]


@dataclass(frozen=True)
class EncodedConversation:
    """Token ids, IMAGE_INDEX for each image, and as many labels: IGNORE_INDEX except for the answers."""

    input_ids: list[int]
    labels: list[int]

    @property
    def supervised_tokens(self) -> int:
        return sum(label != IGNORE_INDEX for label in self.labels)


def rounds_of(turns: Sequence[Turn]) -> tuple[list[tuple[str, str]], str | None]:
    """Rounds of question and answer, and the last question if it has no answer; DataError unless roles alternate."""
    roles = [role for role, _ in turns]
    if roles != (["human", "gpt"] * len(turns))[: len(turns)]:
        raise DataError(f"Turns must alternate human, gpt from the first on, not {', '.join(roles)}.")
    texts = [text for _, text in turns]
    rounds = list(zip(texts[::2], texts[1::2], strict=False))
    return rounds, texts[-1] if len(texts) % 2 else None


def padding_id(tokenizer: "PreTrainedTokenizerBase") -> int:
    """The token that pads a batch; any other token if the tokenizer has none, since padding is masked."""
    ids = (tokenizer.pad_token_id, tokenizer.unk_token_id, tokenizer.eos_token_id)
    return int(next(token for token in ids if token is not None))


def expand_images(ids: Sequence[int], images: Sequence[Sequence[int]]) -> list[int]:
    """Replace each IMAGE_INDEX by the token ids of its image, in order; raises ValueError if their numbers differ."""
    if (placeholders := ids.count(IMAGE_INDEX)) != len(images):
        raise ValueError(f"{len(images)} images for {placeholders} placeholders")
    expanded: list[int] = []
    remaining = iter(images)
    for token in ids:
        expanded += next(remaining) if token == IMAGE_INDEX else [token]
    return expanded
