"""Check the free disk space for the files of a run, estimated from the number of parameters."""

import math
import shutil
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote, urlsplit

from tasks.model.shape import ModelShape
from tasks.preflight.findings import Finding, fatal, ok, size_text
from tasks.preflight.memory_estimate import ADAM_MOMENTS, FLOAT32, trained_parameters
from tasks.preflight.service_checks import nearest_existing
from tasks.settings import ExperimentConfig, TrainingConfig

GB = 1e9
# With less, even a log, an answer file or a report may fail.
LEAST_BYTES = 1 * GB


@dataclass(frozen=True)
class CheckpointSize:
    """Size of one checkpoint in bytes: its model, and the files that only resuming needs."""

    model: float
    resuming: float

    @property
    def total(self) -> float:
        return self.model + self.resuming


def checkpoint_size(shape: ModelShape, training: TrainingConfig) -> CheckpointSize:
    """Size of one checkpoint; those of DeepSpeed also hold float32 copies of the trained weights."""
    trained = trained_parameters(shape, training)
    element = 2 if training.bf16 and training.deepspeed else FLOAT32
    copies = 1 + ADAM_MOMENTS if training.deepspeed else ADAM_MOMENTS
    saved = trained if training.lora_enable else shape.parameters
    return CheckpointSize(saved * element, trained * (copies * FLOAT32 + (element if training.deepspeed else 0)))


def checkpoint_count(training: TrainingConfig, records: int | None) -> int:
    """How many checkpoints a run writes; one if that is unknown."""
    steps = training.max_steps
    if steps < 0:
        batch = training.per_device_train_batch_size * training.micro_batches_per_step
        steps = math.ceil(training.num_train_epochs * math.ceil((records or 0) / batch))
    return steps // training.save_steps + 1 if training.save_strategy == "steps" else 1


def bytes_needed(config: ExperimentConfig, shape: ModelShape, saves: int, same_disk: bool) -> dict[str, float]:
    """Bytes that a run writes to its workspace, by kind; and to the store, if it is on the same disk."""
    size = checkpoint_size(shape, config.training)
    # one more while it is being written, and one that waits for upload
    held = min(config.training.save_total_limit or saves, saves) + (2 if config.archive.checkpoints else 1)
    merged = shape.parameters * (2 if config.training.bf16 else FLOAT32)
    needed = {f"{held} checkpoints": held * size.total, "the merged model": merged}
    if same_disk:
        kept = min(config.archive.keep.last or saves, saves) if config.archive.checkpoints else 0
        archived = size.total if config.archive.optimizer_states else size.model
        needed["the store"] = kept * archived + merged
    return needed


def disk_findings(
    config: ExperimentConfig, shape: ModelShape | None, records: int | None, locations: tuple[Path, str]
) -> list[Finding]:
    """Compare the free space of the workspace with what a run writes; `locations`: workspace and URI of the store."""
    workspace, uri = nearest_existing(locations[0]), locations[1]
    free = shutil.disk_usage(workspace).free
    if shape is None:
        return [ok("disk", f"{size_text(free)} free in {workspace}; the space needed is unknown without the model")]
    same_disk = uri.startswith("file:") and _same_disk(workspace, nearest_existing(Path(unquote(urlsplit(uri).path))))
    needed = bytes_needed(config, shape, checkpoint_count(config.training, records), same_disk)
    total = sum(needed.values()) + LEAST_BYTES
    parts = ", ".join(f"{size_text(amount)} for {kind}" for kind, amount in needed.items() if amount)
    text = f"{size_text(free)} free in {workspace}, about {size_text(total)} needed ({parts})"
    if free < total:
        remedy = "free space, lower save_total_limit, set archive.keep.last, or choose another --workspace"
        return [fatal("disk", f"{text}: {remedy}")]
    return [ok("disk", text)]


def _same_disk(one: Path, other: Path) -> bool:
    return one.stat().st_dev == other.stat().st_dev
