"""Cached results are found by content and verified before they are used; nothing is overwritten."""

from collections.abc import Callable
from pathlib import Path
from shutil import rmtree
from typing import Any
from uuid import uuid4

import pytest

from tasks.files import write_text
from tasks.manifests import content_digest, read_manifest, verified_manifest, write_manifest
from tasks.orchestration.caching import KEPT, content_key, make, step
from tasks.records import DatasetRef, FolderRef, ModelRef
from tasks.settings import TrainingConfig


@step("train", ignore=["run", "log", "out"])
def train(out: Path, run: str = "", log: Path | None = None) -> FolderRef:
    """A step that never runs."""
    return FolderRef(path=out, sha256="")


# keys of the default settings and the content of `dataset` below
KEYS = {
    "tiny": "rsvlm-train-adapter-a8f9d901",
    "llava-hf/llava-1.5-7b-hf": "rsvlm-train-adapter-c3cce87e",
}


def key(**parameters: object) -> str:
    return content_key(train, parameters)


def dataset(path: str = "/data/sets", images: str = "/data/imagenes", digest: str = "images") -> DatasetRef:
    return DatasetRef(path=Path(path), sha256="sets", images=Path(images), images_sha256=digest, records={"train": 1})


def test_a_key_contains_the_name_of_its_step() -> None:
    assert key(x=1).startswith("rsvlm-train-")


def test_a_steps_code_outside_its_package_changes_its_key() -> None:
    def key_with(*code: str) -> str:
        return content_key(step("train", ignore=["out"], code=code)(train.fn), {})

    assert len({key_with(), key_with("tasks.sources"), key_with("tasks.model")}) == 3


def test_step_refuses_unknown_parameters_and_modules() -> None:
    with pytest.raises(TypeError, match="has no parameter place"):
        step("train", ignore=["place"])(train.fn)
    with pytest.raises(ModuleNotFoundError, match=r"no module tasks\.nothing"):
        step("train", ignore=["out"], code=["tasks.nothing"])


def test_changed_code_of_a_step_changes_its_key(tmp_path: Path) -> None:
    def key_of(code: str) -> str:
        file = tmp_path / code / "steps.py"
        file.parent.mkdir()
        file.write_text(f"def work(out):\n    return {code}\n")
        names: dict[str, Any] = {}
        exec(compile(file.read_text(), file, "exec"), names)
        return content_key(step("train", ignore=["out"])(names["work"]), {})

    assert key_of("1") != key_of("2")


def test_locations_and_ignored_parameters_do_not_change_a_key() -> None:
    assert key(dataset=dataset()) == key(dataset=dataset("/elsewhere/sets", "/elsewhere/imagenes"))
    assert key(x=1, out=Path("/a"), log=Path("/b"), run="c") == key(x=1, out=Path("/d"), log=Path("/e"), run="f")


def test_content_of_files_changes_a_key() -> None:
    assert key(dataset=dataset()) != key(dataset=dataset(digest="other images"))
    assert key(model=ModelRef(path=Path("/m"), sha256="1")) != key(model=ModelRef(path=Path("/m"), sha256="2"))


def test_nested_references_count_by_content() -> None:
    here, there = (ModelRef(path=Path(place), sha256="1") for place in ("/a", "/b"))
    assert key(models={"base": here}, all=[here]) == key(models={"base": there}, all=[there])


def test_settings_change_a_key_except_those_without_effect() -> None:
    config = TrainingConfig(lora_r=8)
    assert key(training=config) != key(training=TrainingConfig(lora_r=16))
    harmless = {"logging_steps": 7, "report_to": ("wandb",), "run_timeout_h": 1.0, "dataloader_num_workers": 0}
    assert key(training=config) == key(training=config.model_copy(update={**harmless, "save_total_limit": None}))


def test_the_order_of_parameters_does_not_change_a_key() -> None:
    assert key(a=1, b={"c": 2, "d": 3}) == key(b={"d": 3, "c": 2}, a=1)


# Out folders in which the step `write` has worked.
calls: list[Path] = []


@step("write", ignore=["out"])
def write(text: str, out: Path) -> FolderRef:
    """Write a folder with one file, unless it has that already."""
    manifest = verified_manifest(out, text)
    if manifest is None:
        calls.append(out)
        write_text(out / "text.txt", text)
        manifest = write_manifest(out, text)
    return FolderRef(path=out, sha256=content_digest(manifest))


@pytest.fixture
def made(prefect_server: Path) -> Callable[..., FolderRef]:
    """Run the step in a flow, with a text that no other test has written."""
    from prefect import flow

    calls.clear()
    unique = uuid4().hex

    @flow
    def made(text: str, out: Path, superseded: Path | None = None) -> FolderRef:
        return make(write, out, superseded, text=f"{text} {unique}")

    return made


@pytest.mark.slow
def test_the_same_content_is_created_once(made: Callable[..., FolderRef], tmp_path: Path) -> None:
    first = made("a", tmp_path / "out")
    assert made("a", tmp_path / "out") == first
    assert calls == [tmp_path / "out"]


@pytest.mark.slow
@pytest.mark.parametrize("harm", [Path.unlink, lambda path: path.write_text("damaged")])
def test_a_deleted_or_damaged_result_is_created_again(
    made: Callable[..., FolderRef], tmp_path: Path, harm: Callable[[Path], object]
) -> None:
    first = made("a", tmp_path / "out", tmp_path / "superseded")
    harm(tmp_path / "out" / "text.txt")
    assert made("a", tmp_path / "out", tmp_path / "superseded") == first
    assert (tmp_path / "out" / "text.txt").read_text().startswith("a ")
    assert len(calls) == 2


@pytest.mark.slow
def test_a_result_with_other_content_is_moved_to_superseded(made: Callable[..., FolderRef], tmp_path: Path) -> None:
    superseded = tmp_path / "superseded"
    for text in ("a", "b", "c"):
        made(text, tmp_path / "out", superseded)
    assert (tmp_path / "out" / "text.txt").read_text().startswith("c ")
    kept = [(superseded / name / "text.txt").read_text()[0] for name in ("out-1", "out-2")]
    assert kept == ["a", "b"]
    assert all(read_manifest(superseded / name) for name in ("out-1", "out-2"))


@pytest.mark.slow
def test_a_superseded_folder_keeps_its_path_relative_to_the_run(made: Callable[..., FolderRef], tmp_path: Path) -> None:
    for text in ("a", "b"):
        made(text, tmp_path / "run" / "reports" / "final", tmp_path / "run" / "superseded")
    assert (tmp_path / "run" / "superseded" / "reports" / "final-1" / "text.txt").is_file()


@pytest.mark.slow
def test_an_unfinished_folder_of_the_same_content_stays_in_place(
    made: Callable[..., FolderRef], tmp_path: Path
) -> None:
    made("a", tmp_path / "out", tmp_path / "superseded")
    (tmp_path / "out" / "MANIFEST.json").unlink()
    made("a", tmp_path / "out", tmp_path / "superseded")
    assert not (tmp_path / "superseded").exists()


@pytest.mark.slow
def test_a_result_in_another_runs_folder_is_copied(made: Callable[..., FolderRef], tmp_path: Path) -> None:
    first = made("a", tmp_path / "one", tmp_path / "superseded")
    second = made("a", tmp_path / "two", tmp_path / "superseded")
    assert (second.path, second.sha256) == (tmp_path / "two", first.sha256)
    assert verified_manifest(tmp_path / "two")
    assert calls == [tmp_path / "one"]


@pytest.mark.slow
def test_files_added_next_to_a_result_are_not_copied_with_it(made: Callable[..., FolderRef], tmp_path: Path) -> None:
    # the sets of another workspace are in its sample's folder
    made("a", tmp_path / "one", tmp_path / "superseded")
    write_text(tmp_path / "one" / "sets" / "data_val.json", "[]")
    made("a", tmp_path / "two", tmp_path / "superseded")
    assert sorted(path.name for path in (tmp_path / "two").iterdir()) == ["MANIFEST.json", "text.txt"]


@pytest.mark.slow
def test_an_intact_copy_is_left_unchanged(made: Callable[..., FolderRef], tmp_path: Path) -> None:
    made("a", tmp_path / "one", tmp_path / "superseded")
    made("a", tmp_path / "two", tmp_path / "superseded")
    before = (tmp_path / "two").stat().st_ino
    made("a", tmp_path / "two", tmp_path / "superseded")
    assert (tmp_path / "two").stat().st_ino == before


@pytest.mark.slow
def test_a_complete_local_result_is_not_replaced_by_another_runs_result(
    made: Callable[..., FolderRef], tmp_path: Path
) -> None:
    first = made("a", tmp_path / "one", tmp_path / "superseded")
    made("a", tmp_path / "two", tmp_path / "superseded")
    # the same inputs, as the result of a step that is not deterministic to the bit
    text = (tmp_path / "two" / "text.txt").read_text()
    write_text(tmp_path / "two" / "text.txt", text + " of two")
    write_manifest(tmp_path / "two", text)
    second = made("a", tmp_path / "two", tmp_path / "superseded")
    assert (tmp_path / "two" / "text.txt").read_text().endswith(" of two")
    assert second.path == tmp_path / "two" and second.sha256 != first.sha256
    assert calls == [tmp_path / "one"] and not (tmp_path / "superseded").exists()


@pytest.mark.slow
def test_a_complete_local_result_is_used_when_the_folder_it_was_copied_from_is_gone(
    made: Callable[..., FolderRef], tmp_path: Path
) -> None:
    made("a", tmp_path / "one", tmp_path / "superseded")
    second = made("a", tmp_path / "two", tmp_path / "superseded")
    rmtree(tmp_path / "one")
    assert made("a", tmp_path / "two", tmp_path / "superseded") == second
    assert calls == [tmp_path / "one"]


@pytest.mark.parametrize("base", ["tiny", "llava-hf/llava-1.5-7b-hf"])
def test_the_key_of_a_training_stays_from_version_to_version(base: str) -> None:
    from tasks.settings import ModelConfig
    from tasks.training.steps import train_adapter

    values = {"base": ModelRef(path=Path("/m"), sha256="base"), "dataset": dataset(), "training": TrainingConfig()}
    assert content_key(train_adapter, {**values, "model": ModelConfig(base=base)}).startswith(KEYS[base])


@pytest.mark.slow
def test_without_superseded_only_the_result_is_written(made: Callable[..., FolderRef], tmp_path: Path) -> None:
    (tmp_path / "user").mkdir()
    made("a", tmp_path / "user" / "sets", None)
    assert [path.name for path in (tmp_path / "user").iterdir()] == ["sets"]


def test_training_is_kept_across_versions_and_other_steps_are_not() -> None:
    from tasks.merging.steps import merge_adapter_step
    from tasks.training.steps import train_adapter

    assert KEPT in train_adapter.tags
    assert KEPT not in merge_adapter_step.tags
    kept = train.with_options(tags=[KEPT])
    assert content_key(kept, {"x": 1}) != content_key(train, {"x": 1})


@pytest.mark.slow
def test_a_child_that_floods_its_log_does_not_flood_prefect(prefect_server: Path, tmp_path: Path) -> None:
    import sys

    from prefect import flow
    from prefect.client.orchestration import get_client
    from prefect.client.schemas.filters import LogFilter, LogFilterFlowRunId
    from prefect.logging.handlers import APILogWorker
    from prefect.runtime import flow_run

    from tasks.orchestration.run_log import MAX_LINES, lines_to
    from tasks.processes import run_streamed

    log = tmp_path / "logs" / "log.txt"

    @flow
    def flooded() -> str:
        with lines_to(log) as on_line:
            run_streamed([sys.executable, "-c", "for number in range(50_000): print('line', number)"], on_line)
        return str(flow_run.id)

    run = LogFilter(flow_run_id=LogFilterFlowRunId(any_=[flooded()]))
    assert log.read_text().split("\n")[:-1] == [f"line {number}" for number in range(50_000)]
    APILogWorker.drain_all()
    shown_lines: list[str] = []
    with get_client(sync_client=True) as client:
        while page := client.read_logs(run, limit=200, offset=len(shown_lines)):
            shown_lines += [entry.message for entry in page]
    left_out = [int(line.split()[0]) for line in shown_lines if line.endswith(f"left out here; they are in {log}.")]
    shown = [line for line in shown_lines if line.startswith("line ")]
    assert len(shown) <= 20 * MAX_LINES and sum(left_out) + len(shown) == 50_000
