"""Answering as Prefect tasks; child processes do it, so that the flow never holds a GPU."""

import re
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
from tasks.inference.request import Asking, KeptIn, PredictRequest, Share
from tasks.orchestration.artifacts import ProgressArtifact
from tasks.orchestration.caching import step
from tasks.orchestration.run_log import lines_to
from tasks.paths import FILTERED_TEST_SET
from tasks.processes import run_worker
from tasks.records import CheckpointRef, DatasetRef, ModelRef, PredictionsRef
from tasks.settings import InferenceConfig
from tasks.storage.runs import Run
from tasks.storage.steps import credentials_of

WORKER = "tasks.inference.worker"
EMPTY: Mapping[str, str] = MappingProxyType({})
PROGRESS = re.compile(r"(\d+) of (\d+) questions answered")


@step("answer-subsets", ignore=["run", "out"], code=SHARED_CODE)
def answer_subsets(
    model: ModelRef, dataset: DatasetRef, asking: Asking, run: Run, out: Path, adapter: CheckpointRef | None = None
) -> PredictionsRef:
    """Answer a dataset's test set with one model, and an adapter on it where one is given, into the folder `out`."""
    request = PredictRequest(
        model=model.path, model_sha256=model.sha256, adapter=adapter.path if adapter else None,
        data=dataset.path / FILTERED_TEST_SET, images=dataset.images,
        out=out, name=asking.label, config=asking.config, subset_size=asking.subset_size,
        store=KeptIn(uri=run.store_uri, config=run.store_config),
    )  # fmt: skip
    if (asking.config.workers > 1 or asking.config.ray_address) and claim(request):
        _answer_side_by_side(request, run)
    return PredictionsRef.model_validate(_run(request, run, asking.label))


@task(name="answer-share", task_run_name="answer-share-{share.number}")
def answer_share(request: PredictRequest, share: Share, run: Run, gpu: int | None) -> int:
    """Answer some of the subsets in a child process that sees one GPU, or what it is given; the number of answers."""
    # without GPUs the variable changes nothing
    environment = {} if gpu is None else {"CUDA_VISIBLE_DEVICES": str(gpu)}
    answers: int = _run(request, run, f"{request.name}-{share.number + 1}", share, environment)
    return answers


def _answer_side_by_side(request: PredictRequest, run: Run) -> None:
    """Answer all subsets in as many tasks as the configuration says."""
    config = request.config
    with _runner(config) as runner, _a_gpu_each(config):
        futures = [
            runner.submit(
                answer_share,
                {
                    "request": request,
                    "share": Share(number=number, of=config.workers),
                    "run": run,
                    # on a cluster Ray says which
                    "gpu": None if config.ray_address else number,
                },
            )
            for number in range(config.workers)
        ]
        for future in futures:
            future.result()


def _run(
    request: PredictRequest, run: Run, shown: str, share: Share | None = None, environment: Mapping[str, str] = EMPTY
) -> Any:
    """Answer in a child process; its lines go to the run's log, and how far it is to Prefect's pages."""
    keys = credentials_of(run)
    with lines_to(run.folder.log) as on_line:
        return run_worker(
            WORKER,
            {"request": request.model_dump(mode="json"), "share": share.model_dump() if share else None},
            _hearing(on_line, ProgressArtifact("answers", run.name, shown)),
            env={**environment, **(keys.as_environment() if keys else {})},
        )


def _runner(config: InferenceConfig) -> TaskRunner[Any]:
    """What the tasks run on: threads of this machine, or a Ray cluster."""
    if config.ray_address is None:
        return ThreadPoolTaskRunner(max_workers=config.workers)
    try:
        from prefect_ray import RayTaskRunner
    except ImportError:
        raise ConfigError(
            "inference.ray_address is set, but prefect-ray is not installed: `pip install 'rsvlm[ray]'` on all "
            "machines, or leave it empty."
        ) from None
    return RayTaskRunner(address=config.ray_address)


@contextmanager
def _a_gpu_each(config: InferenceConfig) -> Iterator[None]:
    """Let Ray give each task a GPU, where its cluster has any; else nothing."""
    if config.ray_address is None:
        yield
        return
    import ray
    from prefect_ray.context import remote_options

    with remote_options(num_gpus=1) if ray.cluster_resources().get("GPU") else nullcontext():
        yield


def _hearing(on_line: Callable[[str], None], board: ProgressArtifact) -> Callable[[str], None]:
    """Hands lines on, and shows those that tell how far the answers are."""

    def hear(line: str) -> None:
        on_line(line)
        if found := PROGRESS.match(line):
            answered, asked = int(found[1]), int(found[2])
            board.show(100 * answered / max(asked, 1), line)

    return hear
