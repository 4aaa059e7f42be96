"""What turns text and images into a model's inputs: the protocol that each family implements."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from tasks.model.encoding import EncodedConversation, Turn
from tasks.model.inputs import ImageInputs

if TYPE_CHECKING:
    import torch
    from PIL.Image import Image
    from transformers import PreTrainedTokenizerBase


class Processor(Protocol):
    """Prompts and image inputs of one model directory, as the model was trained with."""

    @property
    def tokenizer(self) -> "PreTrainedTokenizerBase":
        """The tokenizer."""
        ...

    @property
    def image_token_id(self) -> int:
        """The id of the tokens whose embeddings are replaced by an image's features."""
        ...

    @property
    def padding_id(self) -> int:
        """The id of the token that pads a batch."""
        ...

    @property
    def image_tokens(self) -> int | None:
        """The number of tokens of each image; None if it depends on the image's size."""
        ...

    @property
    def several_images(self) -> bool:
        """Whether a conversation may show several images, each prepared as one alone is."""
        ...

    @property
    def dialogues(self) -> bool:
        """Whether a conversation may have more than one round of question and answer."""
        ...

    def encode_conversation(self, turns: Sequence[Turn], images: int = 1) -> EncodedConversation:
        """Encode rounds of question and answer, with IMAGE_INDEX for each image and labels for the answers.

        Without images, "<image>" is encoded as ordinary text. Raises DataError if the roles do not alternate, or the
        placeholders are not as many as `images`.
        """
        ...

    def encode_prompt(self, turns: Sequence[Turn], images: int = 1) -> list[int]:
        """Encode a dialogue that ends with a question, up to the answer's first token; IMAGE_INDEX for each image."""
        ...

    def render(self, turns: Sequence[Turn]) -> str:
        """The text of a conversation in the model's template, with "<image>" for each image."""
        ...

    def count_tokens(self, size: tuple[int, int]) -> int:
        """The number of tokens of an image of (width, height) pixels."""
        ...

    def prepare(self, image: "Image") -> ImageInputs:
        """Scale and normalise an RGB image; thread-safe."""
        ...

    def blank_image(self) -> ImageInputs:
        """A black image, for batches without images: all processes must run the same modules."""
        ...

    def batch_images(self, images: Sequence[Sequence[ImageInputs]]) -> "dict[str, torch.Tensor]":
        """The image tensors of a batch by name; `images` holds those of each row."""
        ...

    def token_types(self, batch: "Mapping[str, torch.Tensor]") -> "dict[str, torch.Tensor]":
        """Further inputs of shape (B, T) that follow from `input_ids`, `attention_mask` and `labels` of a batch."""
        ...

    def save(self, folder: Path) -> None:
        """Write tokenizer, image processor and chat template in transformers' format."""
        ...
