"""Child processes: started without a shell, in a fixed locale, streamed line by line, ended with all they started.

A worker is a module with `serve_worker(work)` under `if __name__ == "__main__"`; its parent calls
`run_worker`. Heavy libraries and GPU memory live in the worker and are gone when it ends.
"""

import argparse
import ctypes
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from contextvars import ContextVar
from pathlib import Path
from threading import Event, Thread
from typing import Any, NoReturn

from tasks.errors import ConfigError, ProcessFailed, UserError, user_error
from tasks.files import read_json, write_json

USER_ERROR_EXIT = 2
LAST_LINES = 25
TIME_IS_UP = "the time that it was given is up"
PR_SET_PDEATHSIG = 1
# Children that are at work, each the leader of its group.
_at_work: "set[subprocess.Popen[str]]" = set()
# Lines as they come; progress bars of libraries would fill the log.
WORKER_ENVIRONMENT = {"PYTHONUNBUFFERED": "1", "HF_HUB_DISABLE_PROGRESS_BARS": "1"}
# In the user's own locale programs may write 0.5 as "0,5", lower "I" to a dotless one and fail in other words.
LOCALE = {"LC_ALL": "C.UTF-8"}
LOCALE_VARIABLE = re.compile(r"LANG(UAGE)?|LC_\w+")
# Open files that children keep open: a lock on one is free when the last of them has ended.
HANDED_DOWN: ContextVar[tuple[int, ...]] = ContextVar("handed_down", default=())


def die_with_parent() -> None:
    """For `preexec_fn`: the child is sent SIGTERM when the thread that started it ends, however it ends."""
    # last line of defence: a parent that is killed outright runs no `finally`
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)


def child_environment(more: Mapping[str, str] | None = None) -> dict[str, str]:
    """The environment of every child: this process's in a fixed locale, whose encoding is UTF-8, and `more`."""
    kept = {name: value for name, value in os.environ.items() if not LOCALE_VARIABLE.fullmatch(name)}
    return {**kept, **LOCALE, **(more or {})}


def require_names_in_utf8(config: Any) -> None:
    """Raise ConfigError for the first text beyond ASCII where names of files have another encoding than in children."""
    encoding = sys.getfilesystemencoding()
    name = None if encoding == "utf-8" else next((text for text in _texts(config) if not text.isascii()), None)
    if name is not None:
        raise ConfigError(
            f"{name} has letters beyond ASCII, and the encoding of this locale is {encoding}, in which files have "
            "other names than in UTF-8: set LC_ALL=C.UTF-8, or rename it."
        )


def _texts(value: Any) -> Iterator[str]:
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
    """Run a command to its end and hand over each line of its output as it comes.

    The child leads a process group of its own, which is ended with it whatever happens here, and after
    `timeout_s` seconds. Raises ProcessFailed with the last lines when it ends with another code than 0.
    """
    child = subprocess.Popen(  # noqa: S603 - a list of arguments, no shell
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
        errors="replace",
        env=child_environment(env),
        start_new_session=True,
        preexec_fn=die_with_parent,
        pass_fds=HANDED_DOWN.get(),
    )
    _at_work.add(child)
    time_is_up = Event()
    watcher = Thread(target=_end_in_time, args=(child, timeout_s, time_is_up), daemon=True)
    lines: deque[str] = deque(maxlen=LAST_LINES)
    output = child.stdout
    assert output is not None
    try:
        watcher.start()
        for line in output:
            lines.append(line.rstrip("\n"))
            on_line(lines[-1])
        code = child.wait()
    finally:
        end_group(child)
        _at_work.discard(child)
        watcher.join()
        output.close()
    if time_is_up.is_set():
        lines.append(f"ended after {timeout_s:g} s: {TIME_IS_UP}")
    if code or time_is_up.is_set():
        raise ProcessFailed(command, code, lines)


def _end_in_time(child: "subprocess.Popen[str]", timeout_s: float | None, time_is_up: Event) -> None:
    """End what is left of a child's group when the child has ended or its time is up."""
    try:
        child.wait(timeout_s)
    except subprocess.TimeoutExpired:
        time_is_up.set()
    # also after a good end: what the child left running would hold its output open for ever
    end_group(child)


def end_group(child: "subprocess.Popen[str]", grace_s: float = 20) -> None:
    """End a child and all that it started: SIGTERM, then SIGKILL when it has gone or after `grace_s` seconds."""
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
    """Kill all children that are at work, with what they started."""
    for child in tuple(_at_work):
        with suppress(ProcessLookupError):
            os.killpg(child.pid, signal.SIGKILL)


def run_worker(
    module: str,
    config: dict[str, Any],
    on_line: Callable[[str], None] = print,
    timeout_s: float | None = None,
    launcher: Sequence[str] = (),
    env: dict[str, str] | None = None,
) -> Any:
    """Run `python [launcher] -m module --config FILE` and return what its work function returned, as JSON.

    A UserError in the worker is raised here again, of the same class; all else raises ProcessFailed. Raises ConfigError
    for a text that the worker would read as the name of another file.
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


def serve_worker(work: Callable[[dict[str, Any]], Any]) -> NoReturn:
    """The main program of a worker: read --config, do the work, leave its result or error beside the config."""
    parser = argparse.ArgumentParser(description=work.__doc__)
    parser.add_argument("--config", type=Path, required=True, help="JSON file with the work's parameters")
    config_file: Path = parser.parse_args().config
    try:
        result = work(read_json(config_file))
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        write_json(config_file.with_name("error.json"), {"kind": type(error).__name__, "message": str(error)})
        sys.exit(USER_ERROR_EXIT)
    # of several ranks the first of each machine tells the parent there
    if os.environ.get("LOCAL_RANK", "0") == "0":
        write_json(config_file.with_name("result.json"), json.loads(json.dumps(result, default=str)))
    sys.exit(0)
