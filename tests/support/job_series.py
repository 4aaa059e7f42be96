"""Train several jobs one after the other in the same ranks, since starting them takes longer than a tiny training.

torchrun --nproc-per-node N -m support.job_series --config JOBS.json
"""

import os
from collections.abc import Sequence

from support.locations import REPO

from tasks.processes import run_worker, serve_worker
from tasks.records import CheckpointRef
from tasks.training.job import TrainingJob
from tasks.training.launch import CPU_ENVIRONMENT, launcher, train


def train_all(jobs: Sequence[TrainingJob]) -> list[CheckpointRef]:
    """The final checkpoints of jobs with the same processes; they need folders of their own."""
    path = os.pathsep.join((str(REPO), str(REPO / "tests")))
    run_worker(
        "support.job_series",
        {"jobs": [job.model_dump(mode="json") for job in jobs]},
        lambda line: None,
        launcher=launcher(jobs[0].training),
        env={**CPU_ENVIRONMENT, "PYTHONPATH": path},
    )
    # finished: their checkpoints are only looked up
    return [train(job) for job in jobs]


def work(config: dict[str, list[dict[str, object]]]) -> list[dict[str, int]]:
    """Train all jobs; returns their last steps."""
    from transformers.integrations.deepspeed import unset_hf_deepspeed_config

    from tasks.training import worker

    steps = []
    for job in config["jobs"]:
        # of the job before: it would partition the models that checks build without weights
        unset_hf_deepspeed_config()
        steps.append(worker.work(job))
    return steps


if __name__ == "__main__":
    serve_worker(work)
