"""Free disk for what a run writes, from the numbers of parameters alone."""

import math
import shutil
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote, urlsplit

from tasks.preflight.findings import Finding, ok, size_text, stops
from tasks.preflight.memory_estimate import ADAM_MOMENTS, FLOAT32, trained_parameters
from tasks.preflight.model_shape import ModelShape
from tasks.preflight.service_checks import existing
from tasks.settings import ExperimentConfig, TrainingConfig

GB = 1e9
# Below that a log, an answer file or a report may be what fails.
LEAST_BYTES = 1 * GB


@dataclass(frozen=True)
class CheckpointSize:
    """Bytes of one checkpoint: its model, and what only resuming needs."""

    model: float
    resuming: float

    @property
    def whole(self) -> float:
        return self.model + self.resuming


def checkpoint_size(shape: ModelShape, training: TrainingConfig) -> CheckpointSize:
    """What one checkpoint takes; DeepSpeed's also hold float32 copies of what is trained."""
    trained = trained_parameters(shape, training)
    element = 2 if training.bf16 and training.deepspeed else FLOAT32
    copies = 1 + ADAM_MOMENTS if training.deepspeed else ADAM_MOMENTS
    saved = trained if training.lora_enable else shape.parameters
    return CheckpointSize(saved * element, trained * (copies * FLOAT32 + (element if training.deepspeed else 0)))


def saves_of(training: TrainingConfig, records: int | None) -> int:
    """How many checkpoints a run writes; one where that cannot be known."""
    steps = training.max_steps
    if steps < 0:
        a_step = training.per_device_train_batch_size * training.micro_batches_per_step
        steps = math.ceil(training.num_train_epochs * math.ceil((records or 0) / a_step))
    return steps // training.save_steps + 1 if training.save_strategy == "steps" else 1


def bytes_needed(config: ExperimentConfig, shape: ModelShape, saves: int, store_beside: bool) -> dict[str, float]:
    """What a run writes in its workspace, by kind; with the store on the same disk also what is archived."""
    size = checkpoint_size(shape, config.training)
    # one more while it is written, and one that waits for the store
    held = min(config.training.save_total_limit or saves, saves) + (2 if config.archive.checkpoints else 1)
    merged = shape.parameters * (2 if config.training.bf16 else FLOAT32)
    needed = {f"{held} checkpoints": held * size.whole, "the merged model": merged}
    if store_beside:
        kept = min(config.archive.keep.last or saves, saves) if config.archive.checkpoints else 0
        archived = size.whole if config.archive.optimizer_states else size.model
        needed["the store"] = kept * archived + merged
    return needed


def disk_findings(
    config: ExperimentConfig, shape: ModelShape | None, records: int | None, places: tuple[Path, str]
) -> list[Finding]:
    """Free space in the workspace for what a run writes; `places` are the workspace and the store's address."""
    workspace, uri = existing(places[0]), places[1]
    free = shutil.disk_usage(workspace).free
    if shape is None:
        return [ok("disk", f"{size_text(free)} free in {workspace}; how much is needed is not known without the model")]
    beside = uri.startswith("file:") and _same_disk(workspace, existing(Path(unquote(urlsplit(uri).path))))
    needed = bytes_needed(config, shape, saves_of(config.training, records), beside)
    total = sum(needed.values()) + LEAST_BYTES
    parts = ", ".join(f"{size_text(amount)} for {kind}" for kind, amount in needed.items() if amount)
    text = f"{size_text(free)} free in {workspace}, about {size_text(total)} needed ({parts})"
    if free < total:
        way = "free space, lower save_total_limit, set archive.keep.last, or choose another --workspace"
        return [stops("disk", f"{text}: {way}")]
    return [ok("disk", text)]


def _same_disk(one: Path, other: Path) -> bool:
    return one.stat().st_dev == other.stat().st_dev
