"""How many questions and images fit into memory at once, and which errors mean that memory ran out."""

from dataclasses import dataclass
from pathlib import Path

import torch
from transformers import PreTrainedModel

MEMORY_INFO = Path("/proc/meminfo")
# share of the free memory that a batch may plan with: activations and fragmentation take the rest
SHARE = 0.4
# larger batches are no faster on a GPU, and slower on a CPU, whose cache they overflow
MAX_QUESTIONS = {"cuda": 256, "cpu": 64}
OUT_OF_MEMORY = ("can't allocate memory", "not enough memory", "out of memory", "cannot allocate memory")


@dataclass(frozen=True)
class BatchLimit:
    """The limit of a batch: a number of questions, and bytes given the bytes that an image and a question take."""

    questions: int
    size_bytes: float = float("inf")
    image_bytes: int = 0
    question_bytes: int = 0

    def fits(self, images: int, questions: int) -> bool:
        """Whether a batch of this size fits; a single question always does."""
        size = images * self.image_bytes + questions * self.question_bytes
        return questions <= 1 or (questions <= self.questions and size <= self.size_bytes)


def batch_limit(
    model: PreTrainedModel, image_tokens: int, question_tokens: int, max_questions: int | None
) -> BatchLimit:
    """The batch limit from the memory that a model leaves free on its device.

    An image's shared prefix takes `image_tokens`, each question `question_tokens` of its own. With `max_questions` that
    number is the limit, and memory is assumed to be enough until it is not.
    """
    if max_questions is not None:
        return BatchLimit(max_questions)
    config = model.config.get_text_config()
    heads = getattr(config, "num_key_value_heads", None) or config.num_attention_heads
    head_size = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
    # keys and values of all layers
    token_bytes = 2 * config.num_hidden_layers * heads * head_size * model.dtype.itemsize
    # and a row of logits, twice in float32; attention scores are computed in small chunks
    question_bytes = question_tokens * token_bytes + 8 * config.vocab_size
    return BatchLimit(
        MAX_QUESTIONS.get(model.device.type, MAX_QUESTIONS["cpu"]),
        SHARE * free_bytes(model.device),
        image_tokens * token_bytes,
        question_bytes,
    )


def free_bytes(device: torch.device) -> int:
    """Free memory of a device in bytes, including what PyTorch has reserved and does not use."""
    if device.type == "cuda":
        unused = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
        return int(torch.cuda.mem_get_info(device)[0] + unused)
    rows = dict(line.split(":") for line in MEMORY_INFO.read_text().splitlines()) if MEMORY_INFO.exists() else {}
    return int(rows.get("MemAvailable", "4000000 kB").split()[0]) * 1024


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error means that GPU or main memory ran out."""
    if isinstance(error, MemoryError | torch.OutOfMemoryError):
        return True
    return isinstance(error, RuntimeError) and any(words in str(error).lower() for words in OUT_OF_MEMORY)


def release_unused(device: torch.device) -> None:
    """Return the memory that PyTorch has reserved and does not use to the device."""
    if device.type == "cuda":
        torch.cuda.empty_cache()
