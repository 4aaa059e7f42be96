"""Checkpoint folders: names, the COMPLETE.json marker, the model card, rotation, and the final model."""

import shutil
from pathlib import Path

from tasks.files import link_or_copy, read_json, sync, write_json, write_text
from tasks.manifests import broken_files, read_manifest
from tasks.model.checkpoint_origin import CheckpointOrigin
from tasks.paths import (
    COMPLETE,
    MODEL_CARD,
    RESUME_ONLY,
    TRAINER_STATE,
    checkpoint_folders,
    checkpoint_name,
    checkpoint_step,
)
from tasks.storage.checkpoints.staging import has_all_files, read_marker

MODEL_CARD_TEXT = """---
base_model: {base}
library_name: {library}
---
# {title}

Trained by rsvlm in run `{run}`, optimizer step {step}: {what} of LLaVA for remote-sensing instructions.
The prompt template is v1 of LLaVA 1.5; `preprocessor_config.json` describes the image preprocessing.

## How to load it

```python
{loading}
processor = AutoProcessor.from_pretrained("path/of/this/directory", backend="pil")
```
`backend="pil"` gives the same pixels as in training. Without it, where torchvision is installed, transformers 5
computes pixels that differ by up to 1 of 255.
{more}"""
ADAPTER_LOADING = """from peft import PeftModel
from transformers import AutoModelForImageTextToText, AutoProcessor

model = AutoModelForImageTextToText.from_pretrained("path/of/the/base")
model = PeftModel.from_pretrained(model, "path/of/this/directory")"""
ADAPTER_MORE = """The base must be in transformers' layout. The fully trained projector is part of the adapter
(`modules_to_save`), and is also in `non_lora_trainables.bin`, where LLaVA's own code expects it. `rsvlm merge` merges
the adapter into a base of either layout; vLLM only loads the merged model.
"""
MODEL_LOADING = """from transformers import AutoModelForImageTextToText, AutoProcessor

model = AutoModelForImageTextToText.from_pretrained("path/of/this/directory")"""


def step_of(checkpoint: Path) -> int:
    """The optimizer step in a checkpoint's name."""
    step = checkpoint_step(checkpoint.name)
    assert step is not None, checkpoint
    return step


def complete_checkpoints(training: Path) -> list[Path]:
    """Complete checkpoints in a training folder, oldest first; those that have since lost a file are left out."""
    return [path for _, path in checkpoint_folders(training) if has_all_files(path)]


def write_model_card(checkpoint: Path, step: int, origin: CheckpointOrigin, lora: bool) -> None:
    """Write README.md: what the checkpoint is, where it comes from, and how to load it."""
    text = MODEL_CARD_TEXT.format(
        base=origin.base,
        library="peft" if lora else "transformers",
        title=f"{origin.run}, step {step}",
        run=origin.run,
        step=step,
        what="a LoRA adapter and the projector" if lora else "a full fine-tuning",
        loading=ADAPTER_LOADING if lora else MODEL_LOADING,
        more=ADAPTER_MORE if lora else "",
    )
    write_text(checkpoint / MODEL_CARD, text)


def mark_complete(checkpoint: Path, step: int, training: str) -> None:
    """Sync every file and write COMPLETE.json with their sizes in bytes; only then is the checkpoint valid.

    `training` is the fingerprint of the job that wrote it: only that job resumes from it.
    """
    files = sorted(path for path in checkpoint.rglob("*") if path.is_file() and path.name != COMPLETE)
    for path in files:
        sync(path)
    sizes = {path.relative_to(checkpoint).as_posix(): path.stat().st_size for path in files}
    write_json(checkpoint / COMPLETE, {"version": 1, "step": step, "training": training, "files": sizes})


def training_fingerprint(checkpoint: Path) -> str | None:
    """The fingerprint of the job that wrote a complete checkpoint."""
    fingerprint = read_marker(checkpoint).get("training")
    return fingerprint if isinstance(fingerprint, str) else None


def is_last(checkpoint: Path) -> bool:
    """Whether a complete checkpoint was saved at the last step of its training."""
    state = read_json(checkpoint / TRAINER_STATE, allow_nan=True)
    return bool(state["global_step"] >= state["max_steps"])


def best_step(checkpoint: Path) -> int | None:
    """The step with the best validation so far; None without validation."""
    step = read_json(checkpoint / TRAINER_STATE, allow_nan=True).get("best_global_step")
    return step if isinstance(step, int) else None


def rotate(training: Path, keep: int | None) -> None:
    """Delete the oldest complete checkpoints beyond `keep`; the newest always stays."""
    if keep is None:
        return
    for checkpoint in complete_checkpoints(training)[:-keep]:
        # the marker first: an interrupted deletion must not leave a checkpoint that looks complete
        (checkpoint / COMPLETE).unlink()
        shutil.rmtree(checkpoint)


def publish_final(checkpoint: Path, final: Path) -> None:
    """Publish a checkpoint's model as `final`, without the files that only resuming needs."""
    part = final.with_name(f".{final.name}.part")
    shutil.rmtree(part, ignore_errors=True)
    skipped = {path for pattern in RESUME_ONLY for path in checkpoint.glob(pattern)}
    for path in sorted(checkpoint.rglob("*")):
        if path.is_file() and path.name != COMPLETE and skipped.isdisjoint({path, *path.parents}):
            link_or_copy(path, part / path.relative_to(checkpoint))
    mark_complete(part, step_of(checkpoint), training_fingerprint(checkpoint) or "")
    shutil.rmtree(final, ignore_errors=True)
    part.rename(final)


def remove_incomplete(training: Path) -> None:
    """Remove incomplete checkpoints: saving again would write into files that are hard-linked elsewhere."""
    for _, path in checkpoint_folders(training):
        if not has_all_files(path):
            shutil.rmtree(path)


def unmark_damaged(final: Path) -> None:
    """Unmark the checkpoint that a damaged `final` was published from if it is damaged too: they share their files."""
    manifest = read_manifest(final)
    if manifest is None:
        return
    checkpoint = final.with_name(checkpoint_name(manifest.details.get("step", 0)))
    if set(broken_files(checkpoint, manifest)) - {COMPLETE}:
        (checkpoint / COMPLETE).unlink(missing_ok=True)
