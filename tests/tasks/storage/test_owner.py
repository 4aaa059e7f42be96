"""A run has one owner at a time, however processes end; with real processes that are killed."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

from tasks.paths import RunFolder
from tasks.storage.owner import Owner, RunOwned, as_guest, hold_lock, is_guest, owned, require_not_owned

ME = Owner(user="ana", host="lab", pid=os.getpid(), since="today")
# owns a run, or holds a lock, until a line comes; a child that outlives it may be asked for
HOLDER = """
import os, sys
from pathlib import Path
from threading import Thread
from tasks.paths import RunFolder
from tasks.processes import run_streamed
from tasks.storage.owner import Owner, owned, hold_lock

what, folder, flow_run, child, name = sys.argv[1:]
flow_run = {"flow_run": name or None, "flow_run_id": flow_run or None}
owner = Owner(user="ben", host="lab", pid=os.getpid(), since="before", **flow_run)
tell = lambda text: print("told:", text, flush=True)
how = hold_lock(Path(folder), owner, tell) if what == "lock" else owned(RunFolder(Path(folder)), owner, tell, int(what))
with how:
    if child:
        # deaf to the signal that comes when its parent dies, as a training that saves is for a while
        code = "import os, signal; signal.signal(15, lambda *_: None); print(os.getpid(), flush=True)"
        code += "\\nwhile True: signal.pause()"
        run_streamed([sys.executable, "-c", code], lambda line: print(line, flush=True))
    else:
        print("holds", flush=True)
        sys.stdin.readline()
print("left", flush=True)
"""


@contextmanager
def started(what: str, place: Path, flow_run: str = "", child: bool = False, name: str = "") -> Iterator[Any]:
    """A process that takes a lock; killed at the end."""
    command = [sys.executable, "-c", HOLDER, what, str(place), flow_run, "child" if child else "", name]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with subprocess.Popen(command, text=True, **pipes) as process:
        try:
            yield process
        finally:
            process.kill()


@contextmanager
def holding(what: str, place: Path, flow_run: str = "", name: str = "") -> Iterator[Any]:
    """The same once it has the lock."""
    with started(what, place, flow_run, name=name) as process:
        assert line(process) == "holds"
        yield process


def line(process: Any) -> str:
    return str(process.stdout.readline()).rstrip("\n")


def leaves(process: Any) -> bool:
    """Have a holder leave in order."""
    process.stdin.write("\n")
    process.stdin.flush()
    return line(process) == "left" and process.wait() == 0


@pytest.fixture
def folder(tmp_path: Path) -> RunFolder:
    return RunFolder(tmp_path / "workspace" / "runs" / "demo")


def silent(text: str) -> None:
    raise AssertionError(f"nothing was to be told: {text}")


def refusal(folder: RunFolder) -> str:
    """The one sentence in which both the look ahead and the lock refuse."""
    with pytest.raises(RunOwned) as looked:
        require_not_owned(folder)
    with pytest.raises(RunOwned) as tried, owned(folder, ME, silent):
        pass
    said = [str(looked.value), str(tried.value)]
    assert said[0] == said[1] and "\n" not in said[0]
    return said[0]


def test_a_second_process_is_refused_with_the_name_of_the_owner(folder: RunFolder) -> None:
    with holding("0", folder.root) as first:
        assert refusal(folder) == (
            f"The run demo in {folder.root.parents[1]} is owned by ben on lab (process {first.pid}, since before): "
            "wait until it ends, or give this run another name."
        )


def test_the_name_of_an_owner_includes_its_flow_run(folder: RunFolder) -> None:
    with holding("0", folder.root, flow_run="id-1", name="demo") as first:
        assert f"(process {first.pid}, flow run demo, since before)" in refusal(folder)


def test_a_stopped_process_still_owns_its_run(folder: RunFolder) -> None:
    with holding("0", folder.root) as first:
        first.send_signal(signal.SIGSTOP)
        os.waitid(os.P_PID, first.pid, os.WSTOPPED)
        assert str(first.pid) in refusal(folder)


def test_an_owner_without_a_written_name_owns_its_run(folder: RunFolder) -> None:
    with holding("0", folder.root):
        folder.owner_lock().write_bytes(b"")
        assert "is owned by another process: wait" in refusal(folder)


def test_a_run_that_has_ended_has_no_owner(folder: RunFolder) -> None:
    with holding("0", folder.root) as first:
        assert leaves(first)
        require_not_owned(folder)
        with owned(folder, ME, silent):
            assert json.loads(folder.owner_lock().read_text())["user"] == "ana"
    assert folder.owner_lock().read_text() == folder.children_lock().read_text() == ""


def test_require_not_owned_writes_nothing(folder: RunFolder) -> None:
    require_not_owned(folder)
    assert not folder.root.exists()


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_the_lock_of_a_dead_owner_is_taken_over(folder: RunFolder, how: signal.Signals) -> None:
    told: list[str] = []
    with holding("0", folder.root) as first:
        first.send_signal(how)
        first.wait()
        with owned(folder, ME, told.append):
            pass
    # after Ctrl-C Python leaves in order
    assert [f"process {first.pid}" in text for text in told] == [] if how is signal.SIGINT else [True]


def test_a_new_owner_waits_for_children_of_a_dead_one(folder: RunFolder) -> None:
    with started("0", folder.root, child=True) as first:
        child = int(line(first))
        first.kill()
        first.wait()
        require_not_owned(folder)
        with started("0", folder.root) as second:
            assert f"told: The last owner of {folder.root}, ben on lab (process {first.pid}" in line(second)
            assert f"told: Waiting for ben on lab (process {first.pid}, since before), or its children" in line(second)
            # the second owns the run already, and a third is refused
            assert str(second.pid) in refusal(folder)
            os.kill(child, signal.SIGKILL)
            assert line(second) == "holds"
            assert leaves(second)


def test_a_restarted_flow_run_waits_for_its_earlier_process(folder: RunFolder) -> None:
    with holding("0", folder.root, flow_run="id-1") as first, started("0", folder.root, flow_run="id-1") as again:
        assert f"told: An earlier process of this flow run, ben on lab (process {first.pid}" in line(again)
        with started("0", folder.root, flow_run="id-2") as other:
            assert other.wait() and "RunOwned" in other.stderr.read()
        first.kill()
        assert "told: The last owner of" in line(again)
        assert line(again) == "holds"
        assert leaves(again)


def test_the_machines_of_a_training_own_it_together(folder: RunFolder) -> None:
    with holding("1", folder.root):
        with owned(folder, ME, silent):
            assert "is owned by ana" in refusal_of(lambda: require_not_owned_elsewhere(folder))
        with pytest.raises(RunOwned):
            require_not_owned(folder, 1)


def refusal_of(attempt: Callable[[], None]) -> str:
    with pytest.raises(RunOwned) as refused:
        attempt()
    return str(refused.value)


def require_not_owned_elsewhere(folder: RunFolder) -> None:
    """As another process would look: from a thread, which works in no run."""
    errors: list[BaseException] = []

    def look() -> None:
        try:
            with owned(folder, ME, silent):
                pass
        except RunOwned as error:
            errors.append(error)

    thread = Thread(target=look)
    thread.start()
    thread.join()
    for error in errors:
        raise error


def test_nested_calls_own_the_run_and_other_threads_do_not(folder: RunFolder) -> None:
    with owned(folder, ME, silent):
        with owned(folder, ME, silent):
            pass
        assert "is owned by ana" in refusal_of(lambda: require_not_owned_elsewhere(folder))
    require_not_owned_elsewhere(folder)


def test_owning_one_run_does_not_lock_others(folder: RunFolder) -> None:
    with holding("0", folder.root), owned(RunFolder(folder.root.with_name("other")), ME, silent):
        pass


def test_a_process_that_works_next_to_an_owner_is_a_guest(folder: RunFolder) -> None:
    with holding("0", folder.root):
        with as_guest(folder), owned(folder, ME, silent):
            assert is_guest(folder)
        assert not is_guest(folder)
    with owned(folder, ME, lambda told: None):
        assert not is_guest(folder)
        with as_guest(folder):
            assert is_guest(folder)


def test_hold_lock_waits_and_takes_over_the_lock_of_a_dead_process(tmp_path: Path) -> None:
    lock = tmp_path / ".toy.lock"
    with holding("lock", lock) as first, started("lock", lock) as second:
        assert line(second).startswith(f"told: Waiting for ben on lab (process {first.pid}")
        first.kill()
        assert line(second) == "holds"
        assert leaves(second)
    with hold_lock(lock, ME, silent):
        pass


def test_hold_lock_lasts_until_the_children_have_ended(tmp_path: Path) -> None:
    lock = tmp_path / ".toy.lock"
    with started("lock", lock, child=True) as first:
        child = int(line(first))
        first.kill()
        first.wait()
        with started("lock", lock) as second:
            assert line(second).startswith(f"told: Waiting for ben on lab (process {first.pid}")
            os.kill(child, signal.SIGKILL)
            assert line(second) == "holds"
            assert leaves(second)
