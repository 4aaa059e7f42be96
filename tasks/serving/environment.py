"""What the server's process keeps of its environment: nothing secret, not even in what the system shows of it."""

import os
import sys
from collections.abc import Mapping

from tasks.serving.login import Login

# where the login is read from after the process has begun anew
PIPE_VARIABLE = "RSVLM_SERVE_PIPE"
# what a server needs: where programs, caches and libraries are, and how the devices are used
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


def kept_of(environment: Mapping[str, str]) -> dict[str, str]:
    """What of an environment a server keeps; logins, cloud keys and whatever else it has no use for are not in it."""
    return {name: value for name, value in environment.items() if _is_kept(name)}


def begin_without_secrets(login: Login | None) -> None:
    """Begin this process anew without what it must not keep; the login goes along through a pipe.

    Returns where there is nothing to drop. Taking variables away would not do: the system goes on to show, as
    /proc/PID/environ, what a process was started with.
    """
    kept = kept_of(os.environ)
    if len(kept) == len(os.environ):
        return
    if login is not None:
        kept[PIPE_VARIABLE] = str(_piped(":".join(login)))
    sys.stdout.flush()
    sys.stderr.flush()
    os.execve(sys.executable, [sys.executable, *sys.orig_argv[1:]], kept)  # noqa: S606 - the same program


def piped_login() -> Login | None:
    """The login that came through the pipe, if one did."""
    pipe = os.environ.pop(PIPE_VARIABLE, None)
    if pipe is None:
        return None
    with os.fdopen(int(pipe), encoding="utf-8") as piped:
        user, _, password = piped.read().partition(":")
    return user, password


def _piped(text: str) -> int:
    reading, writing = os.pipe()
    # a login is far shorter than what a pipe holds without a reader
    with os.fdopen(writing, "w", encoding="utf-8") as piped:
        piped.write(text)
    os.set_inheritable(reading, True)
    return reading


def _is_kept(name: str) -> bool:
    if name in NAMES:
        return True
    return name.startswith(PREFIXES) and not SECRET_WORDS & set(name.upper().split("_"))
