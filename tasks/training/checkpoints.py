"""Checkpoints that hold all that loading and merging need, marked COMPLETE.json last."""

import re
import shutil
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from tasks.files import link_or_copy, read_json, sync, write_json, write_text, written_atomically
from tasks.manifests import broken_files, read_manifest
from tasks.model.checkpoint_origin import CheckpointOrigin
from tasks.paths import ADAPTER_CONFIG, ADAPTER_WEIGHTS, COMPLETE, NON_LORA_WEIGHTS, RESUME_ONLY, TRAINER_STATE
from tasks.storage.checkpoints.staging import has_all_files, read_marker
from tasks.training.trainable import PROJECTOR, TOWER

CHECKPOINT_NAME = re.compile(r"checkpoint-(\d+)")
MODEL_CARD = """---
base_model: {base}
library_name: {library}
---
# {title}

Made by rsvlm from run `{run}`, optimiser step {step}: {what} of LLaVA for remote-sensing instructions.
The prompt template is v1 of LLaVA 1.5; image handling stands in `preprocessor_config.json`.

## How to load it

```python
{loading}
processor = AutoProcessor.from_pretrained("path/of/this/directory", backend="pil")
```
`backend="pil"` gives the pixels of the training; where torchvision is installed, transformers 5 computes others without
it, by up to one step of 8 bits.
{more}"""
ADAPTER_LOADING = """from peft import PeftModel
from transformers import AutoModelForImageTextToText, AutoProcessor

model = AutoModelForImageTextToText.from_pretrained("path/of/the/base")
model = PeftModel.from_pretrained(model, "path/of/this/directory")"""
ADAPTER_MORE = """The base is one in transformers' layout. The projector, trained in full, comes with the adapter
(`modules_to_save`), and is once more in `non_lora_trainables.bin`, where LLaVA's own code looks for it. `rsvlm merge`
makes one model of base and adapter, with a base of either layout; vLLM takes only that.
"""
MODEL_LOADING = """from transformers import AutoModelForImageTextToText, AutoProcessor

model = AutoModelForImageTextToText.from_pretrained("path/of/this/directory")"""


def step_of(checkpoint: Path) -> int:
    """The optimiser step in a checkpoint's name."""
    match = CHECKPOINT_NAME.fullmatch(checkpoint.name)
    assert match, checkpoint
    return int(match[1])


def whole_checkpoints(training: Path) -> list[Path]:
    """Complete checkpoints below a training folder, oldest first; one that lost a file since is none."""
    found = [path for path in training.glob("checkpoint-*") if CHECKPOINT_NAME.fullmatch(path.name)]
    return sorted((path for path in found if has_all_files(path)), key=step_of)


def write_non_lora(checkpoint: Path, weights: Mapping[str, Any], trained: Collection[str]) -> None:
    """Write what was trained in full as non_lora_trainables.bin, names as in the trained model."""
    import torch

    kept = {name: value.detach().cpu() for name, value in weights.items() if name in trained}
    torch.save(kept, checkpoint / NON_LORA_WEIGHTS)


def add_to_adapter(checkpoint: Path, weights: Mapping[str, Any], trained: Collection[str]) -> None:
    """Put what was trained in full into the adapter's own files, too, as PEFT keeps it.

    PEFT reads no others: without this it takes the base's projector and says nothing.
    """
    from safetensors.torch import load_file, save_file

    modules = [part for part in (PROJECTOR, TOWER) if any(f".{part}." in name for name in trained)]
    config = read_json(checkpoint / ADAPTER_CONFIG)
    write_json(checkpoint / ADAPTER_CONFIG, {**config, "modules_to_save": modules}, indent=2)
    kept = {name: weights[name].detach().cpu().contiguous() for name in trained}
    with written_atomically(checkpoint / ADAPTER_WEIGHTS) as file:
        save_file({**load_file(checkpoint / ADAPTER_WEIGHTS), **kept}, file, {"format": "pt"})


def write_model_card(checkpoint: Path, step: int, origin: CheckpointOrigin, lora: bool) -> None:
    """Write README.md: what this is and how it came to be."""
    text = MODEL_CARD.format(
        base=origin.base,
        library="peft" if lora else "transformers",
        title=f"{origin.run}, step {step}",
        run=origin.run,
        step=step,
        what="a LoRA adapter and the projector" if lora else "a full fine-tuning",
        loading=ADAPTER_LOADING if lora else MODEL_LOADING,
        more=ADAPTER_MORE if lora else "",
    )
    write_text(checkpoint / "README.md", text)


def mark_complete(checkpoint: Path, step: int, training: str) -> None:
    """Sync every file and write COMPLETE.json; from here on the checkpoint exists.

    `training` is the fingerprint of the order that it comes from: only that order goes on from it.
    """
    files = sorted(path for path in checkpoint.rglob("*") if path.is_file() and path.name != COMPLETE)
    for path in files:
        sync(path)
    sizes = {path.relative_to(checkpoint).as_posix(): path.stat().st_size for path in files}
    write_json(checkpoint / COMPLETE, {"version": 1, "step": step, "training": training, "files": sizes})


def training_of(checkpoint: Path) -> str | None:
    """The fingerprint of the order that a complete checkpoint comes from."""
    fingerprint = read_marker(checkpoint).get("training")
    return fingerprint if isinstance(fingerprint, str) else None


def is_last(checkpoint: Path) -> bool:
    """Whether a complete checkpoint is that of its training's last step."""
    state = read_json(checkpoint / TRAINER_STATE, allow_nan=True)
    return bool(state["global_step"] >= state["max_steps"])


def best_step(checkpoint: Path) -> int | None:
    """The step that validated best by then; None where none has."""
    step = read_json(checkpoint / TRAINER_STATE, allow_nan=True).get("best_global_step")
    return step if isinstance(step, int) else None


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
    mark_complete(part, step_of(checkpoint), training_of(checkpoint) or "")
    shutil.rmtree(final, ignore_errors=True)
    part.rename(final)


def drop_unfinished(training: Path) -> None:
    """Remove checkpoints that are not whole: saving again would write into files that others are linked to."""
    whole = set(whole_checkpoints(training))
    for path in training.glob("checkpoint-*"):
        if CHECKPOINT_NAME.fullmatch(path.name) and path not in whole:
            shutil.rmtree(path)


def distrust_damaged(final: Path) -> None:
    """Unmark the checkpoint that a damaged `final` came from where it is damaged as well: they share their files."""
    manifest = read_manifest(final)
    if manifest is None:
        return
    checkpoint = final.with_name(f"checkpoint-{manifest.details.get('step')}")
    if set(broken_files(checkpoint, manifest)) - {COMPLETE}:
        (checkpoint / COMPLETE).unlink(missing_ok=True)
