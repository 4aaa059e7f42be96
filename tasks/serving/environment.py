"""What the server's process keeps of its environment: no secrets, not even in /proc/PID/environ."""

import os
import sys
from collections.abc import Mapping

from tasks.serving.login import Login

# the file descriptor that a restarted process reads its login from
PIPE_VARIABLE = "RSVLM_SERVE_PIPE"
# what a server needs: where programs, caches and libraries are, and how to use the devices
NAMES = {
    "PATH", "HOME", "USER", "LOGNAME", "TMPDIR", "TMP", "TEMP", "TZ", "TERM", "VIRTUAL_ENV", "CONDA_PREFIX",
    "SYSTEMROOT", "NO_COLOR", "TOKENIZERS_PARALLELISM", PIPE_VARIABLE,
}  # fmt: skip
PREFIXES = (
    "LANG", "LC_", "LD_", "DYLD_", "PYTHON", "XDG_", "SSL_CERT_", "HF_", "HUGGINGFACE_", "TRANSFORMERS_", "TORCH",
    "PYTORCH_", "TRITON_", "CUDA", "NVIDIA_", "NCCL_", "HIP_", "HSA_", "ROCR_", "OMP_", "GOMP_", "MKL_", "KMP_",
    "OPENBLAS_", "MALLOC_", "COVERAGE_",
)  # fmt: skip
SECRET_WORDS = {"TOKEN", "SECRET", "PASSWORD", "PASSWD", "KEY", "KEYS", "LOGIN", "AUTH", "CREDENTIALS"}


def filter_environment(environment: Mapping[str, str]) -> dict[str, str]:
    """The variables that a server needs; logins, cloud keys and everything else are left out."""
    return {name: value for name, value in environment.items() if _is_needed(name)}


def restart_without_secrets(login: Login | None) -> None:
    """Restart this process with the needed variables only; the login is passed through a pipe.

    Returns if there is nothing to drop. Deleting variables would not be enough: /proc/PID/environ keeps showing what a
    process was started with.
    """
    kept = filter_environment(os.environ)
    if len(kept) == len(os.environ):
        return
    if login is not None:
        kept[PIPE_VARIABLE] = str(_write_pipe(":".join(login)))
    sys.stdout.flush()
    sys.stderr.flush()
    os.execve(sys.executable, [sys.executable, *sys.orig_argv[1:]], kept)  # noqa: S606 - the same program


def login_from_pipe() -> Login | None:
    """The login that was passed through the pipe, if any."""
    pipe = os.environ.pop(PIPE_VARIABLE, None)
    if pipe is None:
        return None
    with os.fdopen(int(pipe), encoding="utf-8") as file:
        user, _, password = file.read().partition(":")
    return user, password


def _write_pipe(text: str) -> int:
    """Write a short text into a new pipe; returns the descriptor that a child process can read it from."""
    read_tail, write_end = os.pipe()
    # a login fits into the pipe's buffer: writing does not wait for a reader
    with os.fdopen(write_end, "w", encoding="utf-8") as file:
        file.write(text)
    os.set_inheritable(read_tail, True)
    return read_tail


def _is_needed(name: str) -> bool:
    if name in NAMES:
        return True
    return name.startswith(PREFIXES) and not SECRET_WORDS & set(name.upper().split("_"))
