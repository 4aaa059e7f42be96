"""Start the training process, follow its output, and return the final checkpoint."""

import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Protocol

from tasks.errors import DataError, TrainingError, TrainingStopped
from tasks.interrupting import Interrupted
from tasks.manifests import content_digest, verified_manifest
from tasks.paths import FINAL, checkpoint_name
from tasks.processes import TIME_IS_UP, ProcessFailed, run_worker
from tasks.progress import Progress, report
from tasks.records import CheckpointRef, Manifest
from tasks.settings import TrainingConfig
from tasks.training.failure_advice import LINES_READ, advice_for
from tasks.training.job import TrainingJob
from tasks.training.preemption import StopRequest, stoppable
from tasks.training.resuming import newest_checkpoint, require_own
from tasks.training.saved_checkpoints import complete_checkpoints, remove_incomplete, unmark_damaged
from tasks.worker_lines import (
    FIRST_STEP_DONE,
    StepProgress,
    curves_url,
    step_progress,
    stopped_step,
    validation_losses,
)

WORKER = "tasks.training.worker"
HOW_TO_RESUME = "`rsvlm train ... --resume`, or `rsvlm run` again, resumes from there."
# Machines that meet at one endpoint belong to one training.
RENDEZVOUS = "rsvlm"
# Threads that wait for each other spin briefly and then sleep: unlimited spinning made training 20 times slower next to
# other work on the same cores; without any spinning, it takes a third longer on idle ones.
CPU_ENVIRONMENT = {"DS_ACCELERATOR": "cpu", "GOMP_SPINCOUNT": "20000"}
# Libraries that warn about each other at every step would flood the log.
QUIET = {"PYTHONWARNINGS": "ignore::FutureWarning"}
# A training may print several lines per second, and each update is a request to a server.
INTERVAL_S = 5.0
# A loss curve is some tens of kilobytes.
CURVE_INTERVAL_S, CURVE_POINTS = 10.0, 1000


def launcher(config: TrainingConfig) -> tuple[str, ...]:
    """Arguments of python that start the worker: torchrun with several ranks or DeepSpeed, otherwise none."""
    if config.world_size == 1 and config.deepspeed is None:
        return ()
    torchrun = ("-m", "torch.distributed.run", "--nproc-per-node", str(config.nproc_per_node))
    if config.nnodes == 1:
        return (*torchrun, "--standalone")
    # static: the other backend ignores node_rank, and only the machine of rank 0 archives and reports
    return (
        *torchrun, "--nnodes", str(config.nnodes), "--node-rank", str(config.node_rank),
        "--rdzv-backend", "static", "--rdzv-endpoint", str(config.rdzv_endpoint), "--rdzv-id", RENDEZVOUS,
    )  # fmt: skip


def train(
    job: TrainingJob,
    on_line: Callable[[str], None] = print,
    uploader: AbstractContextManager[object] | None = None,
) -> CheckpointRef:
    """Train in a child process and return the final checkpoint; a finished job is not trained again.

    A job that does not resume raises DataError if there are checkpoints. `uploader` runs next to the child and copies
    its checkpoints to the store. After SIGTERM or Ctrl-C the child saves and ends, and TrainingStopped is raised;
    any other failure raises TrainingError with the child's last lines and advice.
    """
    final = job.out / FINAL
    manifest = _finished(job)
    if manifest is None and job.training.node_rank == 0:
        _prepare_folder(job)
    # also for a finished training: it uploads what could not be uploaded before
    with uploader or nullcontext():
        if manifest is None:
            with stoppable(job.stop_file) as request:
                _run_stoppable(job, on_line, request)
            manifest = _finished(job)
    if manifest is None:
        raise TrainingError(
            f"Training ended without {final}: with several machines, all must see the same --workspace."
        )
    details = manifest.details
    return CheckpointRef(path=final, sha256=content_digest(manifest), run=details["run"], step=details["step"])


def _finished(job: TrainingJob) -> Manifest | None:
    """The manifest of a job's final checkpoint, if it is complete and belongs to this job."""
    manifest = verified_manifest(job.out / FINAL)
    return manifest if manifest is not None and job.matches(manifest.fingerprint) else None


def _prepare_folder(job: TrainingJob) -> None:
    """Remove incomplete checkpoints and check that the rest can be resumed, before processes are started.

    Nothing of another training is removed: its folder raises OccupiedError.
    """
    require_own(job)
    _require_resume(job)
    unmark_damaged(job.out / FINAL)
    remove_incomplete(job.out)
    newest_checkpoint(job)


def _require_resume(job: TrainingJob) -> None:
    if not job.resume and complete_checkpoints(job.out):
        raise DataError(
            f"{job.out} holds checkpoints of an unfinished training: resume from them with --resume, "
            "or choose another --name."
        )


def _run_stoppable(job: TrainingJob, on_line: Callable[[str], None], request: StopRequest) -> None:
    """Run the child; raises TrainingStopped if it was asked to stop and left no final checkpoint."""

    def handle(line: str) -> None:
        # while the child loads, nothing is lost by ending it; set first, since on_line may stop the training at once
        request.first_step_done = request.first_step_done or line == FIRST_STEP_DONE
        on_line(line)

    try:
        _run(job, handle)
    except (Interrupted, TrainingError) as error:
        if isinstance(error, TrainingStopped) or not request.requested:
            raise
        # a child that is ended before its first step, or killed while it ends, has not failed
        raise TrainingStopped(stopped_message(job.out)) from None


def stopped_message(out: Path) -> str:
    """What a cancelled training has saved, and how to resume it."""
    saved = complete_checkpoints(out)
    what = f"{saved[-1].name} saved" if saved else "no checkpoint saved yet"
    return f"Training cancelled, {what}: {HOW_TO_RESUME}"


def _run(job: TrainingJob, on_line: Callable[[str], None]) -> None:
    config = job.training
    stopped: list[int] = []
    last_lines: deque[str] = deque(maxlen=LINES_READ)

    def handle(line: str) -> None:
        last_lines.append(line)
        on_line(line)
        if (step := stopped_step(line)) is not None:
            stopped.append(step)

    try:
        run_worker(
            WORKER,
            job.model_dump(mode="json"),
            handle,
            timeout_s=config.run_timeout_h * 3600,
            launcher=launcher(config),
            env=_environment(config),
        )
    except ProcessFailed as error:
        if not stopped or TIME_IS_UP in error.lines[-1]:
            raise TrainingError(
                f"Training ended with code {error.code}: {advice_for(error.code, [*last_lines, *error.lines])}\n"
                + _quoted(error.lines)
            ) from None
    if stopped:
        raise TrainingStopped(f"Training cancelled, {checkpoint_name(stopped[-1])} saved: {HOW_TO_RESUME}")


def _environment(config: TrainingConfig) -> dict[str, str]:
    return {**QUIET, **(CPU_ENVIRONMENT if config.use_cpu else {})}


def _quoted(lines: Sequence[str]) -> str:
    return "\n".join(f"  | {line}" for line in lines)


def report_training(progress: StepProgress) -> None:
    """Show the progress of a training as that of the step at work."""
    report(Progress(progress.step, progress.steps, f"loss {progress.short_loss}", progress.left_s or None))


class ProgressDisplay(Protocol):
    """Where the progress of a training is shown."""

    def show_progress(self, percent: float, description: str) -> None:
        """Show the progress, 0 to 100."""
        ...

    def show_losses(self, history: Sequence[Mapping[str, float]]) -> object:
        """Show the losses so far, with the keys of trainer_state.json."""
        ...

    def show_link(self, url: str) -> None:
        """Show where the curves are."""
        ...


class ProgressReporter:
    """Parses every line of a training and updates a display: at the first and last step, else every `interval_s`.

    The losses are shown every `curve_interval_s`.
    """

    def __init__(
        self,
        display: ProgressDisplay,
        clock: Callable[[], float] = time.monotonic,
        interval_s: float = INTERVAL_S,
        curve_interval_s: float = CURVE_INTERVAL_S,
    ):
        self._display, self._clock, self._interval_s = display, clock, interval_s
        self._curve_interval_s = curve_interval_s
        self._updated_at: float | None = None
        self._drawn_at = clock()
        self._trained: list[dict[str, float]] = []
        self._validated: list[dict[str, float]] = []

    def on_line(self, line: str) -> None:
        """Show the progress or link in a line, if any."""
        if (url := curves_url(line)) is not None:
            self._display.show_link(url)
        self._validated += [{"step": step, "eval_loss": loss} for step, loss in validation_losses(line)]
        if (progress := step_progress(line)) is None:
            return
        # all of them: a terminal is drawn at its own pace
        report_training(progress)
        self._trained.append({"step": progress.step, "loss": float(progress.loss)})
        self._draw_losses()
        if self._is_due(progress):
            self._updated_at = self._clock()
            self._display.show_progress(100 * progress.step / progress.steps, progress.description)

    def _draw_losses(self) -> None:
        if self._clock() - self._drawn_at < self._curve_interval_s:
            return
        self._drawn_at = self._clock()
        every = len(self._trained) // CURVE_POINTS + 1
        self._display.show_losses([*self._trained[::every], *self._validated])

    def _is_due(self, progress: StepProgress) -> bool:
        if self._updated_at is None or progress.step >= progress.steps:
            return True
        return self._clock() - self._updated_at >= self._interval_s
