"""Read a server's answer: the text of a chat completion, what it cost, and how it ended."""

from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel, Field

from tasks.json_text import decode_json

# finish reasons: the answer reached its limit; the server withheld it
LENGTH, WITHHELD = "length", "content_filter"
# an answer that ended by itself
ENDED = (None, "stop", "eos_token", "stop_sequence")


@dataclass(frozen=True)
class Reply:
    """One answer; its numbers of tokens are None if the server reports no usage.

    `finish` is None if the answer ended by itself. `log_probabilities` are natural logarithms, one per token, if the
    server gives them.
    """

    text: str
    tokens: int | None = None
    prompt_tokens: int | None = None
    model: str | None = None
    finish: str | None = None
    log_probabilities: tuple[float, ...] = ()


class _Message(BaseModel):
    content: str | list[dict[str, Any]] | None = None
    refusal: str | None = None

    @property
    def text(self) -> str:
        parts = self.content if isinstance(self.content, list) else [{"text": self.content or ""}]
        return "".join(str(part.get("text") or "") for part in parts) or self.refusal or ""


class _Token(BaseModel):
    logprob: float


class _Tokens(BaseModel):
    content: list[_Token] | None = None


class _Choice(BaseModel):
    message: _Message
    finish_reason: str | None = None
    logprobs: _Tokens | None = None


class _Usage(BaseModel):
    prompt_tokens: int | None = Field(None, ge=0)
    completion_tokens: int | None = Field(None, ge=0)


class _Completion(BaseModel):
    choices: list[_Choice] = Field(min_length=1)
    usage: _Usage | None = None
    model: str | None = None


def parse_reply(content: bytes) -> Reply:
    """The answer in the body of a response; raises ValueError if it is no chat completion."""
    completion = _Completion.model_validate(decode_json(content))
    choice, usage = completion.choices[0], completion.usage or _Usage()
    known = choice.logprobs.content if choice.logprobs else None
    return Reply(
        text=_whole_characters(choice.message.text).strip(),
        tokens=usage.completion_tokens,
        prompt_tokens=usage.prompt_tokens,
        model=completion.model,
        finish=None if choice.finish_reason in ENDED else choice.finish_reason,
        log_probabilities=tuple(token.logprob for token in known or ()),
    )


def _whole_characters(text: str) -> str:
    """The text with half a character, which an answer that was cut off may end with, replaced by U+FFFD."""
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
