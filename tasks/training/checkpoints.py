"""Checkpoints that hold all that loading and merging need, marked COMPLETE.json last."""

import re
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tasks.files import link_or_copy, sync, write_json, write_text
from tasks.paths import COMPLETE, NON_LORA_WEIGHTS
from tasks.training.adapters import PROJECTOR

CHECKPOINT_NAME = re.compile(r"checkpoint-(\d+)")
# What only resuming needs; a finished model travels without it.
RESUME_ONLY = ("optimizer.pt", "scheduler.pt", "rng_state*.pth", "training_args.bin", "global_step*", "latest")

MODEL_CARD = """---
base_model: {base}
library_name: {library}
---
# {title}

Made by rsvlm from run `{run}`, optimiser step {step}: {what} of LLaVA for remote-sensing instructions.
The prompt template is v1 of LLaVA 1.5; image handling stands in `preprocessor_config.json`.
"""


def step_of(checkpoint: Path) -> int:
    """The optimiser step in a checkpoint's name."""
    match = CHECKPOINT_NAME.fullmatch(checkpoint.name)
    assert match, checkpoint
    return int(match[1])


def whole_checkpoints(training: Path) -> list[Path]:
    """Complete checkpoints below a training folder, oldest first."""
    found = [path for path in training.glob("checkpoint-*") if CHECKPOINT_NAME.fullmatch(path.name)]
    return sorted((path for path in found if (path / COMPLETE).is_file()), key=step_of)


def write_projector(checkpoint: Path, weights: Mapping[str, Any]) -> None:
    """Write the projector of a state dict as non_lora_trainables.bin, names as in the trained model."""
    import torch

    projector = {name: value.detach().cpu() for name, value in weights.items() if PROJECTOR in name}
    torch.save(projector, checkpoint / NON_LORA_WEIGHTS)


def write_model_card(checkpoint: Path, run: str, step: int, base: str, lora: bool) -> None:
    """Write README.md: what this is and how it came to be."""
    text = MODEL_CARD.format(
        base=base,
        library="peft" if lora else "transformers",
        title=f"{run}, step {step}",
        run=run,
        step=step,
        what="a LoRA adapter and the projector" if lora else "a full fine-tuning",
    )
    write_text(checkpoint / "README.md", text)


def mark_complete(checkpoint: Path, step: int) -> None:
    """Sync every file and write COMPLETE.json; from here on the checkpoint exists."""
    files = sorted(path for path in checkpoint.rglob("*") if path.is_file() and path.name != COMPLETE)
    for path in files:
        sync(path)
    sizes = {path.relative_to(checkpoint).as_posix(): path.stat().st_size for path in files}
    write_json(checkpoint / COMPLETE, {"version": 1, "step": step, "files": sizes})


def rotate(training: Path, keep: int | None) -> None:
    """Delete the oldest complete checkpoints beyond `keep`; the newest always stays."""
    if keep is None:
        return
    for checkpoint in whole_checkpoints(training)[:-keep]:
        # without its marker first: a deletion that is cut short leaves nothing that looks whole
        (checkpoint / COMPLETE).unlink()
        shutil.rmtree(checkpoint)


def publish_final(checkpoint: Path, final: Path) -> None:
    """Put the last checkpoint's model, without what only resuming needs, under its final name."""
    part = final.with_name(f".{final.name}.part")
    shutil.rmtree(part, ignore_errors=True)
    skipped = {path for pattern in RESUME_ONLY for path in checkpoint.glob(pattern)}
    for path in sorted(checkpoint.rglob("*")):
        if path.is_file() and path.name != COMPLETE and skipped.isdisjoint({path, *path.parents}):
            link_or_copy(path, part / path.relative_to(checkpoint))
    mark_complete(part, step_of(checkpoint))
    shutil.rmtree(final, ignore_errors=True)
    part.rename(final)
