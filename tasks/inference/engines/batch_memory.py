"""How many questions and images fit into memory at once, and how running out of it shows."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

MEMORY_INFO = Path("/proc/meminfo")
# of what is free: activations and the allocator's cuttings take their part as well
SHARE = 0.4
# more makes a GPU no faster, and a processor slower: what it works on leaves its cache
MOST_QUESTIONS = {"cuda": 256, "cpu": 64}
SHORTAGES = ("can't allocate memory", "not enough memory", "out of memory", "cannot allocate memory")


@dataclass(frozen=True)
class Room:
    """How much a batch may hold: questions, and bytes by what an image and a question take."""

    questions: int
    size_bytes: float = float("inf")
    image_bytes: int = 0
    question_bytes: int = 0

    def holds(self, images: int, questions: int) -> bool:
        """Whether a batch of so many fits; one question always counts as fitting."""
        size = images * self.image_bytes + questions * self.question_bytes
        return questions <= 1 or (questions <= self.questions and size <= self.size_bytes)


def room_for(model: Any, prompt_tokens: int, own_tokens: int, most: int | None) -> Room:
    """The room that a model leaves on its device, for images of `prompt_tokens` and questions of `own_tokens`.

    `most` caps the questions; where it is given, memory is taken to suffice until it does not.
    """
    if most is not None:
        return Room(most)
    config = model.config.get_text_config()
    heads = getattr(config, "num_key_value_heads", None) or config.num_attention_heads
    head_size = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
    number = model.dtype.itemsize
    token_bytes = 2 * config.num_hidden_layers * heads * head_size * number
    # the logits' row beside keys and values; scores are computed in small pieces
    question = own_tokens * token_bytes + 8 * config.vocab_size
    return Room(
        MOST_QUESTIONS.get(model.device.type, 64),
        SHARE * free_bytes(model.device),
        prompt_tokens * token_bytes,
        question,
    )


def free_bytes(device: torch.device) -> int:
    """Bytes that can be had on a device; what PyTorch holds and does not use counts as free."""
    if device.type == "cuda":
        unused = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
        return int(torch.cuda.mem_get_info(device)[0]) + unused
    rows = dict(line.split(":") for line in MEMORY_INFO.read_text().splitlines()) if MEMORY_INFO.exists() else {}
    return int(rows.get("MemAvailable", "4000000 kB").split()[0]) * 1024


def is_shortage(error: BaseException) -> bool:
    """Whether an error says that memory has run out, on a GPU or beside it."""
    if isinstance(error, MemoryError | torch.OutOfMemoryError):
        return True
    return isinstance(error, RuntimeError) and any(words in str(error).lower() for words in SHORTAGES)


def give_back(device: torch.device) -> None:
    """Hand what PyTorch holds and does not use back to the device."""
    if device.type == "cuda":
        torch.cuda.empty_cache()
