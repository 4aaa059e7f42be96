"""Child processes: started without a shell, in a fixed locale, streamed line by line, ended with all their children.

A worker is a module with `serve_worker(work)` under `if __name__ == "__main__"`; its parent calls `run_worker`. Heavy
libraries and GPU memory are in the worker only and are freed when it ends. `map_in_processes` and `call_in_process`
run single functions in a pool of processes.
"""

import argparse
import ctypes
import json
import multiprocessing
import os
import re
import resource
import signal
import subprocess
import sys
import tempfile
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from pathlib import Path
from threading import Event, Thread
from types import ModuleType
from typing import Any, NoReturn, TypeVar

from tasks.errors import ConfigError, ProcessFailed, UserError, user_error
from tasks.files import read_json, write_json
from tasks.interrupting import sigint_blocked
from tasks.pipe_lines import lines_of

Item = TypeVar("Item")
Result = TypeVar("Result")

USER_ERROR_EXIT = 2
LAST_LINES = 25
TIME_IS_UP = "its time limit has passed"
PR_SET_PDEATHSIG = 1
# Running children, each the leader of its process group.
_running: "set[subprocess.Popen[bytes]]" = set()
# Unbuffered lines; progress bars of libraries would fill the log.
WORKER_ENVIRONMENT = {"PYTHONUNBUFFERED": "1", "HF_HUB_DISABLE_PROGRESS_BARS": "1"}
# In the user's own locale programs may write 0.5 as "0,5", lower "I" to a dotless one and translate their errors.
LOCALE = {"LC_ALL": "C.UTF-8"}
LOCALE_VARIABLE = re.compile(r"LANG(UAGE)?|LC_\w+")
# File descriptors that children inherit: a lock on one is released when the last child has ended.
INHERITED_FDS: ContextVar[tuple[int, ...]] = ContextVar("inherited_fds", default=())


def die_with_parent() -> None:
    """For `preexec_fn`: the kernel sends the child SIGTERM when the thread that started it ends for any reason."""
    # a parent that is killed runs no `finally`
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)


def child_environment(more: Mapping[str, str] | None = None) -> dict[str, str]:
    """Environment variables for every child: those of this process, with a fixed UTF-8 locale, and `more`."""
    kept = {name: value for name, value in os.environ.items() if not LOCALE_VARIABLE.fullmatch(name)}
    return {**kept, **LOCALE, **(more or {})}


def require_names_in_utf8(config: object) -> None:
    """Raise ConfigError for the first text that is not ASCII if this process, unlike its children, is not in UTF-8."""
    encoding = sys.getfilesystemencoding()
    name = None if encoding == "utf-8" else next((text for text in _texts(config) if not text.isascii()), None)
    if name is not None:
        raise ConfigError(
            f"{name} has letters beyond ASCII, and the encoding of this locale is {encoding}, in which file names "
            "differ from UTF-8: set LC_ALL=C.UTF-8, or rename it."
        )


def _texts(value: object) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict | list | tuple):
        for inner in value.values() if isinstance(value, dict) else value:
            yield from _texts(inner)


def run_streamed(
    command: Sequence[str],
    on_line: Callable[[str], None],
    timeout_s: float | None = None,
    env: dict[str, str] | None = None,
) -> None:
    """Run a command to its end and pass each line of its output to `on_line`.

    The child leads its own process group. The group is ended with it, when this function is left for any reason, and
    after `timeout_s` seconds. Raises ProcessFailed with the last lines for an exit code other than 0.
    """
    child = subprocess.Popen(  # noqa: S603 - a list of arguments, no shell
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        bufsize=0,
        env=child_environment(env),
        start_new_session=True,
        preexec_fn=die_with_parent,
        pass_fds=INHERITED_FDS.get(),
    )
    _running.add(child)
    timed_out = Event()
    watcher = Thread(target=_end_in_time, args=(child, timeout_s, timed_out), daemon=True)
    lines: deque[str] = deque(maxlen=LAST_LINES)
    output = child.stdout
    assert output is not None
    try:
        watcher.start()
        for line in lines_of(output):
            lines.append(line)
            on_line(line)
        code = child.wait()
    finally:
        end_group(child)
        _running.discard(child)
        watcher.join()
        output.close()
    if timed_out.is_set():
        lines.append(f"ended after {timeout_s:g} s: {TIME_IS_UP}")
    if code or timed_out.is_set():
        raise ProcessFailed(command, code, lines)


def _end_in_time(child: "subprocess.Popen[bytes]", timeout_s: float | None, timed_out: Event) -> None:
    """End the rest of a child's group when the child has ended or its time limit has passed."""
    try:
        child.wait(timeout_s)
    except subprocess.TimeoutExpired:
        timed_out.set()
    # also after success: a process that the child left running would keep its output open for ever
    end_group(child)


def end_group(child: "subprocess.Popen[Any]", grace_s: float = 20) -> None:
    """End a child and its process group: SIGTERM, then SIGKILL when the child has exited or after `grace_s` seconds."""
    for stop, wait_s in ((signal.SIGTERM, grace_s), (signal.SIGKILL, grace_s)):
        try:
            os.killpg(child.pid, stop)
        except ProcessLookupError:
            return
        try:
            child.wait(timeout=wait_s)
        except subprocess.TimeoutExpired:
            continue


def kill_children() -> None:
    """Kill all running children and their process groups."""
    for child in tuple(_running):
        with suppress(ProcessLookupError):
            os.killpg(child.pid, signal.SIGKILL)


def run_worker(
    module: str,
    config: Mapping[str, object],
    on_line: Callable[[str], None] = print,
    timeout_s: float | None = None,
    launcher: Sequence[str] = (),
    env: dict[str, str] | None = None,
) -> object:
    """Run `python [launcher] -m module --config FILE` and return the result of its work function, as read from JSON.

    A UserError in the worker is raised here again with the same class; any other failure raises ProcessFailed. Raises
    ConfigError for a text that the worker, in UTF-8, would take for the name of another file.
    """
    require_names_in_utf8(config)
    with tempfile.TemporaryDirectory(prefix="rsvlm-worker-") as folder:
        files = {name: Path(folder) / f"{name}.json" for name in ("config", "result", "error")}
        write_json(files["config"], config)
        command = [sys.executable, *launcher, "-m", module, "--config", str(files["config"])]
        try:
            run_streamed(command, on_line, timeout_s, {**WORKER_ENVIRONMENT, **(env or {})})
        except ProcessFailed:
            if files["error"].exists():
                raise user_error(**read_json(files["error"])) from None
            raise
        return read_json(files["result"], allow_nan=True)


def serve_worker(work: Callable[[Any], object]) -> NoReturn:
    """The main program of a worker: read --config, do the work, write its result or error next to the config file."""
    parser = argparse.ArgumentParser(description=work.__doc__)
    parser.add_argument("--config", type=Path, required=True, help="JSON file with the parameters of the work")
    config_file: Path = parser.parse_args().config
    try:
        result = work(read_json(config_file))
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        write_json(config_file.with_name("error.json"), {"kind": type(error).__name__, "message": str(error)})
        sys.exit(USER_ERROR_EXIT)
    # with several ranks, the first one on each machine writes the result for its parent
    if os.environ.get("LOCAL_RANK", "0") == "0":
        write_json(config_file.with_name("result.json"), json.loads(json.dumps(result, default=str)))
    sys.exit(0)


def map_in_processes(
    work: Callable[[Item], Result], items: Iterable[Item], workers: int, chunk: int = 1
) -> list[Result]:
    """Results of `work`, a function of an importable module, for all items, in their order."""
    # spawned: a flow's process has threads, and a fork would copy their locks
    with ProcessPoolExecutor(workers, multiprocessing.get_context("spawn"), die_with_parent) as pool:
        with _main_module_hidden(), sigint_blocked():
            # all processes are started here
            results = pool.map(work, items, chunksize=chunk)
        return list(results)


def call_in_process(work: Callable[[], Result], memory_bytes: int) -> Result:
    """Result of `work` in a process of its own, whose address space is limited to `memory_bytes`.

    Raises BrokenProcessPool if the process ends before it returns.
    """
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, context, _limit_memory, (memory_bytes,)) as pool:
        with _main_module_hidden(), sigint_blocked():
            future = pool.submit(work)
        return future.result()


def _limit_memory(memory_bytes: int) -> None:
    die_with_parent()
    _, hard_limit = resource.getrlimit(resource.RLIMIT_AS)
    limit = memory_bytes if hard_limit == resource.RLIM_INFINITY else min(memory_bytes, hard_limit)
    resource.setrlimit(resource.RLIMIT_AS, (limit, hard_limit))


@contextmanager
def _main_module_hidden() -> Iterator[None]:
    """Hide the main module: a spawned process would run it again.

    A user's program that starts a flow without `if __name__ == "__main__":` would start it in every process.
    """
    program = sys.modules["__main__"]
    sys.modules["__main__"] = ModuleType("__main__")
    try:
        yield
    finally:
        sys.modules["__main__"] = program
