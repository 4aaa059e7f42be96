"""Prefect tasks of merging; it runs in a child process, so that the flow's memory stays small."""

from pathlib import Path

from prefect import task

from tasks.content_keys import MODEL_CODE
from tasks.model.hub import push_to_hub
from tasks.orchestration.caching import step
from tasks.orchestration.run_log import lines_to
from tasks.processes import run_worker
from tasks.records import CheckpointRef, ModelRef
from tasks.settings import MergingConfig


@step("merge-adapter", ignore=["out", "log"], code=["tasks.prompt_text", *MODEL_CODE])
def merge_adapter_step(
    base: ModelRef, checkpoint: CheckpointRef, config: MergingConfig, out: Path, log: Path
) -> ModelRef:
    """Merge an adapter into its base, or copy a full model, and write the model directory `out`."""
    job = {"base": str(base.path), "checkpoint": str(checkpoint.path), "out": str(out), **config.model_dump()}
    with lines_to(log) as on_line:
        return ModelRef.model_validate(run_worker("tasks.merging.worker", job, on_line))


@task(name="push-to-hub", retries=2, retry_delay_seconds=[10, 60])
def push_to_hub_step(merged: ModelRef, repository: str) -> str:
    """Upload a merged model to the Hugging Face hub; returns its address."""
    return push_to_hub(merged.path, repository)
