"""A merge that is killed at any moment leaves nothing under the final name, and the next run completes."""

import random
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from support.locations import REPO
from support.tuned_models import shard

from tasks.manifests import verified_manifest
from tasks.merging.merge import merge_adapter
from tasks.processes import run_worker
from tasks.records import ModelRef

# Stops itself before the file of its first argument is opened for writing: a kill at that very point.
STOPPED_MERGE = """
import os, signal, sys
from pathlib import Path
from tasks.merging.merge import merge_adapter

def stop(event, arguments):
    if event == "open" and "w" in str(arguments[1]):
        if Path(str(arguments[0])).name.lstrip(".").startswith(sys.argv[1]):
            os.kill(os.getpid(), signal.SIGKILL)

base, adapter, out = map(Path, sys.argv[2:])
sys.addaudithook(stop)
merge_adapter(base, adapter, out)
"""
# Kills itself when as many files were opened, renamed or folders made and removed since the merge began.
COUNTED_MERGE = """
import os, signal, sys
from pathlib import Path
from tasks.merging.merge import merge_adapter

left = int(sys.argv[1])

def count(event, arguments):
    global left
    if event in ("open", "os.rename", "os.mkdir", "os.rmdir", "os.remove"):
        left -= 1
        if left == 0:
            os.kill(os.getpid(), signal.SIGKILL)

base, adapter, out = map(Path, sys.argv[2:])
sys.addaudithook(count)
merge_adapter(base, adapter, out)
"""


@pytest.mark.parametrize("file", ["tokenizer_config.json", "model-00002-of-00002", "model.safetensors.index"])
def test_a_killed_merge_leaves_nothing_under_the_final_name(
    base: Path, adapter: Path, tmp_path: Path, file: str
) -> None:
    shard(base)
    out = tmp_path / "merged"
    command = [sys.executable, "-c", STOPPED_MERGE, file, str(base), str(adapter), str(out)]
    killed = subprocess.run(command, cwd=REPO, check=False, timeout=120)
    assert killed.returncode == -signal.SIGKILL
    assert not out.exists()
    assert list(tmp_path.glob(".merged.*.part"))
    merge_adapter(base, adapter, out)
    assert verified_manifest(out)
    assert not list(tmp_path.glob(".merged.*.part"))


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
@pytest.mark.parametrize("seed", range(6))
def test_after_a_kill_at_a_random_moment_the_next_run_completes(
    base: Path, adapter: Path, tmp_path: Path, seed: int
) -> None:
    out = tmp_path / "merged"
    # each opened file is a moment; the count of them is drawn
    moment = random.Random(seed).randrange(1, 240)
    command = [sys.executable, "-c", COUNTED_MERGE, str(moment), str(base), str(adapter), str(out)]
    killed = subprocess.run(command, cwd=REPO, check=False, timeout=120)
    assert killed.returncode == -signal.SIGKILL or verified_manifest(out)
    assert verified_manifest(out) or not out.exists()
    merge_adapter(base, adapter, out)
    assert verified_manifest(out)
    assert not list(tmp_path.glob(".merged.*.part"))


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
