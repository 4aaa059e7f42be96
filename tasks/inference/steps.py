"""Prefect tasks that answer a test set in child processes, so that the flow process never holds a GPU."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from pathlib import Path
from types import MappingProxyType
from typing import Any

from prefect import task
from prefect.task_runners import TaskRunner, ThreadPoolTaskRunner

from tasks.content_keys import SHARED_CODE
from tasks.errors import ConfigError
from tasks.inference.predict import claim
from tasks.inference.request import AnswerStore, PredictionSpec, PredictRequest, Share
from tasks.orchestration.artifacts import ProgressArtifact
from tasks.orchestration.caching import step
from tasks.orchestration.run_log import lines_to
from tasks.paths import FILTERED_TEST_SET
from tasks.processes import run_worker
from tasks.progress import Progress, report
from tasks.records import CheckpointRef, DatasetRef, ModelRef, PredictionsRef
from tasks.settings import InferenceConfig
from tasks.storage.runs import Run
from tasks.storage.steps import credentials_of
from tasks.worker_lines import answers_progress

WORKER = "tasks.inference.worker"
EMPTY: Mapping[str, str] = MappingProxyType({})


@step("answer-subsets", ignore=["run", "out"], code=SHARED_CODE)
def answer_subsets(
    model: ModelRef,
    dataset: DatasetRef,
    spec: PredictionSpec,
    run: Run,
    out: Path,
    adapter: CheckpointRef | None = None,
) -> PredictionsRef:
    """Answer a dataset's test set with one model, or with an adapter on it, into the folder `out`."""
    request = PredictRequest(
        model=model.path, model_sha256=model.sha256, adapter=adapter.path if adapter else None,
        data=dataset.path / FILTERED_TEST_SET, images=dataset.images,
        out=out, name=spec.label, config=spec.config, subset_size=spec.subset_size,
        store=AnswerStore(uri=run.store_uri, config=run.store_config),
    )  # fmt: skip
    if (spec.config.workers > 1 or spec.config.ray_address) and claim(request):
        _answer_in_parallel(request, run)
    return PredictionsRef.model_validate(_run(request, run, spec.label))


@task(name="answer-share", task_run_name="answer-share-{share.number}")
def answer_share(request: PredictRequest, share: Share, run: Run, gpu: int | None) -> int:
    """Answer some of the subsets in a child process that sees one GPU, or all; returns the number of answers."""
    # on a machine without GPUs the variable has no effect
    environment = {} if gpu is None else {"CUDA_VISIBLE_DEVICES": str(gpu)}
    answers: int = _run(request, run, f"{request.name}-{share.number + 1}", share, environment)
    return answers


def _answer_in_parallel(request: PredictRequest, run: Run) -> None:
    """Answer all subsets in `inference.workers` tasks at a time."""
    config = request.config
    with _task_runner(config) as runner, _one_gpu_per_task(config):
        futures = [
            runner.submit(
                answer_share,
                {
                    "request": request,
                    "share": Share(number=number, of=config.workers),
                    "run": run,
                    # on a cluster Ray assigns the GPU
                    "gpu": None if config.ray_address else number,
                },
            )
            for number in range(config.workers)
        ]
        for future in futures:
            future.result()


def _run(
    request: PredictRequest, run: Run, label: str, share: Share | None = None, environment: Mapping[str, str] = EMPTY
) -> Any:
    """Answer in a child process; its lines go to the run's log, its progress to an artifact named by `label`."""
    keys = credentials_of(run)
    with lines_to(run.folder.log) as on_line:
        return run_worker(
            WORKER,
            {"request": request.model_dump(mode="json"), "share": share.model_dump() if share else None},
            _with_progress(on_line, ProgressArtifact("answers", run.name, label), label),
            env={**environment, **(keys.as_environment() if keys else {})},
        )


def _task_runner(config: InferenceConfig) -> TaskRunner[Any]:
    """Runs the tasks in threads of this machine, or on a Ray cluster."""
    if config.ray_address is None:
        return ThreadPoolTaskRunner(max_workers=config.workers)
    try:
        from prefect_ray import RayTaskRunner
    except ImportError:
        raise ConfigError(
            "inference.ray_address needs prefect-ray, which is not installed: `pip install 'rsvlm[ray]'` on all "
            "machines, or leave it empty."
        ) from None
    runner: TaskRunner[Any] = RayTaskRunner(address=config.ray_address)
    return runner


@contextmanager
def _one_gpu_per_task(config: InferenceConfig) -> Iterator[None]:
    """Let Ray assign one GPU to each task, if its cluster has any; does nothing without Ray."""
    if config.ray_address is None:
        yield
        return
    import ray
    from prefect_ray.context import remote_options

    with remote_options(num_gpus=1) if ray.cluster_resources().get("GPU") else nullcontext():
        yield


def _with_progress(on_line: Callable[[str], None], artifact: ProgressArtifact, label: str) -> Callable[[str], None]:
    """Passes lines on, and shows the progress in them: in an artifact, and as a part of the step at work."""

    def handle(line: str) -> None:
        on_line(line)
        if found := answers_progress(line):
            artifact.show(100 * found.answered / max(found.questions, 1), line)
            report(Progress(found.answered, found.questions, left_s=found.left_s, part=label))

    return handle
