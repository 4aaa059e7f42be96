"""The process that runs vLLM in an environment of its own: find its Python, start it, ask it, and end it.

vLLM and rsvlm need different versions of transformers. The program is `vllm_child.py`, whose text says how messages
are written.
"""

import os
import subprocess
import sys
import weakref
from collections import deque
from collections.abc import Mapping, Sequence
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path
from shutil import which
from threading import Event, Thread, Timer
from typing import IO, Any, NamedTuple

from tasks.errors import ConfigError, ModelError
from tasks.inference.engines import vllm_child
from tasks.inference.engines.registry import DEFAULT_ENGINE
from tasks.inference.engines.vllm_child import read_message, write_message
from tasks.processes import INHERITED_FDS, LAST_LINES, child_environment, die_with_parent, end_group

PYTHON_VARIABLE = "RSVLM_VLLM_PYTHON"
# importing torch from a slow disk, and reading 30 GB of weights from one
ABOUT_LIMIT_S, LOAD_LIMIT_S = 300.0, 3600.0
# how long a process that has closed its output may take to end
GRACE_S = 5.0
# models are directories, and nothing is reported to vLLM's makers
ENVIRONMENT = {"HF_HUB_OFFLINE": "1", "VLLM_NO_USAGE_STATS": "1"}


class About(NamedTuple):
    """The version of vLLM and the device, `cuda` or `cpu`, that it runs on."""

    version: str
    device: str


def find_python(setting: str | None) -> Path:
    """The Python of the environment with vLLM: the setting's, the environment variable's, or this one.

    Raises ConfigError if that file does not exist, or none is named and vLLM is not installed here.
    """
    named = setting or os.environ.get(PYTHON_VARIABLE)
    if named:
        found = which(Path(named).expanduser())
        if found is None:
            source = "inference.vllm_python" if setting else PYTHON_VARIABLE
            raise ConfigError(f"{source} names {named}, which is no program: give the Python of vLLM's environment.")
        return Path(found)
    if find_spec("vllm") is None:
        raise ConfigError(
            "The engine vllm needs an environment with vLLM: make one as docs/answering.md says and name its Python in "
            f"inference.vllm_python or {PYTHON_VARIABLE}, or set inference.engine to {DEFAULT_ENGINE}."
        )
    return Path(sys.executable)


def about(python: Path) -> About:
    """Ask the environment of `python` for its vLLM; raises ConfigError if it has none."""
    process = VllmProcess(python)
    try:
        reply = process.ask({"do": "about"}, limit_s=ABOUT_LIMIT_S)
    except ModelError as error:
        raise ConfigError(str(error)) from None
    finally:
        process.end()
    return About(reply["version"], reply["device"])


class VllmProcess:
    """A running `vllm_child.py`; it ends with `end`, with this object, and with the thread that started it."""

    def __init__(self, python: Path, program: Path = Path(vllm_child.__file__)):
        self._python = python
        self._child = subprocess.Popen(  # noqa: S603 - a list of arguments, no shell
            # isolated: neither PYTHONPATH nor the folder of the program, which holds rsvlm's modules, is searched
            [str(python), "-I", str(program)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=child_environment(ENVIRONMENT),
            start_new_session=True,
            preexec_fn=die_with_parent,
            pass_fds=INHERITED_FDS.get(),
        )
        self._lines: deque[str] = deque(maxlen=LAST_LINES)
        self._reader = Thread(target=_keep_lines, args=(self._child.stderr, self._lines), daemon=True)
        self._reader.start()
        self.end = weakref.finalize(self, _end, self._child, self._reader)

    @property
    def pid(self) -> int:
        """The id of the process, which leads its own group."""
        return self._child.pid

    def ask(
        self, request: Mapping[str, object], blobs: Sequence[bytes] = (), limit_s: float | None = None
    ) -> dict[str, Any]:
        """The reply to a request; raises ModelError with the process's last lines if there is none in `limit_s`."""
        late, child = Event(), self._child

        # without a reference to this object: the timer's thread would keep it from ending
        def give_up() -> None:
            late.set()
            child.kill()

        timer = Timer(limit_s or 0, give_up)
        if limit_s is not None:
            timer.start()
        try:
            reply, reason = self._exchange(request, blobs)
        finally:
            timer.cancel()
        if reply is not None and "error" not in reply:
            return reply
        if reply is not None:
            raise self._failed(f"failed ({reply['error']})")
        raise self._failed(f"gave no answer in {limit_s:g} s" if late.is_set() and limit_s else reason)

    def _exchange(self, request: Mapping[str, object], blobs: Sequence[bytes]) -> tuple[dict[str, Any] | None, str]:
        """The reply, or None and why there is none."""
        assert self._child.stdin is not None and self._child.stdout is not None
        try:
            write_message(self._child.stdin, dict(request), *blobs)
            message = read_message(self._child.stdout)
        except OSError:
            message = None
        except ValueError as error:
            self._child.kill()
            return None, f"wrote something other than answers ({error})"
        if message is not None:
            return message[0], ""
        with suppress(subprocess.TimeoutExpired):
            self._child.wait(GRACE_S)
        return None, f"ended with {self._child.poll()}"

    def _failed(self, reason: str) -> ModelError:
        if self._child.poll() is not None:
            # the rest of its lines
            self._reader.join(GRACE_S)
        lines = "\n".join(self._lines)
        return ModelError(
            f"vLLM in {self._python} {reason}: see its last lines, or set inference.engine to {DEFAULT_ENGINE}."
            f"\n{lines}"
        )


def _keep_lines(stream: IO[bytes], lines: deque[str]) -> None:
    with stream:
        for line in stream:
            lines.append(line.decode(errors="replace").rstrip("\n"))


def _end(child: "subprocess.Popen[bytes]", reader: Thread) -> None:
    end_group(child)
    for stream in (child.stdin, child.stdout):
        if stream is not None:
            with suppress(OSError):
                stream.close()
    reader.join(GRACE_S)
