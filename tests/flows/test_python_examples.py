"""The examples of docs/python.md and its notebook run unchanged, on a smaller experiment."""

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbclient import NotebookClient
from support.locations import REPO

from tasks.paths import RunFolder
from tasks.settings import ExperimentConfig

EXAMPLES = re.findall(r"```python\n(.*?)```", (REPO / "docs" / "python.md").read_text(encoding="utf-8"), re.DOTALL)
NOTEBOOK = REPO / "docs" / "first-run.ipynb"
PATIENCE_S = 1200
# in JSON: the notebook's run is that of the examples, whose results are there
RUN = ('run(\\"demo\\")', 'run(\\"small.yaml\\", training={\\"lora_r\\": 16})')


def on_small(program: str) -> str:
    """The program with the small experiment in place of the demo."""
    return program.replace('"demo"', '"small.yaml"')


@pytest.fixture(scope="module")
def folder(
    prefect_server: Path, small_experiment: Callable[..., ExperimentConfig], tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """A folder in which the small experiment is demo's."""
    found = tmp_path_factory.mktemp("python")
    (found / "small.yaml").write_text(small_experiment().as_yaml(), encoding="utf-8")
    return found


@pytest.fixture(scope="module")
def names(folder: Path) -> Iterator[dict[str, Any]]:
    """What the examples define, all but the last run one after the other."""
    found: dict[str, Any] = {}
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        for example in EXAMPLES[:-1]:
            exec(compile(on_small(example), "python.md", "exec"), found)
        yield found


@pytest.mark.slow
def test_the_examples_run_one_after_the_other(names: dict[str, Any], folder: Path) -> None:
    r = names["r"]
    assert r.state == "complete" and r.folder.parent == folder / "workspace" / "runs"
    assert set(r.scores.index) == {"NWPU", "RSICD", "LR", "DOTA"} and r.config.training.lora_r == 16
    assert names["merged"].path == r.paths.merged and names["longer"].training.num_train_epochs == 24
    assert list(names["scored"].scores.index) == list(r.scores.index)


@pytest.mark.slow
def test_a_run_again_is_quiet_and_changes_nothing(
    names: dict[str, Any], folder: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    from flows.api import run

    before = times_of(names["r"].paths)
    of_run = {"name": names["r"].name, "workspace": folder / "workspace"}
    again = run(folder / "small.yaml", **of_run, training={"lora_r": 16})
    assert again.scores.equals(names["r"].scores) and times_of(again.paths) == before
    printed = capfd.readouterr()
    assert printed.out == printed.err == ""
    assert "Cached" in again.paths.log.read_text(encoding="utf-8")


def times_of(paths: RunFolder) -> dict[Path, int]:
    """When the files of training, model and reports were written."""
    folders = (paths.training, paths.merged, paths.report("final"), paths.report("base"))
    return {file: file.stat().st_mtime_ns for folder in folders for file in folder.rglob("*") if file.is_file()}


@pytest.mark.slow
@pytest.mark.timeout(PATIENCE_S)
def test_the_notebook_runs_and_shows_scores_and_report(
    names: dict[str, Any], folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from prefect.settings import PREFECT_API_URL, PREFECT_HOME, PREFECT_LOCAL_STORAGE_PATH

    for setting in (PREFECT_API_URL, PREFECT_HOME, PREFECT_LOCAL_STORAGE_PATH):
        monkeypatch.setenv(setting.name, str(setting.value()))
    monkeypatch.setenv("PYTHONPATH", str(REPO))
    # the kernel of the test's own environment
    monkeypatch.setenv("JUPYTER_PREFER_ENV_PATH", "1")
    text = on_small(NOTEBOOK.read_text(encoding="utf-8").replace(*RUN))
    notebook = nbformat.reads(text, as_version=4)
    NotebookClient(notebook, timeout=PATIENCE_S, resources={"metadata": {"path": str(folder)}}).execute()
    shown = [output for cell in notebook.cells if cell.cell_type == "code" for output in cell.outputs]
    pages = [output["data"]["text/html"] for output in shown if "text/html" in output.get("data", {})]
    assert "against_base" in pages[0] and any(page.startswith("<iframe") for page in pages)
    assert [output for output in shown if output.output_type == "stream" and "INFO" in output.text] == []


def test_the_notebook_has_no_outputs() -> None:
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    nbformat.validate(notebook)
    assert not any(cell.get("outputs") or cell.get("execution_count") for cell in notebook.cells)
    assert NOTEBOOK.stat().st_size < 10_000


def test_only_the_last_example_needs_a_server() -> None:
    # that one also needs a worker: tests/deployments/test_starting_runs.py runs it
    assert ["run_deployment" in example for example in EXAMPLES] == [False] * (len(EXAMPLES) - 1) + [True]
