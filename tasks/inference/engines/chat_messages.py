"""The request for one answer: turns as messages, and the image as a PNG of exactly the pixels that a model would see.

This file is part of what identifies a cached answer.
"""

import base64
import io
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Literal

from tasks.files import digest_of
from tasks.prompt_text import without_placeholder
from tasks.settings import InferenceConfig

if TYPE_CHECKING:
    from PIL.Image import Image

ROLES = {"human": "user", "gpt": "assistant"}


def png_url(image: "Image") -> str:
    """A data URL of an 8-bit RGB image as PNG, without colour profile, transparent colour or other metadata."""
    plain = image.copy()
    # PIL would write them, and a server would change the pixels by them
    plain.info = {}
    file = io.BytesIO()
    plain.save(file, "PNG")
    return f"data:image/png;base64,{base64.b64encode(file.getvalue()).decode()}"


def messages_of(
    turns: Sequence[tuple[Literal["human", "gpt"], str]], image_url: str, detail: str | None = None
) -> list[dict[str, object]]:
    """The messages of a conversation; the image is the first part of the first one."""
    shown: dict[str, str] = {"url": image_url, **({"detail": detail} if detail else {})}
    messages: list[dict[str, object]] = [
        {"role": ROLES[role], "content": without_placeholder(text)} for role, text in turns
    ]
    first = {"type": "text", "text": messages[0]["content"]}
    messages[0]["content"] = [{"type": "image_url", "image_url": shown}, first]
    return messages


def request_body(config: InferenceConfig, key: str, messages: Sequence[Mapping[str, object]]) -> dict[str, object]:
    """The JSON of a request for the answer to the question `key`; sampled answers have a seed of their own."""
    api = config.api
    body: dict[str, object] = {
        "model": api.model,
        "messages": messages,
        api.token_limit: config.max_new_tokens,
        "temperature": config.temperature,
    }
    if config.temperature:
        body |= {"top_p": config.top_p, "seed": seed_of(config.seed, key)}
    elif api.logprobs:
        body["logprobs"] = True
    return {name: value for name, value in {**body, **api.extra}.items() if value is not None}


def seed_of(seed: int, key: str) -> int:
    """The 32-bit seed of one question, the same as for a model in this process."""
    return int(digest_of([seed, key])[:8], 16)
