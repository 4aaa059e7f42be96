"""Start the training process, follow it to its end and hand over what it made."""

from collections import deque
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

from tasks.errors import DataError, TrainingError, TrainingStopped
from tasks.interrupting import Interrupted
from tasks.manifests import content_digest, verified_manifest
from tasks.paths import FINAL
from tasks.processes import TIME_IS_UP, ProcessFailed, run_worker
from tasks.records import CheckpointRef, Manifest
from tasks.settings import TrainingConfig
from tasks.training.checkpoints import distrust_damaged, drop_unfinished, whole_checkpoints
from tasks.training.failure_advice import LINES_READ, advice_for
from tasks.training.job import TrainingOrder
from tasks.training.preemption import StopRequest, stoppable
from tasks.training.resuming import newest_checkpoint, require_own
from tasks.training.worker_output import BEGUN, stopped_step

WORKER = "tasks.training.worker"
GO_ON = "`rsvlm train ... --resume`, or `rsvlm run` again, goes on from there."
# Machines that meet at one end point are of one training.
RENDEZVOUS = "rsvlm"
# Threads that wait for each other spin a little and then sleep: without the limit, other work on the same cores
# made training 20 times slower; without any spinning, it takes a third longer on free ones.
CPU_ENVIRONMENT = {"DS_ACCELERATOR": "cpu", "GOMP_SPINCOUNT": "20000"}
# Libraries that warn each other at every step would drown what training says.
QUIET = {"PYTHONWARNINGS": "ignore::FutureWarning"}


def launcher(config: TrainingConfig) -> tuple[str, ...]:
    """Arguments of python that start the worker: torchrun where there are several ranks or DeepSpeed."""
    if config.world_size == 1 and config.deepspeed is None:
        return ()
    torchrun = ("-m", "torch.distributed.run", "--nproc-per-node", str(config.nproc_per_node))
    if config.nnodes == 1:
        return (*torchrun, "--standalone")
    # static: the other way to meet ignores node_rank, and only the machine of rank 0 archives and tells
    return (
        *torchrun, "--nnodes", str(config.nnodes), "--node-rank", str(config.node_rank),
        "--rdzv-backend", "static", "--rdzv-endpoint", str(config.rdzv_endpoint), "--rdzv-id", RENDEZVOUS,
    )  # fmt: skip


def train(
    order: TrainingOrder,
    on_line: Callable[[str], None] = print,
    uploader: AbstractContextManager[Any] | None = None,
) -> CheckpointRef:
    """Train in a child process and return the final checkpoint; a finished order is not trained again.

    Unfinished checkpoints of an order that does not resume are refused. `uploader` runs beside the child and takes
    its checkpoints to the store. After SIGTERM or Ctrl-C the child saves and ends in order: raises TrainingStopped.
    Else raises TrainingError with the child's last lines and what to do.
    """
    final = order.out / FINAL
    manifest = _finished(order)
    if manifest is None and order.training.node_rank == 0:
        _clear_way(order)
    # also for a finished training: what it could not bring to the store is brought now
    with uploader or nullcontext():
        if manifest is None:
            with stoppable(order.stop_file) as request:
                _run_stoppable(order, on_line, request)
            manifest = _finished(order)
    if manifest is None:
        raise TrainingError(
            f"Training ended without {final}: with several machines, all must see the same --workspace."
        )
    details = manifest.details
    return CheckpointRef(path=final, sha256=content_digest(manifest), run=details["run"], step=details["step"])


def _finished(order: TrainingOrder) -> Manifest | None:
    """The manifest of an order's final checkpoint, where that is whole and of this very training."""
    manifest = verified_manifest(order.out / FINAL)
    return manifest if manifest is not None and order.is_of(manifest.fingerprint) else None


def _clear_way(order: TrainingOrder) -> None:
    """Remove what is not whole and see that what is left can be gone on from, before processes are started.

    Nothing of another training is removed: it raises OccupiedError.
    """
    require_own(order)
    _require_no_other(order)
    distrust_damaged(order.out / FINAL)
    drop_unfinished(order.out)
    newest_checkpoint(order)


def _require_no_other(order: TrainingOrder) -> None:
    if not order.resume and whole_checkpoints(order.out):
        raise DataError(
            f"{order.out} holds checkpoints of an unfinished training: go on from them with --resume, "
            "or choose another --name."
        )


def _run_stoppable(order: TrainingOrder, on_line: Callable[[str], None], request: StopRequest) -> None:
    """Run the child; raises TrainingStopped where it was asked to stop and left no final checkpoint."""

    def hear(line: str) -> None:
        # while it loads, nothing is lost by ending it; noted first, as who reads the line may stop it at once
        request.begun = request.begun or line == BEGUN
        on_line(line)

    try:
        _run(order, hear)
    except (Interrupted, TrainingError) as error:
        if isinstance(error, TrainingStopped) or not request.asked:
            raise
        # a child that is ended before its first step, or killed while it ends, is no failure
        raise TrainingStopped(stopped_message(order.out)) from None


def stopped_message(out: Path) -> str:
    """What a cancelled training has saved, and how it is gone on with."""
    saved = whole_checkpoints(out)
    what = f"{saved[-1].name} saved" if saved else "no checkpoint saved yet"
    return f"Training cancelled, {what}: {GO_ON}"


def _run(order: TrainingOrder, on_line: Callable[[str], None]) -> None:
    config = order.training
    stopped: list[int] = []
    heard: deque[str] = deque(maxlen=LINES_READ)

    def hear(line: str) -> None:
        heard.append(line)
        on_line(line)
        if (step := stopped_step(line)) is not None:
            stopped.append(step)

    try:
        run_worker(
            WORKER,
            order.model_dump(mode="json"),
            hear,
            timeout_s=config.run_timeout_h * 3600,
            launcher=launcher(config),
            env=_environment(config),
        )
    except ProcessFailed as error:
        if not stopped or TIME_IS_UP in error.lines[-1]:
            raise TrainingError(
                f"Training ended with code {error.code}: {advice_for(error.code, [*heard, *error.lines])}\n"
                + _quoted(error.lines)
            ) from None
    if stopped:
        raise TrainingStopped(f"Training cancelled, checkpoint-{stopped[-1]} saved: {GO_ON}")


def _environment(config: TrainingConfig) -> dict[str, str]:
    return {**QUIET, **(CPU_ENVIRONMENT if config.use_cpu else {})}


def _quoted(lines: Sequence[str]) -> str:
    return "\n".join(f"  | {line}" for line in lines)
