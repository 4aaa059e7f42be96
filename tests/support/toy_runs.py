"""Toy runs as real processes: a trainer and an uploader that can be killed at any step."""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from support.locations import REPO
from support.s3_servers import KEYS

PROGRAM = Path(__file__).with_name("toy_run.py")
PATIENCE_S = 60


@pytest.fixture(scope="session")
def toy_runs() -> Iterator[Callable[..., Any]]:
    """Start toy runs: `start(job, ...)` returns an object with `pids` and `wait()`, which returns exit codes."""
    environment = {**os.environ, **KEYS, "AWS_EC2_METADATA_DISABLED": "true", "PYTHONPATH": str(REPO)}
    process = subprocess.Popen(
        [sys.executable, str(PROGRAM)],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment,
    )  # fmt: skip
    assert process.stdin and process.stdout
    answers = process.stdout

    def start(*jobs: dict[str, Any]) -> Any:
        process.stdin.write(json.dumps({"jobs": jobs}) + "\n")
        process.stdin.flush()
        pids = json.loads(answers.readline())["pids"]
        return SimpleNamespace(pids=pids, wait=lambda: json.loads(answers.readline())["codes"])

    yield start
    process.stdin.close()
    process.wait(timeout=PATIENCE_S)
    answers.close()
