"""A run continues from complete results, at any path and from any Prefect database."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from shutil import copytree, rmtree
from types import SimpleNamespace

import pytest

from tasks.manifests import content_digest, read_manifest, verified_manifest
from tasks.paths import KEY_SUFFIX, Workspace
from tasks.records import ExperimentResult
from tasks.settings import ExperimentConfig

pytestmark = pytest.mark.slow

# every folder that a stage makes, in a workspace whose data and base model are drawn and pre-trained there
MADE = (
    *("data", "data/sets", "models/lessons", "models/lesson_sets", "models/toy"),
    *(
        f"runs/demo/{name}"
        for name in (
            *("tokens", "audit", "training/final", "merged"),
            *("predictions/base", "predictions/final", "reports/base", "reports/final"),
        )
    ),
)
STORED = tuple(f"store/demo/{name}" for name in ("data", "merged", "predictions", "reports"))


@contextmanager
def results_in(home: Path) -> Iterator[None]:
    """Another user's Prefect: a separate database of results and home directory."""
    from prefect.settings import PREFECT_HOME, PREFECT_LOCAL_STORAGE_PATH, temporary_settings

    settings = {PREFECT_HOME: home, PREFECT_LOCAL_STORAGE_PATH: home / "storage"}
    home.mkdir(exist_ok=True)
    with temporary_settings(settings), pytest.MonkeyPatch.context() as patch:
        patch.setenv("HOME", str(home))
        yield


def run_in(workspace: Path, home: Path, config: ExperimentConfig) -> ExperimentResult:
    from flows.experiment import experiment_flow

    with results_in(home):
        return experiment_flow(config, "demo", workspace)


def digests(workspace: Path) -> dict[str, tuple[str, str]]:
    """Fingerprint and content of all outputs of the stages, each of them complete."""
    manifests = {name: verified_manifest(workspace / name) for name in (*MADE, *STORED)}
    assert all(manifests.values()), [name for name, manifest in manifests.items() if manifest is None]
    return {name: (each.fingerprint, content_digest(each)) for name, each in manifests.items() if each}


def written(workspace: Path) -> dict[str, int]:
    """Time at which each folder was finished."""
    return {name: (workspace / name / "MANIFEST.json").stat().st_mtime_ns for name in MADE}


def set_aside(workspace: Path) -> list[str]:
    return [str(path.relative_to(workspace)) for path in workspace.rglob("superseded/*")]


@pytest.fixture(scope="module")
def first(
    prefect_server: Path,
    small_experiment: Callable[..., ExperimentConfig],
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[SimpleNamespace]:
    """A finished run of all stages, its toy base of a few lessons only, and the database of its results."""
    import flows.shared

    folder = tmp_path_factory.mktemp("first")
    config = small_experiment(model={"base": "tiny"}, evaluation={"clean_beside": True})
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(flows.shared, "LESSONS", {"scenes": 60, "image_size": 64, "seed": 7})
        run_in(folder / "workspace", folder / "prefect", config)
        made = digests(folder / "workspace")
        yield SimpleNamespace(workspace=folder / "workspace", prefect=folder / "prefect", config=config, made=made)


@pytest.fixture
def copied(first: SimpleNamespace, tmp_path: Path) -> Path:
    return copytree(first.workspace, tmp_path / "elsewhere" / "workspace", symlinks=True)


def require_nothing_made(first: SimpleNamespace, workspace: Path, home: Path) -> None:
    before, log = written(workspace), Workspace(workspace).run("demo").log.read_text()
    result = run_in(workspace, home, first.config)
    assert digests(workspace) == first.made
    assert Workspace(workspace).run("demo").log.read_text() == log, "a child process has worked"
    remade = {name for name, time in written(workspace).items() if time != before[name]}
    # what is quick to make is made without a look
    assert remade <= {"runs/demo/tokens", "runs/demo/audit"}
    assert set_aside(workspace) == []
    assert result.dataset.images == workspace / "data" / "imagenes"
    assert all(ref.path.is_relative_to(workspace) for ref in (result.checkpoint, result.merged, result.dataset))


def test_a_copied_workspace_with_an_empty_database_repeats_no_step(
    first: SimpleNamespace, copied: Path, tmp_path: Path
) -> None:
    require_nothing_made(first, copied, tmp_path / "prefect")


def test_a_copied_workspace_with_the_same_database_repeats_no_step(first: SimpleNamespace, copied: Path) -> None:
    require_nothing_made(first, copied, first.prefect)


@pytest.mark.parametrize("database", ["its own", "empty"])
def test_a_moved_workspace_repeats_no_step(first: SimpleNamespace, copied: Path, tmp_path: Path, database: str) -> None:
    home = copytree(first.prefect, tmp_path / "its own")
    run_in(copied, home, first.config)
    moved = copied.rename(tmp_path / "moved")
    require_nothing_made(first, moved, home if database == "its own" else tmp_path / "empty")


def test_a_workspace_filled_from_the_cache_does_not_need_the_first_one(first: SimpleNamespace, tmp_path: Path) -> None:
    source, home = tmp_path / "source", copytree(first.prefect, tmp_path / "prefect")
    copytree(first.workspace, source, symlinks=True)
    run_in(source, home, first.config)
    fed = tmp_path / "fed"
    run_in(fed, home, first.config)
    assert digests(fed) == first.made
    log = Workspace(fed).run("demo").log
    assert not log.exists(), "a child process has worked"
    run_in(fed, tmp_path / "empty", first.config)
    rmtree(source)
    run_in(fed, home, first.config)
    assert digests(fed) == first.made and set_aside(fed) == []
    assert log.read_text() == "", "a child process has worked"


def test_a_run_from_scratch_elsewhere_has_the_same_fingerprints(first: SimpleNamespace, tmp_path: Path) -> None:
    run_in(tmp_path / "second", tmp_path / "prefect", first.config)
    second = digests(tmp_path / "second")
    # an adapter's own file tells the directory of its base, and with it what is made of an adapter
    of_adapter = ("merged", "final", "predictions", "reports", "store/demo/data")
    alike = [name for name in MADE if not name.endswith(of_adapter)]
    assert {"runs/demo/predictions/base", "runs/demo/reports/base", "models/toy"} <= set(alike)
    assert {name: second[name][0] for name in alike} == {name: first.made[name][0] for name in alike}
    assert second["runs/demo/training/final"][0] == first.made["runs/demo/training/final"][0]


def test_without_the_hidden_keys_training_is_kept_and_the_rest_is_moved_aside(
    first: SimpleNamespace, copied: Path, tmp_path: Path
) -> None:
    for key in copied.rglob(f".*{KEY_SUFFIX}"):
        key.unlink()
    before = read_manifest(copied / "runs/demo/training/final")
    log = Workspace(copied).run("demo").log.read_text()
    run_in(copied, tmp_path / "prefect", first.config)
    assert read_manifest(copied / "runs/demo/training/final") == before
    assert log.count("step 2/2: loss") == Workspace(copied).run("demo").log.read_text().count("step 2/2: loss")
    assert (copied / "runs/demo/superseded/merged-1").is_dir()
    assert not (copied / "runs/demo/superseded/training-1").exists()
    assert digests(copied)["runs/demo/training/final"] == first.made["runs/demo/training/final"]
