"""What would stop or starve a run, before it starts: all checks, and all that they find."""

import os
from pathlib import Path

from tasks.paths import Workspace
from tasks.preflight.data_checks import (
    Lengths,
    RecordSample,
    image_findings,
    look_at_records,
    token_findings,
    validation_findings,
)
from tasks.preflight.deepspeed_checks import deepspeed_findings
from tasks.preflight.disk_checks import disk_findings
from tasks.preflight.findings import Finding, Report, ok, stops, warning
from tasks.preflight.machine_checks import look_at_machine, machine_findings
from tasks.preflight.memory_checks import memory_estimates, memory_findings, memory_rows, trained_finding
from tasks.preflight.model_checks import Base, look_at_base
from tasks.preflight.service_checks import engine_findings, existing, java_findings, store_findings, wandb_findings
from tasks.settings import ExperimentConfig, TrainingConfig
from tasks.storage.object_store import ObjectStore


def look_ahead(config: ExperimentConfig, workspace: Path, store: ObjectStore | None = None) -> Report:
    """Look at all that a run needs; nothing is made, fetched or left behind. No check keeps another from being made.

    `store` is given where only a Prefect block holds its credentials.
    """
    training, workspace = config.training, workspace.absolute()
    uri = config.store.uri or Workspace(workspace).store.as_uri()
    data, sample = look_at_records(config.data)
    base_found, base = look_at_base(config.model, workspace, config.merging.format)
    tokens, lengths = _tokens(sample, base, training)
    facts = look_at_machine(training)
    records = round(sample.total * config.data.train) if sample else None
    findings = [
        *path_findings(workspace), data, *(image_findings(sample, config.data) if sample else ()),
        *(validation_findings(sample, training) if sample else ()), *base_found, *tokens,
        *machine_findings(facts, training, base.shape.parameters if base.shape else None),
        *deepspeed_findings(training, facts), *_step_findings(training, records),
        *disk_findings(config, base.shape, records, (workspace, uri)), *store_findings(config, uri, store),
        *wandb_findings(training), *engine_findings(config.inference, base.folder), *java_findings(),
    ]  # fmt: skip
    if base.shape is None or any(found.check == "DeepSpeed" for found in findings if found.level == "stops"):
        return Report(findings=tuple(findings))
    usual, longest = memory_estimates(base.shape, training, lengths, facts)
    findings.append(trained_finding(base.shape, training))
    findings += memory_findings(usual, longest, training, facts)
    of = "Memory of one process" if training.use_cpu else f"Memory of each of {training.world_size} GPU(s)"
    return Report(findings=tuple(findings), memory=memory_rows(usual, longest), memory_of=of)


def path_findings(workspace: Path) -> list[Finding]:
    """Whether the workspace can be written."""
    place = existing(workspace)
    if not place.is_dir() or not os.access(place, os.W_OK | os.X_OK):
        return [stops("workspace", f"{place} is no folder that can be written: choose another --workspace")]
    return [ok("workspace", str(workspace))]


def _tokens(sample: RecordSample | None, base: Base, training: TrainingConfig) -> tuple[list[Finding], Lengths | None]:
    if sample is None or base.processor is None:
        lacking = "data" if sample is None else "tokenizer"
        return [ok("tokens", f"not looked at: the {lacking} is made or fetched first")], None
    return token_findings(sample, base.processor, training)


def _step_findings(training: TrainingConfig, records: int | None) -> list[Finding]:
    """An epoch that is less than one step: every step would be of a part of its samples."""
    a_step = training.per_device_train_batch_size * training.micro_batches_per_step
    if records is None or records >= a_step:
        return []
    return [warning("batch", f"a step takes {a_step} samples and there are about {records} records to train on: lower "
                    "per_device_train_batch_size or gradient_accumulation_steps")]  # fmt: skip
