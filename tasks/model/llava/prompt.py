"""The prompt of LLaVA 1.5 (template v1): one implementation for training, answering and chat.

    SYSTEM USER: <image>\\nquestion ASSISTANT: answer</s>USER: question ASSISTANT: answer</s>

A turn is a pair of a role, "human" or "gpt", and a text. The tokens equal those of the LLaVA reference (conversation
`vicuna_v1`, function `preprocess_v1`).
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from tasks.errors import DataError
from tasks.model.encoding import IGNORE_INDEX, IMAGE_INDEX, EncodedConversation, Turn, rounds_of
from tasks.prompt_text import IMAGE_PLACEHOLDER

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

SYSTEM = (
    "A chat between a curious user and an artificial intelligence assistant. "
    "The assistant gives helpful, detailed, and polite answers to the user's questions. "
)


def encode_conversation(
    tokenizer: "PreTrainedTokenizerBase", turns: Sequence[Turn], has_image: bool = True
) -> EncodedConversation:
    """Encode rounds of question and answer; raises DataError if the roles do not alternate.

    Without an image, "<image>" is encoded as ordinary text.
    """
    rounds, open_question = rounds_of(turns)
    if open_question is not None:
        raise DataError("Turns must alternate human, gpt up to the last, which must be a gpt turn.")
    # some tokenizers, such as Qwen's, have no start token
    ids = [] if tokenizer.bos_token_id is None else [tokenizer.bos_token_id]
    labels = [IGNORE_INDEX] * len(ids)
    for number, (question, answer) in enumerate(rounds):
        encoded = encode_round(tokenizer, number, question, answer, has_image)
        ids += encoded.input_ids
        labels += encoded.labels
    return EncodedConversation(ids, labels)


def encode_round(
    tokenizer: "PreTrainedTokenizerBase", number: int, question: str, answer: str, has_image: bool = True
) -> EncodedConversation:
    """Encode one round independently of the others; `number` is 0 for the first."""
    prompt_ids = _encode(tokenizer, round_text(number, question), number > 0, has_image)
    round_ids = _encode(tokenizer, round_text(number, question, answer), number > 0, has_image)
    ids = [*round_ids, tokenizer.eos_token_id]
    return EncodedConversation(ids, [IGNORE_INDEX] * len(prompt_ids) + ids[len(prompt_ids) :])


def encode_prompt(tokenizer: "PreTrainedTokenizerBase", turns: Sequence[Turn], has_image: bool = True) -> list[int]:
    """Encode a dialogue that ends with a question, up to "ASSISTANT:", with IMAGE_INDEX for each image."""
    *before, (role, question) = turns
    if role != "human":
        raise DataError("A prompt must end with a human turn.")
    ids = encode_conversation(tokenizer, before, has_image).input_ids
    number = len(before) // 2
    return ids + _encode(tokenizer, round_text(number, question), number > 0, has_image)


def round_text(number: int, question: str, answer: str | None = None) -> str:
    """The text of a round, 0 for the first, with its answer or up to it."""
    # the reference leaves out the spaces of an empty question
    asked = f"USER: {question} ASSISTANT:" if question else "USER:ASSISTANT:"
    text = f"{SYSTEM if number == 0 else ''}{asked}"
    return text if answer is None else f"{text} {answer}"


def _encode(tokenizer: "PreTrainedTokenizerBase", text: str, continued: bool, has_image: bool) -> list[int]:
    """Ids of a round; a `continued` round follows an end token, without the space that a tokenizer adds at a start."""
    if not has_image and IMAGE_PLACEHOLDER in text:
        return _encode_literally(tokenizer, text, continued)
    ids: list[int] = []
    for position, part in enumerate(text.split(IMAGE_PLACEHOLDER)):
        if position:
            ids.append(IMAGE_INDEX)
        after_end = continued and not position
        start = tokenizer.eos_token if after_end else _lost_space(tokenizer, part)
        ids += _ids(tokenizer, start + part)[1 if after_end else 0 :]
    return ids


def _ids(tokenizer: "PreTrainedTokenizerBase", text: str, **options: bool) -> list[int]:
    # not verbose: callers handle texts that are too long
    return list(tokenizer.encode(text, add_special_tokens=False, verbose=False, **options))


def _lost_space(tokenizer: "PreTrainedTokenizerBase", text: str) -> str:
    """The leading space that a tokenizer drops, since it adds one itself; sentencepiece keeps both."""
    if not text.startswith(" "):
        return ""
    with_space, without = (_ids(tokenizer, some) for some in (" a", "a"))
    return " " if with_space == without else ""


def _encode_literally(tokenizer: "PreTrainedTokenizerBase", text: str, continued: bool) -> list[int]:
    """Ids of a round in which <image> is text, although the tokenizer has a token of that name."""
    # a line break never merges with the next token, and absorbs the added space
    start = "\n" if continued else ""
    return _ids(tokenizer, start + text, split_special_tokens=True)[len(_ids(tokenizer, start)) :]
