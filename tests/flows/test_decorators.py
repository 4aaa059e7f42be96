"""A run has one owner, and one run at a time creates shared folders; tested with real processes that are killed."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tasks.files import write_text
from tasks.paths import RunFolder, Workspace
from tasks.settings import ExperimentConfig
from tasks.storage.owner import Owner, RunOwned, hold_lock
from tasks.storage.runs import open_run

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]
PATIENCE_S = 300
STEPS = 8
# a step that says that it is at work, and makes its folder when it is let go
SHARED = """
import sys, time
from pathlib import Path
from flows.embedded import prepare_prefect
prepare_prefect()
from prefect import flow
from flows.shared import make_shared
from tasks.files import write_text
from tasks.records import FolderRef
from tasks.orchestration.caching import step
from tasks.manifests import content_digest, atomic_folder, verified_manifest, write_manifest

@step("slow-toy", ignore=["out"])
def slow_toy(out: Path) -> FolderRef:
    if (manifest := verified_manifest(out, "toy")) is None:
        print("making", flush=True)
        sys.stdin.readline()
        with atomic_folder(out) as part:
            write_text(part / "toy.txt", "toy")
            manifest = write_manifest(part, "toy")
    return FolderRef(path=out, sha256=content_digest(manifest))

@flow
def obtain(models: Path) -> Path:
    return make_shared(slow_toy, models / "toy").path

print("has", obtain(Path(sys.argv[1])), flush=True)
"""


PREPARE = """
import sys
from pathlib import Path
from flows.embedded import prepare_prefect
prepare_prefect()
from deployments.configuration import load_config
from flows.prepare_data import prepare_data_flow
config = load_config("mine.yaml", [f"data.seed={sys.argv[1]}"])
print(prepare_data_flow(config, f"seed-{sys.argv[1]}", Path(sys.argv[2])).path)
"""


def until(is_so: Callable[[], Any], what: str) -> Any:
    end = time.monotonic() + PATIENCE_S
    while not (found := is_so()):
        assert time.monotonic() < end, f"waited in vain for {what}"
        time.sleep(0.1)
    return found


class Lab:
    """A workspace, an experiment, and processes that use the test server, each with its own results."""

    def __init__(self, root: Path, api: str, config: ExperimentConfig):
        self.root, self.workspace, self.config = root, root / "workspace", config
        self.env = {**os.environ, "PREFECT_API_URL": api, "PREFECT_SERVER_ALLOW_EPHEMERAL_MODE": "false"}
        write_text(root / "mine.yaml", config.as_yaml())

    @property
    def folder(self) -> RunFolder:
        return Workspace(self.workspace).run("mine")

    @contextmanager
    def python(self, *command: object, home: str = "home") -> "Iterator[subprocess.Popen[str]]":
        pipes: dict[str, Any] = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.PIPE)
        env = {**self.env, "PREFECT_HOME": str(self.root / home)}
        with subprocess.Popen(
            [sys.executable, *map(str, command)], cwd=self.root, env=env, text=True, **pipes
        ) as process:
            try:
                yield process
            finally:
                process.kill()

    def rsvlm(self, command: str, *settings: str, name: str = "mine") -> Any:
        sets = [part for setting in settings for part in ("--set", setting)]
        resume = ["--resume"] if command == "train" else []
        return self.python("-m", "flows.cli", command, "mine.yaml", "--name", name, *resume, *sets)

    @contextmanager
    def training(self) -> Iterator[SimpleNamespace]:
        """A run in the middle of its training, whose training process is paused until it is released."""
        with self.rsvlm("train", f"training.max_steps={STEPS}") as owner:
            until(lambda: owner.poll() is not None or self.steps(), "a step of the training")
            assert owner.poll() is None, owner.communicate()
            (worker,) = children(owner.pid, "tasks.training.worker")
            os.kill(worker, signal.SIGSTOP)
            try:
                yield SimpleNamespace(owner=owner, worker=worker)
            finally:
                with suppress(ProcessLookupError):
                    os.kill(worker, signal.SIGCONT)

    def steps(self) -> list[str]:
        log = self.folder.log
        said = log.read_text(encoding="utf-8").split("\n") if log.exists() else []
        return [line for line in said if line.startswith("step ") and f"/{STEPS}:" in line]


def children(parent: int, named: str) -> list[int]:
    """Child processes with a name."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            status = (folder / "stat").read_text().rpartition(")")[2].split()
            if int(status[1]) == parent and named in (folder / "cmdline").read_text():
                found.append(int(folder.name))
        except OSError:
            continue
    return found


@pytest.fixture
def lab(prefect_server: Path, small_experiment: Callable[..., ExperimentConfig], tmp_path: Path) -> Lab:
    from prefect.settings import PREFECT_API_URL

    return Lab(tmp_path, PREFECT_API_URL.value(), small_experiment(data={"sources": ("LR",)}))


def settings_in(folder: RunFolder) -> tuple[str, list[str]]:
    return folder.experiment.read_text(), sorted(path.name for path in folder.root.iterdir())


def test_a_second_run_of_the_same_name_is_refused_and_the_first_is_unaffected(lab: Lab) -> None:
    with lab.training() as first:
        before = settings_in(lab.folder)
        for command in ("run", "train"):
            for settings in ([f"training.max_steps={STEPS}"], ["training.max_steps=3", "data.seed=5"]):
                with lab.rsvlm(command, *settings) as second:
                    out, error = second.communicate()
                    assert (second.returncode, out) == (2, "")
                assert error.endswith(", or give this run another name.\n".replace(", or", ": wait until it ends, or"))
                assert f"error: The run mine in {lab.workspace} is owned by " in error
                assert f" (process {first.owner.pid}, flow run mine: train-lora, since " in error
                assert "Traceback" not in error
        assert settings_in(lab.folder) == before
        os.kill(first.worker, signal.SIGCONT)
        out, error = first.owner.communicate()
        assert first.owner.returncode == 0, error
        assert out.endswith(f"{lab.folder.training / 'final'}\n")
        assert [line.split(":")[0] for line in lab.steps()] == [f"step {n}/{STEPS}" for n in range(1, STEPS + 1)]


def test_only_flows_started_by_events_work_in_a_run_that_another_process_owns(lab: Lab) -> None:
    from flows.archive_checkpoint import archive_checkpoint_flow
    from flows.experiment import experiment_flow
    from flows.merge_lora import merge_lora_flow
    from flows.prepare_data import prepare_data_flow
    from flows.reevaluate import reevaluate_flow
    from flows.score_checkpoint import score_checkpoint_flow
    from flows.sweep_point import sweep_point_flow
    from flows.train_lora import train_lora_flow

    place = (lab.config, "mine", lab.workspace)
    refused: list[Callable[[], Any]] = [
        *(lambda flow=flow: flow(*place) for flow in (experiment_flow, prepare_data_flow, train_lora_flow)),
        *(lambda flow=flow: flow(*place) for flow in (merge_lora_flow, sweep_point_flow)),
        lambda: reevaluate_flow("mine", workspace=lab.workspace),
        lambda: reevaluate_flow("mine", workspace=lab.workspace, config=lab.config),
    ]
    with lab.training():
        before = settings_in(lab.folder)
        for attempt in refused:
            with pytest.raises(RunOwned):
                attempt()
        archived = archive_checkpoint_flow("mine", workspace=lab.workspace)
        assert score_checkpoint_flow("mine", workspace=lab.workspace) == []
        assert settings_in(lab.folder) == before
        assert not archived or archived == [1]


def test_a_run_whose_owner_was_killed_is_taken_over_after_its_training_has_ended(lab: Lab) -> None:
    with lab.training() as first:
        first.owner.kill()
        first.owner.wait()
        with lab.rsvlm("train", f"training.max_steps={STEPS}") as second:
            said = until(lambda: "Waiting for" in (line := second.stderr.readline()) and line, "a sentence")
            assert f"(process {first.owner.pid}, flow run mine: train-lora, since " in said
            os.kill(first.worker, signal.SIGCONT)
            out, error = second.communicate()
            assert second.returncode == 0, error
            assert out.endswith(f"{lab.folder.training / 'final'}\n")
        # no step was made by two at a time
        assert [line.split(":")[0] for line in lab.steps()] == [f"step {n}/{STEPS}" for n in range(1, STEPS + 1)]


@pytest.mark.parametrize("dies", [False, True])
def test_one_of_two_runs_creates_the_toy_and_the_other_waits(lab: Lab, dies: bool) -> None:
    program = lab.root / "program" / "shared.py"
    write_text(program, SHARED)
    models = lab.workspace / "models"
    with lab.python(program, models, home="a") as first:
        assert first.stdout.readline() == "making\n"
        with lab.python(program, models, home="b") as second:
            until(lambda: "Waiting for" in second.stderr.readline(), "the second to wait")
            if dies:
                first.kill()
                assert second.stdout.readline() == "making\n"
                second.stdin.write("\n")
                second.stdin.flush()
            else:
                first.stdin.write("\n")
                first.stdin.flush()
            out, error = second.communicate()
            assert (second.returncode, out) == (0, f"has {models / 'toy'}\n"), error
        out, _error = first.communicate()
        assert out == ("" if dies else f"has {models / 'toy'}\n")


def test_drawn_data_of_a_run_stays_when_another_run_draws_other_data(
    prefect_server: Path, small_experiment: Callable[..., ExperimentConfig], tmp_path: Path
) -> None:
    from flows.prepare_data import prepare_data_flow

    sizes = (40, 48, 40)
    made = [
        prepare_data_flow(small_experiment(data={"sample": {"scenes": scenes, "image_size": 48}}), name, tmp_path)
        for name, scenes in zip("abc", sizes, strict=True)
    ]
    assert made[0].images == made[2].images == tmp_path / "data" / "imagenes" != made[1].images
    for sets, scenes in zip(made, sizes, strict=True):
        assert len(list(sets.images.rglob("*.*"))) == scenes
    assert not list(tmp_path.rglob("superseded"))


def test_two_runs_that_split_a_data_folder_at_the_same_time_have_separate_sets(lab: Lab) -> None:
    me = Owner(user="ana", host="lab", pid=os.getpid(), since="today")
    with ExitStack() as stack:
        with hold_lock(lab.workspace / ".sets.lock", me, print):
            runs = [stack.enter_context(lab.python("-c", PREPARE, seed, lab.workspace)) for seed in (1, 2)]
            for run in runs:
                until(lambda run=run: "Waiting for ana on lab" in run.stderr.readline(), "a run to wait")
        ended = [run.communicate() for run in runs]
    assert [run.returncode for run in runs] == [0, 0], ended
    places = {Path(out.split("\n")[-2]) for out, _error in ended}
    shared = lab.workspace / "data" / "sets"
    assert len(places) == 2 and shared in places
    (own,) = places - {shared}
    assert own.parent.name in ("seed-1", "seed-2") and not list(lab.workspace.rglob("superseded"))


def test_machines_of_a_training_share_one_experiment_yaml(
    small_experiment: Callable[..., ExperimentConfig], tmp_path: Path
) -> None:
    machines = {"nnodes": 2, "rdzv_endpoint": "host:1"}
    for node_rank in (0, 1, 0):
        run = open_run(small_experiment(training={**machines, "node_rank": node_rank}), "mine", tmp_path)
    assert "node_rank: 0" in run.folder.experiment.read_text() and not run.folder.superseded.exists()


def test_scoring_with_changed_settings_keeps_the_settings_of_the_run(
    prefect_server: Path, small_experiment: Callable[..., ExperimentConfig], tmp_path: Path
) -> None:
    from flows.prepare_data import prepare_data_flow
    from tasks.storage.owner import as_guest

    config = small_experiment()
    run = open_run(config, "mine", tmp_path)
    with as_guest(run.folder):
        prepare_data_flow(small_experiment(inference={"batch_size": 1}), "mine", tmp_path)
    assert run.folder.experiment.read_text() == config.as_yaml()
