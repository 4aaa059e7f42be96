"""The oldest supported transformers and PEFT, installed once into the user's cache."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

OLDER = ("transformers==4.57.6", "peft==0.17.1", "huggingface_hub==0.36.2", "tokenizers==0.22.2")
CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "rsvlm-tests" / "-".join(OLDER)


@pytest.fixture(scope="session")
def older() -> Path:
    """A folder with transformers 4 and PEFT 0.17 for a child's PYTHONPATH, which precedes the installed packages.

    It is filled once from the package registry and kept in the user's cache.
    """
    if not CACHE.is_dir():
        part = CACHE.with_name(f"{CACHE.name}.{os.getpid()}")
        install = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--timeout", "15", "--retries", "1"]
        done = subprocess.run([*install, "--target", str(part), *OLDER], capture_output=True, text=True, timeout=500)
        if done.returncode:
            shutil.rmtree(part, ignore_errors=True)
            pytest.skip(
                f"transformers 4 cannot be installed here, is the registry in reach? {done.stderr.strip()[-200:]}"
            )
        try:
            part.rename(CACHE)
        except OSError:
            # another process was quicker
            shutil.rmtree(part)
    return CACHE
