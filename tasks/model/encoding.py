"""Token ids and labels of a conversation, independent of the model family."""

from collections.abc import Sequence
from dataclasses import dataclass

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


def expand_images(ids: Sequence[int], images: Sequence[Sequence[int]]) -> list[int]:
    """Replace each IMAGE_INDEX by the token ids of its image, in order; raises ValueError if their numbers differ."""
    expanded: list[int] = []
    remaining = iter(images)
    for token in ids:
        expanded += next(remaining) if token == IMAGE_INDEX else [token]
    return expanded
