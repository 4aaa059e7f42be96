"""The settings `inference.api`: a model behind an OpenAI-compatible server. The key is never a setting."""

import re
from typing import Literal
from urllib.parse import urlsplit

from pydantic import Field, JsonValue, field_validator

from tasks.settings.base import Section

# what a request holds already, and what would change the form of its answer
RESERVED = frozenset({"model", "messages", "stream", "stream_options", "n", "logprobs", "top_logprobs"})
# `extra` may leave these out, for models that refuse them; their values are settings of the section `inference`
REMOVABLE = frozenset({"temperature", "top_p", "seed", "max_tokens", "max_completion_tokens"})
SECRET_NAME = re.compile(r"(?i)(api|access|secret|private)[_-]?key|^key$|password|authorization|bearer|credential")


class ApiConfig(Section):
    """A served model and how it is asked; fields outside `content` change only speed and accounts, not the answers."""

    base_url: str | None = Field(
        None,
        pattern=r"^https?://[^/?#@\s]+(/[^?#@\s]*)?$",
        description="http or https URL that /chat/completions is below, such as http://localhost:8000/v1, without "
        "credentials; the key is read from the environment variable RSVLM_API_KEY or OPENAI_API_KEY. Empty: only with "
        "other engines.",
    )
    model: str | None = Field(
        None, min_length=1, description="Name under which the server knows the model. Empty: only with other engines."
    )
    revision: str | None = Field(
        None,
        min_length=1,
        description="Your label of the weights behind the name, such as a checkpoint or a date: answers of another "
        "revision are not reused. Empty: the name alone identifies them.",
    )
    concurrency: int = Field(8, ge=1, le=1024, description="Maximum number of requests at the same time.")
    requests_per_minute: float | None = Field(
        None, gt=0, le=1_000_000, description="Maximum number of requests per minute, with retries. Empty: no limit."
    )
    retries: int = Field(
        6,
        ge=0,
        le=100,
        description="How often a question is asked again if the server is busy, fails or cannot be reached.",
    )
    timeout_s: float = Field(120, gt=0, le=3600, description="Longest time to wait for one answer in seconds.")
    input_price: float | None = Field(
        None, ge=0, description="Price of a million prompt tokens, in any currency. Empty: no cost is computed."
    )
    output_price: float | None = Field(
        None, ge=0, description="Price of a million answer tokens, in the same currency. Empty: no cost is computed."
    )
    image_detail: Literal["auto", "low", "high"] | None = Field(
        None, description="The field `detail` of an image, for servers that scale images by it. Empty: not sent."
    )
    token_limit: Literal["max_tokens", "max_completion_tokens"] = Field(
        "max_tokens", description="Field of the request that carries max_new_tokens."
    )
    logprobs: bool = Field(
        False, description="Ask for the log-probabilities of greedy answers, which give their probability."
    )
    extra: dict[str, JsonValue] = Field(
        {},
        description="Further fields of every request, such as {chat_template_kwargs: {enable_thinking: false}}; null "
        "leaves out a field that a model refuses, such as {temperature: null}.",
    )

    @field_validator("base_url")
    @classmethod
    def _is_an_address(cls, base_url: str | None) -> str | None:
        try:
            # reading the port checks it
            _ = urlsplit(base_url or "").port
        except ValueError:
            raise ValueError("it has no valid host or port: write it as http://localhost:8000/v1") from None
        return base_url

    @field_validator("extra")
    @classmethod
    def _adds_no_reserved_field(cls, extra: dict[str, JsonValue]) -> dict[str, JsonValue]:
        for name, value in extra.items():
            # no value is shown: it may be what must not be
            if SECRET_NAME.search(name):
                raise ValueError(f"{name} may be secret: set the environment variable RSVLM_API_KEY instead")
            if name in RESERVED or (name in REMOVABLE and value is not None):
                raise ValueError(f"{name} is set by other settings of inference: leave it out of extra")
        return extra

    @property
    def content(self) -> dict[str, object]:
        """The fields that determine the answers, by name in the section `inference`; the address does not."""
        kept = self.model_dump(mode="json", include={"model", "revision", "image_detail", "logprobs", "extra"})
        return {f"api.{name}": value for name, value in kept.items() if value or name == "model"}

    @property
    def identity(self) -> list[str | None]:
        """What identifies the served model, as weights identify a model directory."""
        return ["served", self.model, self.revision]
