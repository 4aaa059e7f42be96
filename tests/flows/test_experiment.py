"""A complete experiment as a flow: every output at its path, no step repeated, nothing lost."""

from collections.abc import Callable
from pathlib import Path
from shutil import copytree
from types import SimpleNamespace
from typing import Any

import pytest

from tasks.files import read_json, read_json_lines
from tasks.manifests import verified_manifest
from tasks.paths import RunFolder, Workspace
from tasks.records import ExperimentResult
from tasks.settings import ExperimentConfig

pytestmark = pytest.mark.slow

FINISHED = (
    *("training/final", "merged", "predictions/base", "predictions/final"),
    *("reports/base", "reports/final"),
)
STORED = ("data", "merged", "predictions", "reports", "checkpoints/checkpoint-1", "checkpoints/checkpoint-2")
# What every run writes again.
OF_THE_RUN = ("experiment.yaml", "comparison.json", "logs")


def state(folder: Path) -> dict[str, tuple[int, int]]:
    """Size and modification time of every file."""
    found = {}
    for path in folder.rglob("*"):
        name = path.relative_to(folder)
        if path.is_file() and not name.name.endswith((".key", ".lock")) and not set(OF_THE_RUN) & set(name.parts):
            found[str(name)] = (path.stat().st_ino, path.stat().st_mtime_ns)
    return found


def run_as(config: ExperimentConfig, name: str, workspace: Path) -> ExperimentResult:
    from flows.experiment import experiment_flow

    return experiment_flow(config, name, workspace)


@pytest.fixture(scope="module")
def first(
    prefect_server: Path,
    small_experiment: Callable[..., ExperimentConfig],
    tmp_path_factory: pytest.TempPathFactory,
) -> SimpleNamespace:
    """One finished experiment, named `first`; other runs in its workspace have other names."""
    workspace = tmp_path_factory.mktemp("workspace")
    result = run_as(small_experiment(), "first", workspace)
    return SimpleNamespace(
        result=result,
        workspace=workspace,
        folder=Workspace(workspace).run("first"),
        store=workspace / "store",
        build=small_experiment,
    )


def folder_of(first: SimpleNamespace, name: str) -> RunFolder:
    return Workspace(first.workspace).run(name)


def test_every_stage_writes_a_complete_folder_to_its_path(first: SimpleNamespace) -> None:
    for name in FINISHED:
        assert verified_manifest(first.folder.root / name), name
    for name in ("training/checkpoint-2/COMPLETE.json", "reports/comparison.json", "experiment.yaml", "logs/log.txt"):
        assert (first.folder.root / name).is_file(), name
    assert set(read_json(first.folder.tokens / "tokens.json")["sets"]["train"]) == {"NWPU", "RSICD", "LR", "DOTA"}
    for name in ("metrics.json", "per_answer.jsonl", "report.html"):
        assert (first.folder.report("final") / name).is_file(), name
    assert (first.folder.predictions("base") / "subsets" / "filter_001_final.json").is_file()


def test_the_store_has_all_results_with_manifests(first: SimpleNamespace) -> None:
    for name in STORED:
        assert verified_manifest(first.store / "first" / name), name
    stored = (first.store / "first" / "experiment.yaml").read_text()
    assert stored.startswith(first.folder.experiment.read_text())
    assert not list(first.folder.staging.iterdir())


def test_answers_and_scores_cover_the_test_set(first: SimpleNamespace) -> None:
    test_set = read_json(first.result.dataset.path / "filtered_test.json")
    for label in ("base", "final"):
        final = read_json(first.folder.predictions(label) / "final.json")
        assert [record["id"] for record in final] == [record["id"] for record in test_set]
        assert len(read_json_lines(first.folder.predictions(label) / "answers.jsonl")) > len(test_set)
    metrics = read_json(first.folder.report("final") / "metrics.json")
    assert set(metrics["captioning"]) == {"NWPU", "RSICD"}
    assert set(metrics["vqa"]) == {"LR", "DOTA"}


def test_the_log_has_the_output_of_the_training(first: SimpleNamespace) -> None:
    assert "step 2/2: loss " in first.folder.log.read_text()


def test_saved_and_archived_checkpoints_are_announced(first: SimpleNamespace) -> None:
    import httpx
    from prefect.events.worker import EventsWorker
    from prefect.settings import PREFECT_API_URL

    expected = {
        (f"rsvlm.checkpoint.{what}", f"rsvlm.checkpoint.first.{step}")
        for what in ("saved", "archived")
        for step in (1, 2)
    }
    EventsWorker.drain_all()
    found: set[tuple[str, str]] = set()
    wanted = {"filter": {"event": {"prefix": ["rsvlm.checkpoint."]}}, "limit": 50}
    # the server writes events down a moment after it has taken them; the suite's time limit ends a vain wait
    while not expected <= found:
        answer = httpx.post(f"{PREFECT_API_URL.value()}/events/filter", json=wanted).json()
        found = {(event["event"], event["resource"]["prefect.resource.id"]) for event in answer["events"]}


def asked(what: str, **wanted: Any) -> Any:
    """What Prefect's server has of a kind."""
    import httpx
    from prefect.settings import PREFECT_API_URL

    return httpx.post(f"{PREFECT_API_URL.value()}/{what}/filter", json={"limit": 100, **wanted}).json()


def test_the_page_of_an_experiment_has_preflight_progress_loss_and_result(first: SimpleNamespace) -> None:
    runs = {"flows": {"name": {"any_": ["experiment"]}}, "flow_runs": {"name": {"any_": ["first"]}}}
    (run,) = asked("flow_runs", **runs)
    of_run = {"flow_run_id": {"any_": [run["id"]]}}
    # Prefect's own record of the result has no key
    artifacts = {each["key"]: each for each in asked("artifacts", artifacts=of_run) if each["key"]}
    answers = {"answers-first-base", "answers-first-final"}
    assert artifacts.keys() == {"preflight-first", "training-first", "loss-first", "result-first", *answers}
    assert str(first.folder.report("final") / "report.html") in artifacts["result-first"]["data"]
    rows = [line for line in artifacts["result-first"]["data"].split("\n") if line.startswith("| ")]
    assert rows[0] == "| source | score | tuned | 95 % | base | image-blind | verdict |"
    assert {row.split(" ")[1] for row in rows[2:]} == {"NWPU", "RSICD", "LR", "DOTA"}
    assert "| ok | disk |" in artifacts["preflight-first"]["data"]
    assert artifacts["training-first"]["data"] == 100
    assert artifacts["training-first"]["description"].startswith("step 2 of 2, loss ")
    assert artifacts["loss-first"]["data"].startswith("data:image/svg+xml;base64,")
    assert first.folder.loss_curve.read_text().startswith("<svg")
    parts = asked("flow_runs", flow_runs={"parent_flow_run_id": {"any_": [run["id"]]}})
    assert {part["name"] for part in parts} >= {"first: train-lora", "first: predict-subsets base"}


def test_a_repeated_run_repeats_no_step(first: SimpleNamespace) -> None:
    before = state(first.folder.root), state(first.workspace / "data"), state(first.store)
    log = first.folder.log.read_text()
    assert run_as(first.build(), "first", first.workspace) == first.result
    assert (state(first.folder.root), state(first.workspace / "data"), state(first.store)) == before
    assert first.folder.log.read_text() == log
    assert not first.folder.superseded.exists()


def test_a_repeated_run_reads_no_file_twice(first: SimpleNamespace, hashed_files: dict[Path, int]) -> None:
    run_as(first.build(), "first", first.workspace)
    assert set(hashed_files.values()) == {1} and first.folder.merged / "model.safetensors" in hashed_files


def test_deleted_and_damaged_results_are_created_again(first: SimpleNamespace) -> None:
    (first.folder.merged / "model.safetensors").unlink()
    (first.folder.predictions("final") / "final.json").write_text("[]")
    untouched = state(first.folder.predictions("base")), state(first.folder.training)
    result = run_as(first.build(), "first", first.workspace)
    assert result.merged == first.result.merged
    assert len(read_json(first.folder.predictions("final") / "final.json")) == 20
    assert all(verified_manifest(first.folder.root / name) for name in FINISHED)
    assert (state(first.folder.predictions("base")), state(first.folder.training)) == untouched


def test_another_run_with_the_same_settings_reuses_all_results(first: SimpleNamespace) -> None:
    run_as(first.build(), "twin", first.workspace)
    twin = folder_of(first, "twin")
    assert all(verified_manifest(twin.root / name) for name in FINISHED)
    assert not twin.log.exists()
    for name in ("data", "merged", "predictions", "reports"):
        assert verified_manifest(first.store / "twin" / name), name


def test_transformed_images_are_answered_scored_and_shown_without_repeating_anything_else(
    first: SimpleNamespace,
) -> None:
    result = run_as(first.build(inference={"robustness": ["rot90", "jpeg-50"]}), "turned", first.workspace)
    turned = folder_of(first, "turned")
    for name in ("rot90", "jpeg-50"):
        assert verified_manifest(turned.predictions("robustness") / name), name
        assert verified_manifest(turned.report("robustness") / name), name
        assert result.predictions[f"robustness/{name}"].answers == result.predictions["final"].answers
    assert turned.log.read_text().count("before") == 2
    assert result.predictions["final"].sha256 == first.result.predictions["final"].sha256
    assert set(result.scores) == {"base", "final"}
    rows = read_json(turned.report("final") / "robustness.json")["results"]
    assert {(row["transform"], row["source"]) for row in rows} == {
        (name, source) for name in ("rot90", "jpeg-50") for source in ("NWPU", "RSICD", "LR", "DOTA")
    }
    assert "Robustness to transformed images" in (turned.report("final") / "report.html").read_text()
    assert not (turned.report("base") / "robustness.json").exists()
    assert verified_manifest(first.store / "turned" / "reports")


def test_a_changed_training_repeats_it_and_later_steps_and_keeps_the_old_results(first: SimpleNamespace) -> None:
    run_as(first.build(), "changed", first.workspace)
    changed = folder_of(first, "changed")
    kept = {name: verified_manifest(changed.root / name) for name in FINISHED}
    before = state(first.workspace / "data"), state(changed.predictions("base")), state(changed.report("base"))
    run_as(first.build(training={"seed": 5}), "changed", first.workspace)
    after = state(first.workspace / "data"), state(changed.predictions("base")), state(changed.report("base"))
    assert after == before
    assert "step 2/2: loss " in changed.log.read_text()
    assert "questions answered" in changed.log.read_text()
    for name in ("training/final", "merged", "predictions/final"):
        assert verified_manifest(changed.root / name) not in (None, kept[name]), name
    assert verified_manifest(changed.report("final"))
    old = changed.superseded
    assert verified_manifest(old / "training-1" / "final") == kept["training/final"]
    assert verified_manifest(old / "merged-1") == kept["merged"]
    assert verified_manifest(old / "predictions" / "final-1") == kept["predictions/final"]
    assert verified_manifest(old / "reports" / "final-1") == kept["reports/final"]
    assert len(list(old.glob("experiment-*.yaml"))) == 1


def test_sets_with_other_settings_are_moved_aside(first: SimpleNamespace) -> None:
    from flows.prepare_data import prepare_data_flow

    for seed in (6, 7):
        config = first.build(data={"seed": seed}, training={"max_steps": 1})
        prepare_data_flow(config, "shared-name", first.workspace)
    assert (folder_of(first, "shared-name").superseded / "sets-1").is_dir()


def test_an_experiment_without_lora_merges_and_answers_and_its_checkpoints_are_scored(first: SimpleNamespace) -> None:
    changes: dict[str, Any] = {
        "training": {"lora_enable": False, "learning_rate": 1e-3},
        "data": {"sources": ("LR",), "train": 0.4, "test": 0.3},
        "archive": {"keep": {"last": 1}, "score_images": 1},
    }
    result = run_as(first.build(**changes), "full", first.workspace)
    assert (result.checkpoint.path / "model.safetensors").is_file()
    assert verified_manifest(result.merged.path)
    assert "with its full language model fine-tuned" in (result.merged.path / "README.md").read_text()
    assert verified_manifest(result.scores["final"].path)
    scores = folder_of(first, "full").root / "checkpoint-scores"
    assert [line["model"] for line in read_json_lines(scores / "checkpoint-scores.jsonl")] == ["checkpoint-2"]
    assert not list(scores.rglob("model.safetensors"))


def test_an_audit_of_the_sets_selects_the_scored_answers(first: SimpleNamespace) -> None:
    from flows.evaluate_model import evaluate_model_flow

    config = first.build(evaluation={"only_clean": True})
    for label in ("base", "final"):
        evaluate_model_flow(config, "clean", first.workspace, label, first.result.dataset, first.result.predictions)
    clean = folder_of(first, "clean")
    assert verified_manifest(clean.audit)
    found = read_json(clean.audit / "audit.json")["test_images"]
    for label in ("base", "final"):
        test_set = read_json(clean.report(label) / "metrics.json")["protocol"]["test_set"]
        assert (test_set["images"], test_set["records"]) == ("clean", found["clean"])


def test_the_training_flow_returns_its_final_checkpoint(first: SimpleNamespace) -> None:
    from flows.train_lora import train_lora_flow

    checkpoint = train_lora_flow(first.build(), "alone", first.workspace, resume=False)
    assert checkpoint.path == folder_of(first, "alone").training / "final"
    assert checkpoint.sha256 == first.result.checkpoint.sha256


def test_a_checkpoint_that_was_not_archived_is_archived_later_and_once(first: SimpleNamespace, tmp_path: Path) -> None:
    from flows.archive_checkpoint import archive_checkpoint_flow
    from tasks.storage.checkpoints.staging import stage_checkpoint
    from tasks.storage.runs import open_run

    checkpoint = copytree(first.folder.training / "checkpoint-2", tmp_path / "checkpoint-2")
    stage_checkpoint(checkpoint, folder_of(first, "late").staging)
    open_run(first.build(), "late", first.workspace)
    assert archive_checkpoint_flow("late", 2, first.workspace) == [2]
    assert archive_checkpoint_flow("late", 2, first.workspace) == []
    assert verified_manifest(first.store / "late" / "checkpoints" / "checkpoint-2")


def test_a_checkpoint_that_is_pulled_from_the_store_merges(first: SimpleNamespace, tmp_path: Path) -> None:
    from flows.cli import main

    assert main(["checkpoints", "pull", str(first.store / "first"), str(tmp_path)]) == 0
    adapter, out = str(tmp_path / "checkpoint-2"), str(tmp_path / "merged")
    assert main(["merge", "--base", first.build().model.base, "--adapter", adapter, "--out", out]) == 0
    weights = "model.safetensors"
    assert (tmp_path / "merged" / weights).read_bytes() == (first.folder.merged / weights).read_bytes()


def test_any_archived_step_is_merged_and_uploaded_to_the_store(first: SimpleNamespace) -> None:
    from flows.merge_lora import merge_lora_flow

    merged = merge_lora_flow(first.build(), "first", first.workspace, step=1)
    assert merged.path == first.folder.root / "merged-checkpoint-1"
    assert merged.sha256 != first.result.merged.sha256
    assert verified_manifest(first.store / "first" / "merged-checkpoint-1")
