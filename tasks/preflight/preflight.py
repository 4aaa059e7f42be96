"""Run all checks of an experiment before it starts, and report every problem at once."""

import os
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

from tasks.data.image_folders import linked_images
from tasks.paths import Workspace
from tasks.preflight.data_checks import (
    Lengths,
    RecordSample,
    check_data,
    image_findings,
    several_images_findings,
    token_findings,
    validation_findings,
)
from tasks.preflight.deepspeed_checks import deepspeed_findings
from tasks.preflight.disk_checks import disk_findings
from tasks.preflight.findings import Finding, PreflightReport, fatal, ok, warning
from tasks.preflight.machine_checks import collect_facts, machine_findings
from tasks.preflight.memory_checks import memory_estimates, memory_findings, memory_rows, trained_finding
from tasks.preflight.model_checks import Base, check_base
from tasks.preflight.service_checks import (
    engine_findings,
    java_findings,
    nearest_existing,
    store_findings,
    wandb_findings,
)
from tasks.settings import ExperimentConfig, TrainingConfig
from tasks.storage.object_store import ObjectStore


def run_preflight(config: ExperimentConfig, workspace: Path, store: ObjectStore | None = None) -> PreflightReport:
    """Run all checks; creates, fetches and changes nothing. A failed check does not prevent the others.

    `store` is needed if only a Prefect block holds its credentials.
    """
    training, workspace = config.training, workspace.absolute()
    uri = config.store.uri or Workspace(workspace).store.as_uri()
    data, sample = check_data(config.data)
    base_found, base = check_base(config.model, workspace, config.merging.format)
    tokens, lengths = _tokens(sample, base, config)
    several = several_images_findings(config.data, sample, base.family)
    facts = collect_facts(training)
    records = round(sample.total * config.data.train) if sample else None
    findings = [
        *path_findings(workspace), data, *(image_findings(sample, config.data) if sample else ()),
        *(validation_findings(sample, training) if sample else ()), *base_found, *several, *tokens,
        *machine_findings(facts, training, base.shape.parameters if base.shape else None),
        *deepspeed_findings(training, facts), *_step_findings(training, records),
        *disk_findings(config, base.shape, records, (workspace, uri)), *store_findings(config, uri, store),
        *wandb_findings(training), *engine_findings(config.inference, base.folder), *java_findings(),
    ]  # fmt: skip
    if base.shape is None or any(found.check == "DeepSpeed" for found in findings if found.level == "stops"):
        return PreflightReport(findings=tuple(findings))
    typical, longest = memory_estimates(base.shape, training, lengths, facts)
    findings.append(trained_finding(base.shape, training))
    findings += memory_findings(typical, longest, training, facts)
    heading = "Memory of one process" if training.use_cpu else f"Memory of each of {training.world_size} GPU(s)"
    return PreflightReport(findings=tuple(findings), memory=memory_rows(typical, longest), memory_of=heading)


def path_findings(workspace: Path) -> list[Finding]:
    """Check that the workspace is writable."""
    folder = nearest_existing(workspace)
    if not folder.is_dir() or not os.access(folder, os.W_OK | os.X_OK):
        return [fatal("workspace", f"{folder} is not a writable folder: choose another --workspace")]
    return [ok("workspace", str(workspace))]


def _tokens(sample: RecordSample | None, base: Base, config: ExperimentConfig) -> tuple[list[Finding], Lengths | None]:
    if sample is None or base.processor is None:
        lacking = "data" if sample is None else "tokenizer"
        return [ok("tokens", f"not checked: the {lacking} is created or fetched first")], None
    with TemporaryDirectory(prefix="rsvlm-preflight-") as views:
        # the number of an image's tokens may depend on its size
        images = linked_images(sample.images, config.data.image_root, Path(views))
        return token_findings(replace(sample, images=images), base.processor, config.training)


def _step_findings(training: TrainingConfig, records: int | None) -> list[Finding]:
    """Check that an epoch has at least one full step."""
    batch = training.per_device_train_batch_size * training.micro_batches_per_step
    if records is None or records >= batch:
        return []
    return [warning("batch", f"a step takes {batch} samples and there are about {records} records to train on: lower "
                    "per_device_train_batch_size or gradient_accumulation_steps")]  # fmt: skip
