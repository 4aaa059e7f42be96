"""Conversations in a model's own chat template, and which of their tokens are supervised.

The text of a conversation is, round by round, what the template writes up to the answer (its generation prompt), the
answer, and what ends it. It is tokenized as one, so that its tokens are those of transformers' `apply_chat_template`.

Two kinds of published templates write answers differently from how their models give them, and are taken all the same:
white space before an answer that the generation prompt lacks (LLaVA-OneVision), and no end token (LLaVA-NeXT). There an
answer follows the generation prompt and ends with the tokenizer's end token.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from tasks.errors import DataError, ModelError, shortened
from tasks.model.chat.control_tokens import special_tokens
from tasks.model.encoding import Turn, rounds_of
from tasks.prompt_text import IMAGE_PLACEHOLDER, without_placeholder

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

# a text that no template changes, to see what it writes around an answer
PROBE = "Answer0123456789"
Message = dict[str, Any]


class Composed(NamedTuple):
    """The text of a conversation, and where each answer with its end token starts and ends in it."""

    text: str
    answers: tuple[tuple[int, int], ...]


class Template(Protocol):
    """How a model's conversations are written; errors call it by `name`."""

    @property
    def name(self) -> str: ...

    def compose(self, turns: Sequence[Turn], has_images: bool) -> Composed:
        """The text of rounds, with the image token for each image; the last may be a question without its answer.

        Raises DataError if the turns do not alternate or the model does not take them.
        """
        ...


class AnswerForm(NamedTuple):
    """What a template writes between its generation prompt and an answer, to end the answer, and after that.

    `exact`: whether the template itself writes whole conversations so.
    """

    lead: str
    end: str
    rest: str
    exact: bool


@dataclass(frozen=True)
class ChatTemplate:
    """A Jinja template, rendered with the special tokens of a tokenizer; errors call it by `name`."""

    tokenizer: "PreTrainedTokenizerBase"
    source: str
    name: str = "The chat template"

    def compose(self, turns: Sequence[Turn], has_images: bool) -> Composed:
        rounds, open_question = rounds_of(turns)
        history: list[Message] = []
        text, rendered, answers = "", "", []
        for question, answer in rounds:
            history.append(_user_message(question, has_images))
            text += self._after(rendered, history) + self.form.lead
            start = len(text) - len(self.form.lead)
            text += answer + self.form.end
            answers.append((start, len(text)))
            text += self.form.rest
            history.append(_message("assistant", [{"type": "text", "text": answer}]))
            rendered = self._render(history)
            if self.form.exact and rendered != text:
                raise self._rewriting()
        if open_question is not None:
            text += self._after(rendered, [*history, _user_message(open_question, has_images)])
        return Composed(text, tuple(answers))

    @cached_property
    def form(self) -> AnswerForm:
        """How answers are written; ModelError if they do not follow the generation prompt."""
        question = _message("user", [{"type": "text", "text": "Question"}])
        asked = self._render([question], prompt=True)
        rendered = self._render([question, _message("assistant", [{"type": "text", "text": PROBE}])])
        before, found, after = rendered.partition(PROBE)
        follows = before.startswith(asked)
        if not found:
            raise ModelError(f"{self.name} leaves answers out: copy it from where the model was published.")
        if not (follows or before.split() == asked.split()):
            raise ModelError(
                f"{self.name} opens answers with {shortened(asked[-40:])} and writes given ones after "
                f"{shortened(before[-40:])}, so that it cannot be trained: give a model whose template writes both "
                "alike (of a thinking model, the instruct version)."
            )
        end = self._end_of(after)
        lead = before[len(asked) :] if follows else ""
        if end is None:
            return AnswerForm(lead, _end_token(self.tokenizer), "", exact=False)
        return AnswerForm(lead, after[:end], after[end:], follows)

    def _end_of(self, after: str) -> int | None:
        """Where the first special token ends in the text after an answer, or None if it has none."""
        found = re.search("|".join(map(re.escape, special_tokens(self.tokenizer))) or "(?!)", after)
        return found.end() if found else None

    def _after(self, rendered: str, history: list[Message]) -> str:
        asked = self._render(history, prompt=True)
        if not asked.startswith(rendered):
            raise self._rewriting()
        return asked[len(rendered) :]

    def _rewriting(self) -> ModelError:
        return ModelError(
            f"{self.name} changes an answer or an earlier turn of a conversation, so that the tokens of training would "
            "not be those of answering: give one that writes each turn as it is (chat_template.jinja)."
        )

    def _render(self, messages: list[Message], prompt: bool = False) -> str:
        text = self.tokenizer.apply_chat_template(
            messages, chat_template=self.source, add_generation_prompt=prompt, tokenize=False
        )
        return str(text)


@dataclass(frozen=True)
class PrefixTemplate:
    """PaliGemma's prompt: the images, the start token, one question and a line break; then its answer."""

    tokenizer: "PreTrainedTokenizerBase"
    image_token: str
    name: str = "PaliGemma's prompt"

    def compose(self, turns: Sequence[Turn], has_images: bool) -> Composed:
        rounds, open_question = rounds_of(turns)
        if len(rounds) + (open_question is not None) != 1:
            raise DataError(
                f"PaliGemma takes one question and its answer, and no dialogue of {len(turns)} turns: ask each "
                "question alone, without earlier rounds."
            )
        question, answer = rounds[0] if rounds else (open_question, None)
        asked, images = _split_images(str(question), has_images)
        text = f"{self.image_token * images}{self.tokenizer.bos_token}{asked}\n"
        if answer is None:
            return Composed(text, ())
        whole = text + answer + _end_token(self.tokenizer)
        return Composed(whole, ((len(text), len(whole)),))


def count_images(turns: Sequence[Turn]) -> int:
    """The number of image placeholders in the questions."""
    return sum(text.count(IMAGE_PLACEHOLDER) for role, text in turns if role == "human")


def _split_images(question: str, has_images: bool) -> tuple[str, int]:
    """A question without its image placeholders, and their number; without images a placeholder is text."""
    if not has_images or IMAGE_PLACEHOLDER not in question:
        return question, 0
    return without_placeholder(question), question.count(IMAGE_PLACEHOLDER)


def _user_message(question: str, has_images: bool) -> Message:
    asked, images = _split_images(question, has_images)
    return _message("user", [*[{"type": "image"}] * images, {"type": "text", "text": asked}])


def _message(role: str, content: Sequence[Mapping[str, str]]) -> Message:
    return {"role": role, "content": [dict(part) for part in content]}


def _end_token(tokenizer: "PreTrainedTokenizerBase") -> str:
    if not isinstance(tokenizer.eos_token, str):
        raise ModelError("The tokenizer has no end token: set eos_token in tokenizer_config.json.")
    return tokenizer.eos_token
