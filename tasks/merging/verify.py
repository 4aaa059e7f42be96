"""Answers of the merged model beside those of base and checkpoint, on a few drawn images, all computed in fp32."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch

from tasks.errors import ModelError
from tasks.model.adapters import apply_adapter
from tasks.model.llava.prompt import encode_prompt
from tasks.model.llava.tensor_names import Projector
from tasks.model.loading import Reader, load_base, load_reader
from tasks.model.model_tensors import read_base
from tasks.paths import ADAPTER_CONFIG
from tasks.prompt_text import with_placeholder

QUESTIONS = ("Describe this image.", "Is it a rural or an urban area?", "How many buildings are there?")
ANSWER_TOKENS = 8
SIDE = 64
# How far a logit may move, in units of the logits' spread, where each weight was rounded once to such a type. Measured
# on the reference's model: fp32 7e-6, fp16 9e-3; bf16 keeps an eighth of fp16's precision. In fp32 a LoRA that is large
# beside its weights is summed in another order when it is merged: 1e-4 was seen.
ROUNDING = {"F32": 1e-3, "F16": 0.03, "BF16": 0.25}


def require_same_answers(base: Path, checkpoint: Path, merged: Path, projector: Projector = "adapter") -> None:
    """Raise ModelError unless the merged model says what base and adapter, or the full checkpoint, say.

    No logit may differ by more than the rounding of the merged weights explains, nor the most probable token where
    the next is further off than that.
    """
    is_adapter = (checkpoint / ADAPTER_CONFIG).is_file()
    reader = load_reader(base, checkpoint if is_adapter else None)
    tuned = load_base(base if is_adapter else checkpoint, torch.float32)
    if is_adapter:
        tuned = apply_adapter(tuned, checkpoint, projector)
    expected = list(_answers(tuned, reader))
    spread = torch.stack([logits.std() for _, logits in expected]).mean()
    allowed = float(spread) * ROUNDING[_narrowest(merged)]
    given = [tokens for tokens, _ in expected]
    found = list(_answers(load_base(merged, torch.float32), load_reader(merged), given))
    for question, (_, old), (_, new) in zip(QUESTIONS, expected, found, strict=True):
        furthest = float((old - new).abs().max())
        if furthest > allowed or _other_choice(old, new, allowed):
            raise ModelError(
                f"{merged} answers {question!r} otherwise than {checkpoint} on {base}: a logit differs by "
                f"{furthest:.2g}, rounding explains {allowed:.2g}; fetch base and checkpoint again and merge anew."
            )


def _other_choice(old: torch.Tensor, new: torch.Tensor, allowed: float) -> bool:
    best = old.topk(2).values
    clear = best[..., 0] - best[..., 1] > 2 * allowed
    return bool((old.argmax(-1) != new.argmax(-1))[clear].any())


def _narrowest(merged: Path) -> str:
    """The least exact type of the weights."""
    found = {tensor.dtype for tensor in read_base(merged).tensors.values()}
    return next(code for code in ("BF16", "F16", "F32") if code in found)


def _answers(
    model: Any, reader: Reader, given: list[list[int]] | None = None
) -> Iterator[tuple[list[int], torch.Tensor]]:
    """For each question the answer's tokens, greedy or those `given`, and the logits that precede each of them."""
    generator = torch.Generator().manual_seed(28)
    for number, question in enumerate(QUESTIONS):
        image = torch.randint(0, 256, (SIDE, SIDE, 3), generator=generator, dtype=torch.uint8).numpy()
        pixels = reader.image_processor(image, return_tensors="pt")["pixel_values"]
        turns = [("human", with_placeholder(question))]
        prompt = encode_prompt(reader.tokenizer, turns, reader.image_token_id, reader.image_tokens)
        tokens: list[int] = []
        rows = []
        for step in range(ANSWER_TOKENS):
            row = _next_logits(model, [*prompt, *tokens], pixels)
            rows.append(row)
            tokens.append(given[number][step] if given else _likeliest_word(row, reader.image_token_id))
        yield tokens, torch.stack(rows)


def _likeliest_word(logits: torch.Tensor, image_token_id: int) -> int:
    # the image's token is a place for pixels, of which an answer has none
    return next(token for token in logits.topk(2).indices.tolist() if token != image_token_id)


@torch.inference_mode()
def _next_logits(model: Any, ids: list[int], pixels: torch.Tensor) -> torch.Tensor:
    logits: torch.Tensor = model(input_ids=torch.tensor([ids]), pixel_values=pixels, logits_to_keep=1).logits
    return logits[0, -1].float()
