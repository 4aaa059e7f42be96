"""Checkpoints of a very small run in a bucket are scored on a few images, once each, in any order."""

from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import boto3
import pytest
from moto.server import ThreadedMotoServer

from tasks.files import read_json, read_json_lines
from tasks.paths import Workspace
from tasks.reevaluating.history import CHECKPOINT_SCORES, read_history
from tasks.settings import ExperimentConfig

pytestmark = pytest.mark.slow
SOURCES = {"NWPU", "LR"}
DATA = {"sources": ("NWPU", "LR"), "train": 0.4, "test": 0.3}
KEYS = {"AWS_ACCESS_KEY_ID": "testkey", "AWS_SECRET_ACCESS_KEY": "testsecret", "AWS_DEFAULT_REGION": "us-east-1"}


@pytest.fixture(scope="module")
def bucket() -> Iterator[dict[str, Any]]:
    """The settings of a store on this module's S3 server."""
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    with pytest.MonkeyPatch.context() as patch:
        for name, value in {**KEYS, "AWS_EC2_METADATA_DISABLED": "true"}.items():
            patch.setenv(name, value)
        boto3.client("s3", endpoint_url=f"http://{host}:{port}").create_bucket(Bucket="scores")
        yield {"uri": "s3://scores/lab", "endpoint_url": f"http://{host}:{port}"}
    server.stop()


@pytest.fixture(scope="module")
def trained(
    prefect_server: Path,
    small_experiment: Callable[..., ExperimentConfig],
    bucket: dict[str, Any],
    tmp_path_factory: pytest.TempPathFactory,
) -> SimpleNamespace:
    """A training of two checkpoints on an embedded server, without events: its end scores the checkpoints."""
    from flows.train_lora import train_lora_flow

    def build(images: int, **changes: Any) -> ExperimentConfig:
        values = {"data": DATA, "archive": {"score_images": images}, "store": bucket}
        return small_experiment(**{**values, **changes})

    workspace = tmp_path_factory.mktemp("workspace")
    train_lora_flow(build(2), "seen", workspace)
    return SimpleNamespace(workspace=workspace, build=build, folder=Workspace(workspace).run("seen"))


def scores_in_store(trained: SimpleNamespace) -> list[Any]:
    from tasks.storage.runs import reopen_run

    run = reopen_run("seen", trained.workspace)
    assert run
    return read_history(run.store(), "seen", CHECKPOINT_SCORES)


def shown(trained: SimpleNamespace) -> list[dict[str, Any]]:
    return read_json_lines(trained.folder.root / CHECKPOINT_SCORES / f"{CHECKPOINT_SCORES}.jsonl")


def test_at_the_end_of_a_training_each_checkpoint_has_its_scores_in_the_store_and_the_runs_folder(
    trained: SimpleNamespace,
) -> None:
    from tasks.storage.remote_folders import missing_files, read_remote_manifest
    from tasks.storage.runs import reopen_run

    found = scores_in_store(trained)
    assert [each.model for each in found] == ["checkpoint-1", "checkpoint-2"]
    assert all(set(each.scores) == SOURCES for each in found)
    assert [line["step"] for line in shown(trained)] == [1, 2]
    run = reopen_run("seen", trained.workspace)
    assert run
    for each in found:
        manifest = read_remote_manifest(run.store(), each.report)
        assert manifest and not missing_files(run.store(), each.report, manifest)
        name = each.report.removeprefix("seen/evaluations/")
        metrics = trained.folder.root / CHECKPOINT_SCORES / name / "reports" / each.model / "metrics.json"
        assert read_json(metrics)["captioning"]["NWPU"]["images"] == 2
    # no place of whole evaluations, and no copy of the checkpoints
    assert not trained.folder.reports.exists() and not (trained.folder.root / "predictions").exists()
    assert not list((trained.folder.root / CHECKPOINT_SCORES).rglob("adapter_model.safetensors"))


def test_the_images_are_of_the_validation_set(trained: SimpleNamespace) -> None:
    asked = read_json(trained.folder.root / CHECKPOINT_SCORES / "sets" / "filtered_test.json")
    (sets,) = trained.workspace.glob("**/data_val.json")
    images = {record["image"] for record in read_json(sets)}
    assert {record["image"] for record in asked} <= images and len({record["image"] for record in asked}) == 4


def test_scored_checkpoints_are_not_answered_again(trained: SimpleNamespace) -> None:
    from flows.score_checkpoint import score_checkpoint_flow

    log, before = trained.folder.log.read_text(), scores_in_store(trained)
    assert score_checkpoint_flow("seen", 2, trained.workspace) == []
    assert trained.folder.log.read_text() == log
    assert scores_in_store(trained) == before


def test_archive_events_request_scores(trained: SimpleNamespace) -> None:
    import httpx
    from prefect.events.worker import EventsWorker
    from prefect.settings import PREFECT_API_URL

    EventsWorker.drain_all()
    resources = [f"rsvlm.checkpoint.seen.{step}" for step in (1, 2)]
    wanted = {"filter": {"event": {"prefix": ["rsvlm.checkpoint."]}, "resource": {"id": resources}}, "limit": 50}
    labels: dict[tuple[str, str], str | None] = {}
    # the server writes events down a moment after it has taken them; the suite's time limit ends a vain wait
    while len(labels) < 4:
        answer = httpx.post(f"{PREFECT_API_URL.value()}/events/filter", json=wanted).json()
        labels = {
            (event["event"], event["resource"]["prefect.resource.id"]): event["resource"].get("rsvlm.score")
            for event in answer["events"]
        }
    assert {(event, label) for (event, _), label in labels.items()} == {
        ("rsvlm.checkpoint.saved", None),
        ("rsvlm.checkpoint.archived", "wanted"),
    }


def test_prefect_shows_a_table_and_a_curve(trained: SimpleNamespace) -> None:
    import httpx
    from prefect.settings import PREFECT_API_URL

    found = httpx.post(f"{PREFECT_API_URL.value()}/artifacts/latest/filter", json={"limit": 100}).json()
    artifacts = {artifact["key"]: artifact["data"] for artifact in found}
    assert '"checkpoint": "2"' in artifacts["checkpoint-scores-seen"]
    assert artifacts["checkpoint-scores-plot-seen"].startswith("data:image/svg+xml;base64,")


def test_other_images_start_another_curve_which_grows_in_any_order(trained: SimpleNamespace) -> None:
    from flows.score_checkpoint import score_checkpoint_flow
    from tasks.storage.runs import open_run

    # what is asked of whom is the same without a model
    open_run(trained.build(3, inference={"engine": "echo"}), "seen", trained.workspace)
    (later,) = score_checkpoint_flow("seen", 2, trained.workspace)
    assert later.model == "checkpoint-2" and [line["step"] for line in shown(trained)] == [2]
    assert score_checkpoint_flow("seen", 77, trained.workspace) == []
    (earlier,) = score_checkpoint_flow("seen", None, trained.workspace)
    assert earlier.model == "checkpoint-1" and [line["step"] for line in shown(trained)] == [1, 2]
    assert earlier.protocol == later.protocol != scores_in_store(trained)[0].protocol


def test_nothing_is_scored_if_switched_off_or_the_run_is_missing(trained: SimpleNamespace) -> None:
    from flows.score_checkpoint import score_checkpoint_flow
    from tasks.storage.runs import open_run

    off = open_run(trained.build(0), "off", trained.workspace).folder
    assert score_checkpoint_flow("off", 1, trained.workspace) == []
    assert [path.name for path in off.root.iterdir()] == ["experiment.yaml"]
    assert score_checkpoint_flow("elsewhere", 1, trained.workspace) == []


def test_a_training_does_not_fail_when_scoring_fails(trained: SimpleNamespace, tmp_path: Path) -> None:
    from prefect import flow

    from flows.score_checkpoint import score_remaining
    from tasks.storage.runs import open_run

    run = open_run(trained.build(1, data={**DATA, "root": str(tmp_path / "gone")}), "failing", trained.workspace)

    @flow
    def training() -> str:
        score_remaining(run)
        return "trained"

    assert training() == "trained"
