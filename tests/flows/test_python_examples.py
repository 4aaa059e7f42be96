"""The examples of docs/python.md run unchanged, on a smaller experiment."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from pytest import MonkeyPatch
from support.locations import REPO

from tasks.settings import ExperimentConfig

EXAMPLES = re.findall(r"```python\n(.*?)```", (REPO / "docs" / "python.md").read_text(encoding="utf-8"), re.DOTALL)


@pytest.mark.slow
def test_the_examples_in_this_process_run_one_after_the_other(
    prefect_server: Path,
    small_experiment: Callable[..., ExperimentConfig],
    tmp_path: Path,
    monkeypatch: MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("small.yaml").write_text(small_experiment().as_yaml(), encoding="utf-8")
    names: dict[str, Any] = {}
    for example in EXAMPLES[:2]:
        exec(example.replace('load_config("demo"', 'load_config("small.yaml"'), names)
    said = capsys.readouterr().out.split("\n")
    reports = tmp_path / "workspace" / "runs" / "another-seed" / "reports"
    assert f"2 {reports.parent / 'training' / 'final'}" in said
    assert str(reports / "final" / "report.html") in said
    assert [line for line in said if line.startswith("LR ")]


def test_there_are_three_examples() -> None:
    # the third needs a server and a worker: tests/deployments/test_starting_runs.py runs it
    assert len(EXAMPLES) == 3 and "run_deployment" in EXAMPLES[2]
