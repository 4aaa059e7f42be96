"""A run without a model: a trainer that saves checkpoints, and the process with the uploader that started it.

Reads one JSON object a line: {"jobs": [job, ...]}. Each job becomes a process (this one has everything loaded, and
forks), which forks its trainer. The answer is {"pids": [...]} at once and {"codes": [...]} when all have ended. With
`kill_trainer_at` or `kill_uploader_at` a process is sent SIGKILL right before its so many-th step: a file that is
opened, linked, renamed or removed below the job's folder, or something that is sent to the store. The trainer's steps
are counted from the last file of the checkpoint that `kill_in` names. With `events`, {step saved: [events received]},
there is no uploader: each event starts a process that sweeps, as the flow archive-checkpoint does. With
`saved_at_s` each checkpoint is saved at that time, in seconds, plus its step.
"""

import json
import logging
import os
import signal
import sys
import traceback
from collections.abc import Callable, Iterable, Iterator
from functools import cache
from pathlib import Path
from threading import Lock

import boto3  # noqa: F401 - loaded once for all processes
from botocore.loaders import JSONFileLoader
from botocore.retries.standard import ExponentialBackoff

from tasks.errors import UserError
from tasks.processes import die_with_parent
from tasks.settings import ArchiveConfig, StoreConfig
from tasks.storage.checkpoints.archiver import Archive, archive_staged
from tasks.storage.checkpoints.uploader import Uploader
from tasks.storage.object_store import open_store
from tasks.training.saved_checkpoints import complete_checkpoints, mark_complete, remove_incomplete, rotate, step_of

from tasks.storage.checkpoints.staging import stage_checkpoint  # isort: skip

FILE_STEPS = frozenset({"open", "os.link", "os.rename", "os.remove", "os.mkdir", "os.rmdir"})
SENT = "http.client.send"
RETRY_DELAYS_S = (0.1, 0.2, 0.5, 1.0, 2.0, 3.0, 3.0)
USER_ERROR_EXIT = 2
SHARED, SMALL = bytes(200_000), 1000
# boto3 waits up to 15 s between its attempts
PAUSE_S = 0.05


def die_at(number: int | None, root: Path) -> Callable[[], int]:
    """Count steps from now on and die before one of them; returns a function that returns the count."""
    lock, seen, below = Lock(), [0], f"{root}/"

    def step(event: str, arguments: tuple[object, ...]) -> None:
        if event == SENT or (event in FILE_STEPS and str(arguments[0]).startswith(below)):
            with lock:
                seen[0] += 1
                if seen[0] == number:
                    os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(step)
    return lambda: seen[0]


def train(job: dict, say: Callable[[str], None]) -> None:
    """Save a checkpoint per step, after those of an earlier trainer; the bytes differ each time."""
    training = Path(job["root"]) / "training"
    remove_incomplete(training)
    saved = {step_of(path) for path in complete_checkpoints(training)}
    steps = [step for step in job["steps"] if step > max(saved, default=0)]
    for step in steps:
        checkpoint = training / f"checkpoint-{step}"
        checkpoint.mkdir(parents=True)
        (checkpoint / "adapter_model.safetensors").write_bytes(
            os.urandom(job["weights"] if step == job["kill_in"] else SMALL)
        )
        (checkpoint / "tokenizer.json").write_bytes(SHARED)
        (checkpoint / "optimizer.pt").write_bytes(b"states %d" % step)
        if step == job["kill_in"] and job["kill_trainer_at"] is not None:
            count = die_at(job["kill_trainer_at"], Path(job["root"]))
            say(f"armed {step}")
        mark_complete(checkpoint, step, "toy")
        if job["saved_at_s"] is not None:
            os.utime(checkpoint / "COMPLETE.json", (job["saved_at_s"] + step,) * 2)
        stage_checkpoint(checkpoint, training / "staging")
        say(f"saved {step}")
        rotate(training, job["keep"])
        if step == job["kill_in"] and job["kill_trainer_at"] is not None:
            say(f"steps {count()}")


def run(job: dict) -> None:
    """Start the trainer as a child and archive its checkpoints, as a flow does."""
    ready_out, ready_in = os.pipe()
    lines_out, lines_in = os.pipe()
    parent = os.getpid()
    if (trainer := os.fork()) == 0:
        die_with_parent()
        # the parent may have died before that
        os.close(ready_in)
        if os.getppid() != parent or not os.read(ready_out, 1):
            os._exit(0)
        end(lambda: train(job, lambda line: os.write(lines_in, f"{line}\n".encode())))
    os.close(lines_in)
    os.close(ready_out)
    bring = sweep_at_events if job["events"] else upload
    with os.fdopen(lines_out) as lines:
        bring(job, lines_of(job, lines), lambda: os.write(ready_in, b"!"))
    # a trainer killed on purpose is no failure of this process, which has archived what was saved
    if (code := exit_code(trainer)) != -signal.SIGKILL:
        os._exit(code)


def upload(job: dict, lines: Iterator[str], begin: Callable[[], object]) -> None:
    """Keep an uploader beside the trainer, and notify it of each line as often as the job says."""
    count = die_at(job["kill_uploader_at"], Path(job["root"]))
    with Uploader(archive_of(job), RETRY_DELAYS_S) as uploader:
        begin()
        for _line in lines:
            for _ in range(job["alarms"]):
                uploader.notify()
    (Path(job["root"]) / "uploader_steps").write_text(str(count()))


def sweep_at_events(job: dict, lines: Iterator[str], begin: Callable[[], object]) -> None:
    """Start a process for each event received, and wait for them only at the end."""
    sweepers = []
    begin()
    for line in lines:
        for _event in job["events"].get(line.removeprefix("saved "), ()):
            if (pid := os.fork()) == 0:
                end(lambda: archive_staged(archive_of(job)))
            sweepers.append(pid)
    if code := max(exit_code(pid) for pid in sweepers):
        os._exit(code)


def lines_of(job: dict, lines: Iterable[str]) -> Iterator[str]:
    """The trainer's lines, which are also written to a file."""
    for line in lines:
        with (Path(job["root"]) / "lines").open("a") as file:
            file.write(line)
        yield line.rstrip("\n")


def archive_of(job: dict) -> Archive:
    """The archive of the job's checkpoints."""
    config = StoreConfig(endpoint_url=job["endpoint"], part_mib=5, parts_in_flight=3)
    return Archive(
        Path(job["root"]) / "training" / "staging",
        open_store(job["uri"], config=config),
        job["run"],
        ArchiveConfig.model_validate(job["rules"]),
    )


def exit_code(pid: int) -> int:
    """Wait for a process."""
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def end(work: Callable[[], None]) -> None:
    """Do the work of a forked process and end it with the code that a command would end with."""
    code = 0
    try:
        work()
    except UserError as error:
        code = USER_ERROR_EXIT
        print(error, file=sys.stderr, flush=True)
    except BaseException:
        code = 1
        traceback.print_exc()
    os._exit(code)


def main() -> None:
    """Start the jobs of each line until the input ends."""
    logging.basicConfig(level=logging.ERROR)
    # what boto3 reads to make a client, read once for all processes
    load = cache(JSONFileLoader().load_file)
    JSONFileLoader.load_file = lambda _self, path: load(path)
    open_store("s3://any", config=StoreConfig(region="us-east-1"))
    ExponentialBackoff.delay_amount = lambda *_: PAUSE_S
    for line in sys.stdin:
        pids = []
        for job in json.loads(line)["jobs"]:
            if (pid := os.fork()) == 0:
                end(lambda job=job: run(job))
            pids.append(pid)
        print(json.dumps({"pids": pids}), flush=True)
        codes = [exit_code(pid) for pid in pids]
        print(json.dumps({"codes": codes}), flush=True)


if __name__ == "__main__":
    main()
