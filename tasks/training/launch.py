"""Start the training process, follow it to its end and hand over what it made."""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any

from tasks.errors import DataError, TrainingError
from tasks.paths import FINAL
from tasks.processes import ProcessFailed, run_worker
from tasks.records import CheckpointRef
from tasks.settings import TrainingConfig
from tasks.storage.manifests import content_digest, whole_manifest, write_manifest
from tasks.training.advice import advice_for
from tasks.training.checkpoints import distrust_damaged, drop_unfinished, step_of, whole_checkpoints
from tasks.training.order import TrainingOrder

WORKER = "tasks.training.worker"
# Threads that wait for each other spin a little and then sleep: without the limit, other work on the same cores
# made training 20 times slower; without any spinning, it takes a third longer on free ones.
CPU_ENVIRONMENT = {"DS_ACCELERATOR": "cpu", "GOMP_SPINCOUNT": "20000"}


def launcher(config: TrainingConfig) -> tuple[str, ...]:
    """Arguments of python that start the worker: torchrun where there are several ranks or DeepSpeed."""
    if config.nproc_per_node == 1 and config.deepspeed is None:
        return ()
    return ("-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(config.nproc_per_node))


def train(
    order: TrainingOrder,
    on_line: Callable[[str], None] = print,
    uploader: AbstractContextManager[Any] | None = None,
) -> CheckpointRef:
    """Train in a child process and return the final checkpoint; a finished order is not trained again.

    Unfinished checkpoints of an order that does not resume are refused. `uploader` runs beside the child and takes
    its checkpoints to the store. Raises TrainingError with the child's last lines and what to do.
    """
    final = order.out / FINAL
    manifest = whole_manifest(final, order.fingerprint)
    if manifest is None:
        _require_no_other(order)
        distrust_damaged(final)
        drop_unfinished(order.out)
        with uploader or nullcontext():
            _run(order, on_line)
        step = step_of(whole_checkpoints(order.out)[-1])
        manifest = write_manifest(final, order.fingerprint, {"run": order.run, "step": step})
    details = manifest.details
    return CheckpointRef(path=final, sha256=content_digest(manifest), run=details["run"], step=details["step"])


def _require_no_other(order: TrainingOrder) -> None:
    if not order.resume and whole_checkpoints(order.out):
        raise DataError(
            f"{order.out} holds checkpoints of an unfinished training: go on from them with --resume, "
            "or choose another --name."
        )


def _run(order: TrainingOrder, on_line: Callable[[str], None]) -> None:
    config = order.training
    try:
        run_worker(
            WORKER,
            order.model_dump(mode="json"),
            on_line,
            timeout_s=config.run_timeout_h * 3600,
            launcher=launcher(config),
            env=_environment(config),
        )
    except ProcessFailed as error:
        raise TrainingError(
            f"Training ended with code {error.code}: {advice_for(error.code, error.lines)}\n" + _quoted(error.lines)
        ) from None


def _environment(config: TrainingConfig) -> dict[str, str]:
    return CPU_ENVIRONMENT if config.use_cpu else {}


def _quoted(lines: Sequence[str]) -> str:
    return "\n".join(f"  | {line}" for line in lines)
