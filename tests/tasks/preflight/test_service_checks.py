"""The store is tried with a write and left unchanged; the engine and the key of Weights & Biases are found."""

from importlib.util import find_spec
from pathlib import Path

import boto3
import pytest

from tasks.preflight.service_checks import engine_findings, store_findings, wandb_findings
from tasks.settings import ExperimentConfig, InferenceConfig, TrainingConfig


def test_engine_that_is_not_installed_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("RSVLM_VLLM_PYTHON", raising=False)
    assert engine_findings(InferenceConfig())[0].level == "ok"
    if find_spec("vllm") is None:
        assert "needs an environment with vLLM" in engine_findings(InferenceConfig(engine="vllm"))[0].text


def test_local_store_check_writes_reads_and_leaves_nothing(tmp_path: Path) -> None:
    (found,) = store_findings(ExperimentConfig(), (tmp_path / "new" / "store").as_uri())
    assert found.level == "ok"
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "file").write_text("")
    (found,) = store_findings(ExperimentConfig(), (tmp_path / "file").as_uri())
    assert found.level == "stops"


def test_store_behind_a_prefect_block_is_not_checked(tmp_path: Path) -> None:
    config = ExperimentConfig.model_validate({"store": {"credentials_block": "aws-credentials/mine"}})
    (found,) = store_findings(config, "s3://bucket/prefix")
    assert found.level == "warning" and "aws-credentials/mine" in found.text


def test_destination_of_curves_is_reported_without_the_key(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("WANDB_API_KEY", "WANDB_MODE", "NETRC"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    training = TrainingConfig(report_to=("wandb",))
    assert wandb_findings(TrainingConfig())[0].level == "ok"
    assert wandb_findings(training)[0].level == "warning"
    assert wandb_findings(training.model_copy(update={"wandb_mode": "online"}))[0].level == "stops"
    monkeypatch.setenv("WANDB_API_KEY", "s3cr3t" * 7)
    (found,) = wandb_findings(training)
    assert found.level == "ok" and "s3cr3t" not in found.text


def test_bucket_check_writes_reads_and_leaves_nothing(s3_address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "testing")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    config = ExperimentConfig.model_validate({"store": {"endpoint_url": s3_address}})
    (found,) = store_findings(config, "s3://not-there/runs")
    assert found.level == "stops" and "the bucket does not exist" in found.text
    client = boto3.client("s3", endpoint_url=s3_address)
    client.create_bucket(Bucket="there")
    (found,) = store_findings(config, "s3://there/runs")
    assert found.level == "ok"
    assert client.list_objects_v2(Bucket="there")["KeyCount"] == 0
