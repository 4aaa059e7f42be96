"""The Processor of the generic families: transformers' own processor, tokenizing conversations with labels."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tasks.errors import DataError, ModelError, shortened
from tasks.model.chat.control_tokens import ControlTokens
from tasks.model.chat.hub_processor import VIDEO_SETTINGS, load_hub_processor, video_settings
from tasks.model.chat.loading import image_token_of
from tasks.model.chat.template import ChatTemplate, Composed, PrefixTemplate, Template, count_images
from tasks.model.configuration import CONFIG, make_portable, read_settings, readable, write_settings
from tasks.model.encoding import IGNORE_INDEX, IMAGE_INDEX, EncodedConversation, Turn, padding_id
from tasks.model.inputs import ImageInputs
from tasks.prompt_text import IMAGE_PLACEHOLDER

if TYPE_CHECKING:
    import torch
    from PIL.Image import Image
    from transformers import PreTrainedTokenizerBase, ProcessorMixin

# what image processors return for the text alone
NOT_INPUTS = ("rows", "cols", "num_patches")
TRIAL_SIZE = (32, 24)
# more tokens than any model takes of one small image
MAX_TRIAL_TOKENS = 1 << 16


@dataclass(frozen=True)
class ChatProcessor:
    """Transformers' processor of a model, its template, and the settings of its video processor, to be kept.

    `several_images` is whether a conversation may show more than one, `dialogues` whether it may have several rounds.
    """

    hub: "ProcessorMixin"
    template: Template
    video: Mapping[str, Any] | None = None
    several_images: bool = True
    dialogues: bool = True

    @property
    def tokenizer(self) -> "PreTrainedTokenizerBase":
        return self.hub.tokenizer

    @property
    def image_token_id(self) -> int:
        return int(self.hub.image_token_id)

    @property
    def padding_id(self) -> int:
        return padding_id(self.tokenizer)

    @property
    def image_tokens(self) -> int | None:
        # PaliGemma scales every image to one size
        return int(self.hub.image_seq_length) if isinstance(self.template, PrefixTemplate) else None

    def encode_conversation(self, turns: Sequence[Turn], images: int = 1) -> EncodedConversation:
        composed = self._composed(turns, images)
        if len(turns) % 2:
            raise DataError("A conversation must end with a gpt turn.")
        ids = self._ids(composed.text)
        labels = [IGNORE_INDEX] * len(ids)
        positions = list(self._positions(ids, composed.text, chain(*composed.answers)))
        for first, last in zip(positions[::2], positions[1::2], strict=True):
            labels[first:last] = ids[first:last]
        return EncodedConversation(self._with_images(ids, images), labels)

    def encode_prompt(self, turns: Sequence[Turn], images: int = 1) -> list[int]:
        if not len(turns) % 2:
            raise DataError("A prompt must end with a human turn.")
        return self._with_images(self._ids(self._composed(turns, images).text), images)

    def render(self, turns: Sequence[Turn]) -> str:
        text = self.template.compose(turns, count_images(turns) > 0).text
        return text.replace(self.hub.image_token, IMAGE_PLACEHOLDER)

    def count_tokens(self, size: tuple[int, int]) -> int:
        from PIL import Image

        if not self._counts_exactly:
            return len(self.prepare(Image.new("RGB", size)).token_ids)
        width, height = size
        with _accepted(size):
            return int(self.hub._get_num_multimodal_tokens(image_sizes=[[height, width]]).num_image_tokens[0])

    def prepare(self, image: "Image") -> ImageInputs:
        with _accepted(image.size):
            found = self.hub.image_processor(images=[image], return_tensors="pt", **self._image_options)
        ids = self._control_tokens.encode(self.hub.replace_image_token(found, image_idx=0))
        return ImageInputs(ids, {name: value for name, value in found.items() if name not in NOT_INPUTS})

    def blank_image(self) -> ImageInputs:
        from PIL import Image

        return self.prepare(Image.new("RGB", TRIAL_SIZE))

    def batch_images(self, images: Sequence[Sequence[ImageInputs]]) -> "dict[str, torch.Tensor]":
        from tasks.model.chat.image_batches import batch_images

        return batch_images([[image.tensors for image in row] for row in images])

    def token_types(self, batch: "Mapping[str, torch.Tensor]") -> "dict[str, torch.Tensor]":
        """`mm_token_type_ids` (1: image) of Qwen, `token_type_ids` (1: answer) of PaliGemma, or none."""
        import torch

        if isinstance(self.template, PrefixTemplate):
            labels = batch.get("labels")
            answers = torch.zeros_like(batch["input_ids"]) if labels is None else (labels != IGNORE_INDEX).long()
            return {"token_type_ids": answers}
        if not getattr(self.hub, "return_mm_token_type_ids", False):
            return {}
        tokens = torch.tensor(self.hub.image_token_ids)
        return {"mm_token_type_ids": torch.isin(batch["input_ids"], tokens.to(batch["input_ids"].device)).long()}

    def save(self, folder: Path) -> None:
        self.hub.save_pretrained(folder)
        # also where older versions look for it
        self.hub.image_processor.save_pretrained(folder)
        if self.video is not None:
            write_settings(folder / VIDEO_SETTINGS, dict(self.video))
        make_portable(folder)

    def _composed(self, turns: Sequence[Turn], images: int) -> Composed:
        found = count_images(turns)
        if images and found != images:
            raise DataError(f"The questions hold {found} image placeholders for {images} images: give one for each.")
        if images > 1 and not self.several_images:
            raise DataError(f"{type(self.hub).__name__} prepares one image in a conversation, not {images}.")
        marked = [(role, self._marked(text, role == "human" and images > 0)) for role, text in turns]
        return self.template.compose(marked, images > 0)

    def _marked(self, text: str, has_images: bool) -> str:
        """A text whose control tokens are marked, to be encoded as text; but not the placeholders of images."""
        parts = text.split(IMAGE_PLACEHOLDER) if has_images else [text]
        return IMAGE_PLACEHOLDER.join(map(self._control_tokens.mark, parts))

    @cached_property
    def _control_tokens(self) -> ControlTokens:
        source = self.template.source if isinstance(self.template, ChatTemplate) else ""
        return ControlTokens(self.tokenizer, source)

    @cached_property
    def _counts_exactly(self) -> bool:
        """Whether transformers counts an image's tokens as it makes them.

        Idefics3's count is off for some images if they are not scaled to a whole number of tiles.
        """
        tile = getattr(self.hub.image_processor, "max_image_size", None)
        return tile is None or self.hub.image_processor.size["longest_edge"] % tile["longest_edge"] == 0

    @cached_property
    def _image_options(self) -> dict[str, Any]:
        return dict(getattr(type(self.hub), "images_kwargs", {}))

    def _ids(self, text: str) -> list[int]:
        """Token ids of a rendered text, after the start token if the tokenizer wants one and the text has none."""
        ids = self._control_tokens.encode(text)
        return ids if ids[: len(self._start)] == self._start else [*self._start, *ids]

    @cached_property
    def _start(self) -> list[int]:
        """What the tokenizer puts before every text."""
        plain = self.tokenizer.encode("A", add_special_tokens=False)
        whole = self.tokenizer.encode("A")
        return whole[: whole.index(plain[0])]

    def _positions(self, ids: list[int], text: str, places: Iterable[int]) -> Iterator[int]:
        """The number of tokens before each of these places in the text of a conversation, in order."""
        position = before = 0
        for place in places:
            # each piece alone: to encode all that is before each place takes quadratic time
            piece = self._control_tokens.encode(text[before:place], continued=True) if position else []
            follows = bool(piece) and ids[position : position + len(piece)] == piece
            position = position + len(piece) if follows else self._position(ids, text[:place])
            before = place
            yield position

    def _position(self, ids: list[int], text: str) -> int:
        """The number of tokens of the first part of a conversation; raises DataError if it has others by itself."""
        part = self._ids(text)
        if ids[: len(part)] != part:
            raise DataError(
                "The tokens of a conversation are not those of its prompt and answer, one after the other: an answer "
                "must not start with white space."
            )
        return len(part)

    def _with_images(self, ids: list[int], images: int) -> list[int]:
        found = [IMAGE_INDEX if token == self.image_token_id else token for token in ids]
        if found.count(IMAGE_INDEX) != images:
            raise ModelError(
                f"{self.template.name} writes {found.count(IMAGE_INDEX)} images for {images}: give the template "
                "that was published with the model."
            )
        return found


@contextmanager
def _accepted(size: tuple[int, int]) -> Iterator[None]:
    """Turn the ValueError of an image processor into a DataError that gives the image's size."""
    try:
        yield
    except ValueError as error:
        width, height = size
        raise DataError(
            f"The model does not take an image of {width} x {height} pixels ({error}): crop it or leave it out."
        ) from None


def load_chat_processor(
    folder: Path, adapter: Path | None = None, several_images: bool = True, dialogues: bool = True
) -> ChatProcessor:
    """Load the processor of a model directory; images are prepared as the adapter says, or else the model.

    A trial on a small image and a short dialogue finds damaged settings: raises ModelError.
    """
    hub = load_hub_processor(folder, adapter)
    processor = ChatProcessor(hub, _template_of(hub, folder), video_settings(folder), several_images, dialogues)
    _try_conversation(folder, processor)
    _try_image(adapter or folder, processor)
    return processor


def _template_of(hub: "ProcessorMixin", folder: Path) -> Template:
    if type(hub).__name__ == "PaliGemmaProcessor":
        return PrefixTemplate(hub.tokenizer, hub.image_token)
    source = hub.chat_template or hub.tokenizer.chat_template
    source = source.get("default") if isinstance(source, dict) else source
    if not isinstance(source, str):
        raise ModelError(
            f"{folder} lacks a chat template (chat_template.jinja): copy it from where the model was published."
        )
    return ChatTemplate(hub.tokenizer, source, f"The chat template of {folder}")


def _try_conversation(folder: Path, processor: ChatProcessor) -> None:
    """Raise ModelError unless a dialogue becomes tokens that the model has."""
    with readable("tokenizer or chat template", folder):
        ids = processor.encode_conversation([("human", f"{IMAGE_PLACEHOLDER}\nA"), ("gpt", "B")]).input_ids
        config = read_settings(folder / CONFIG) if (folder / CONFIG).is_file() else {}
        _require_same_image_token(folder, config, processor.image_token_id)
        vocabulary = (config.get("text_config") or config).get("vocab_size")
        known = {*ids, processor.padding_id, processor.image_token_id} - {IMAGE_INDEX}
        if isinstance(vocabulary, int) and not all(0 <= token < vocabulary for token in known):
            raise ValueError(f"it makes token {max(known)}, beyond the model's {vocabulary}")


def _require_same_image_token(folder: Path, config: Mapping[str, Any], token: int) -> None:
    """Raise ModelError if the model's image token differs from the one that the processor writes."""
    # a processor may be saved without a model
    expected = image_token_of(config, folder) if "model_type" in config else token
    if expected != token:
        raise ModelError(
            f"The image token of {folder}/{CONFIG} is {shortened(expected)}, and its processor's is {token}: copy both "
            "from where the model was published."
        )


def _try_image(folder: Path, processor: ChatProcessor) -> None:
    """Raise ModelError unless an image becomes finite pixels and as many tokens as were counted."""
    import numpy as np
    import torch
    from PIL import Image

    with readable("image handling", folder):
        try:
            count = processor.count_tokens(TRIAL_SIZE)
            if count > MAX_TRIAL_TOKENS:
                raise ValueError(f"it makes {count} tokens of a small image")
            with np.errstate(all="ignore"):
                inputs = processor.prepare(Image.new("RGB", TRIAL_SIZE, "white"))
        except DataError as error:
            raise ValueError(str(error)) from None
        if not torch.isfinite(inputs.tensors["pixel_values"]).all():
            raise ValueError("it makes pixels that are NaN or infinite: image_std may hold a zero")
        if len(inputs.token_ids) != count:
            raise ValueError(f"it makes {len(inputs.token_ids)} tokens of an image, and {count} were counted")
