"""Compare the merged model's answers with those of base and checkpoint on random images, all in float32."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from PIL import Image

from tasks.choices import Projector
from tasks.errors import ModelError
from tasks.model.adapters import apply_adapter
from tasks.model.families import family_of
from tasks.model.inputs import batch_of, prompt_row
from tasks.model.processor import Processor
from tasks.paths import ADAPTER_CONFIG
from tasks.prompt_text import with_placeholder

if TYPE_CHECKING:
    from peft import PeftModel
    from transformers import PreTrainedModel

QUESTIONS = ("Describe this image.", "Is it a rural or an urban area?", "How many buildings are there?")
ANSWER_TOKENS = 8
SIDE = 64
# Allowed change of a logit, in standard deviations of the logits, if each weight was rounded once to that dtype.
# Measured with the reference's model: float32 7e-6, float16 9e-3; bfloat16 has an eighth of float16's precision. In
# float32 the order of sums changes when a LoRA that is large relative to its weights is merged: up to 1e-4 measured.
ROUNDING = {"F32": 1e-3, "F16": 0.03, "BF16": 0.25}


def require_same_answers(base: Path, checkpoint: Path, merged: Path, projector: Projector = "adapter") -> None:
    """Raise ModelError unless the merged model answers as base and adapter, or the full checkpoint, do.

    No logit may differ by more than the rounding of the merged weights explains, and the most probable token must be
    the same unless the second is within that difference.
    """
    is_adapter = (checkpoint / ADAPTER_CONFIG).is_file()
    family = family_of(base)
    processor = family.load_processor(base, checkpoint if is_adapter else None)
    tuned = family.load_base(base if is_adapter else checkpoint, torch.float32)
    if is_adapter:
        tuned = apply_adapter(tuned, checkpoint, family.names, projector)
    expected = list(_answers(tuned, processor))
    spread = torch.stack([logits.std() for _, logits in expected]).mean()
    allowed = float(spread) * ROUNDING[_narrowest(merged)]
    given = [tokens for tokens, _ in expected]
    found = list(_answers(family.load_base(merged, torch.float32), family.load_processor(merged), given))
    for question, (_, old), (_, new) in zip(QUESTIONS, expected, found, strict=True):
        largest = float((old - new).abs().max())
        if largest > allowed or _other_token(old, new, allowed):
            raise ModelError(
                f"{merged} answers {question!r} differently from {checkpoint} on {base}: a logit differs by "
                f"{largest:.2g}, rounding explains {allowed:.2g}; fetch base and checkpoint again and repeat the merge."
            )


def _other_token(old: torch.Tensor, new: torch.Tensor, allowed: float) -> bool:
    best = old.topk(2).values
    clear = best[..., 0] - best[..., 1] > 2 * allowed
    return bool((old.argmax(-1) != new.argmax(-1))[clear].any())


def _narrowest(merged: Path) -> str:
    """The safetensors dtype of the merged weights with the least precision."""
    found = {tensor.dtype for tensor in family_of(merged).read_stored(merged).tensors.values()}
    return next(code for code in ("BF16", "F16", "F32") if code in found)


def _answers(
    model: "PreTrainedModel | PeftModel", processor: Processor, given: list[list[int]] | None = None
) -> Iterator[tuple[list[int], torch.Tensor]]:
    """For each question the answer's tokens, greedy or `given`, and float32 logits (tokens, vocabulary) before each."""
    generator = torch.Generator().manual_seed(28)
    for number, question in enumerate(QUESTIONS):
        image = torch.randint(0, 256, (SIDE, SIDE, 3), generator=generator, dtype=torch.uint8).numpy()
        shown = processor.prepare(Image.fromarray(image))
        prompt = processor.encode_prompt([("human", with_placeholder(question))])
        tokens: list[int] = []
        rows = []
        for step in range(ANSWER_TOKENS):
            row = _next_logits(model, batch_of([prompt_row([*prompt, *tokens], [shown])], processor))
            rows.append(row)
            tokens.append(given[number][step] if given else _most_probable(row, processor.image_token_id))
        yield tokens, torch.stack(rows)


def _most_probable(logits: torch.Tensor, image_token_id: int) -> int:
    """The token with the highest of the logits (vocabulary,); never the image token, which needs pixels."""
    return next(token for token in logits.topk(2).indices.tolist() if token != image_token_id)


@torch.inference_mode()
def _next_logits(model: "PreTrainedModel | PeftModel", batch: dict[str, torch.Tensor]) -> torch.Tensor:
    logits: torch.Tensor = model(**batch, logits_to_keep=1).logits
    return logits[0, -1].float()
