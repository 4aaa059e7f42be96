"""A merge that is killed at any moment leaves nothing under the final name, and the next run completes."""

import json
import random
import subprocess
import sys
from pathlib import Path
from shutil import copytree

import pytest
from support.locations import REPO
from support.tuned_models import shard

from tasks.manifests import verified_manifest
from tasks.merging.merge import merge_adapter
from tasks.processes import run_worker
from tasks.records import ModelRef

# Merges once, and then once per case in a forked process that kills itself: before the first file of the case's name
# is opened for writing, or when a share of all files and folders has been opened, renamed, created or removed.
KILLED_MERGES = """
import json, os, signal, sys
from pathlib import Path
from tasks.merging.merge import merge_adapter

base, adapter, outs = map(Path, sys.argv[1:4])
steps = dict.fromkeys(("open", "os.rename", "os.mkdir", "os.rmdir", "os.remove"), 0)

def count(event, arguments):
    if event in steps:
        steps[event] += 1

def kill_at(case):
    left = 1 + int(case * sum(steps.values())) if isinstance(case, float) else -1
    def hook(event, arguments):
        nonlocal left
        if event in steps:
            left -= 1
            name = Path(str(arguments[0])).name.lstrip(".") if event == "open" and "w" in str(arguments[1]) else ""
            if left == 0 or (isinstance(case, str) and name.startswith(case)):
                os.kill(os.getpid(), signal.SIGKILL)
    return hook

# what is imported late is imported by the first
merge_adapter(base, adapter, outs / "first")
sys.addaudithook(count)
merge_adapter(base, adapter, outs / "second")
for number, case in enumerate(json.loads(sys.argv[4])):
    child = os.fork()
    if child == 0:
        sys.addaudithook(kill_at(case))
        merge_adapter(base, adapter, outs / str(number) / "merged")
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL, case
"""
FILES = ["tokenizer_config.json", "model-00002-of-00002", "model.safetensors.index"]
MOMENTS = [random.Random(seed).random() for seed in range(6)]
CASES = [*FILES, *MOMENTS]


@pytest.fixture(scope="module")
def killed_merges(
    made_base: Path, made_adapter: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, Path, Path]:
    """A base, an adapter and a folder with one folder per case, in which their merge was killed."""
    folder = tmp_path_factory.mktemp("killed")
    base = copytree(made_base, folder / "base")
    shard(base)
    command = [sys.executable, "-c", KILLED_MERGES, str(base), str(made_adapter), str(folder), json.dumps(CASES)]
    subprocess.run(command, cwd=REPO, check=True, timeout=300)
    return base, made_adapter, folder


@pytest.mark.parametrize("case", CASES)
def test_a_killed_merge_leaves_nothing_under_the_final_name_and_the_next_one_completes(
    killed_merges: tuple[Path, Path, Path], case: str | float
) -> None:
    base, adapter, folder = killed_merges
    out = folder / str(CASES.index(case)) / "merged"
    assert not out.exists()
    if case in FILES:
        assert list(out.parent.glob(".merged.*.part"))
    merge_adapter(base, adapter, out)
    assert verified_manifest(out)
    assert not list(out.parent.glob(".merged.*.part"))


# Begins a merge and waits before its first file for a line on stdin.
WAITING_MERGE = """
import sys
from pathlib import Path
from tasks.manifests import atomic_folder

with atomic_folder(Path(sys.argv[1])) as part:
    print("begun", flush=True)
    sys.stdin.readline()
    (part / "file").touch()
"""


def test_the_unfinished_directory_of_another_process_is_kept(base: Path, adapter: Path, tmp_path: Path) -> None:
    out = tmp_path / "merged"
    command = [sys.executable, "-c", WAITING_MERGE, str(out)]
    with subprocess.Popen(command, cwd=REPO, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout is not None
        other.stdout.readline()
        merge_adapter(base, adapter, out)
        assert len(list(tmp_path.glob(".merged.*.part"))) == 1
        other.communicate("go on\n")
    assert other.returncode == 0


@pytest.mark.slow
def test_the_worker_merges_in_a_child_process(base: Path, adapter: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    order = {
        "base": str(base),
        "checkpoint": str(adapter),
        "out": str(out),
        "dtype": "base",
        "format": "transformers",
        "verify": False,
    }
    found = ModelRef.model_validate(run_worker("tasks.merging.worker", order))
    assert found == merge_adapter(base, adapter, out)
