"""`rsvlm deploy` without a server: one sentence, and nothing is made."""

import os
import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.slow
@pytest.mark.parametrize(
    ("address", "said"), [(None, "No Prefect server is configured"), ("1", "No Prefect server answers")]
)
def test_deploy_without_a_server_explains_how_to_start_one(address: str | None, said: str, tmp_path: Path) -> None:
    env = {name: value for name, value in os.environ.items() if not name.startswith("PREFECT_")}
    env["PREFECT_HOME"] = str(tmp_path)
    if address:
        env["PREFECT_API_URL"] = f"http://127.0.0.1:{address}/api"
    ended = subprocess.run(
        [sys.executable, "-m", "flows.cli", "deploy"], env=env, capture_output=True, text=True, check=False
    )
    assert ended.returncode == 2
    assert ended.stderr.startswith(f"error: {said}") and "prefect server start" in ended.stderr
    assert "Traceback" not in ended.stderr
