"""Deployments on a real server with real workers: deployed twice, started by people and events, cancelled, killed."""

import re
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import pytest
import yaml

from deployments.configuration import load_config
from tasks.paths import COMPLETE, RunFolder

pytestmark = pytest.mark.slow
REPO = Path(__file__).resolve().parents[2]
PYTHON_EXAMPLES = re.findall(
    r"```python\n(.*?)```", (REPO / "docs" / "python.md").read_text(encoding="utf-8"), re.DOTALL
)
LAB = "llava-1.5-7b-lora"


@pytest.fixture(scope="module")
def small(tiny_model_dir: Path) -> Callable[..., dict[str, Any]]:
    """Parameters of an experiment of a few steps; further values are those of `training`."""

    def build(name: str, **training: Any) -> dict[str, Any]:
        steps = {"max_steps": 2, "save_steps": 1, "lora_r": 4, "lora_alpha": 8, "per_device_train_batch_size": 4}
        changes = [f"training.{key}={value}" for key, value in {**steps, "logging_steps": 1, **training}.items()]
        config = load_config(
            "demo",
            [
                *changes,
                *("data.sample.scenes=40", "data.sample.image_size=48", "data.train=0.5", "data.test=0.5"),
                *(f"model.base={tiny_model_dir}", "inference.max_new_tokens=2", "evaluation.bootstrap_draws=10"),
            ],
        )
        return {"config": config.as_plain(), "name": name}

    return build


def folder_of(orchestra: Any, name: str) -> RunFolder:
    return RunFolder(orchestra.workspace / "runs" / name)


def log_of(orchestra: Any, name: str) -> str:
    log = folder_of(orchestra, name).log
    return log.read_text(encoding="utf-8") if log.exists() else ""


def reached(orchestra: Any, name: str, step: int) -> None:
    orchestra.until(lambda: f"step {step}/" in log_of(orchestra, name), f"step {step} of {name}")


def saved(orchestra: Any, name: str) -> list[int]:
    """Steps of complete checkpoints on the disk."""
    found = folder_of(orchestra, name).training.glob(f"checkpoint-*/{COMPLETE}")
    return sorted(int(marker.parent.name.split("-")[1]) for marker in found)


def workers_of_training(orchestra: Any) -> list[int]:
    """Training processes that this orchestra's runs have started and that still live."""
    return [pid for pid in orchestra.processes() if b"tasks.training.worker" in command_of(pid)]


def command_of(pid: int) -> bytes:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""


def counted(orchestra: Any) -> dict[str, list[str]]:
    return {what: sorted(each["name"] for each in orchestra.all(what)) for what in ("deployments", "automations")}


def test_deploying_again_doubles_nothing_and_removes_nothing_unless_asked(orchestra: Any) -> None:
    demo = orchestra.ask("GET", "deployments/name/experiment/demo")
    like = {key: demo[key] for key in ("flow_id", "entrypoint", "work_pool_name")}
    orchestra.ask("POST", "deployments/", name="old", tags=["rsvlm"], **like)
    orchestra.ask("POST", "deployments/", name="theirs", tags=["lab"], **like)
    before = counted(orchestra)
    again = orchestra.deploy()
    assert again.returncode == 0, again.stderr
    assert counted(orchestra) == before
    assert len(set(before["automations"])) == len(before["automations"]) == 4
    assert {pool["name"]: pool["concurrency_limit"] for pool in orchestra.all("work_pools")} == {"cpu": None, "gpu": 1}

    assert "removed the deployment experiment/old" in orchestra.deploy("--prune").stdout
    before["deployments"].remove("old")
    assert counted(orchestra) == before
    orchestra.ask("DELETE", f"deployments/{orchestra.ask('GET', 'deployments/name/experiment/theirs')['id']}")


@pytest.mark.parametrize(
    ("field", "value"), [("learning_rate", 7), ("lora_r", "many"), ("eval_strategy", "daily"), ("lerning_rate", 1)]
)
def test_a_wrong_value_is_refused_by_the_server(orchestra: Any, small: Any, field: str, value: Any) -> None:
    parameters = small("wrong")
    parameters["config"]["training"][field] = value
    demo = orchestra.ask("GET", "deployments/name/experiment/demo")
    answer = httpx.post(
        f"{orchestra.api}/deployments/{demo['id']}/create_flow_run", json={"parameters": parameters}, timeout=60
    )
    assert answer.status_code in (409, 422)
    assert str(value) in answer.text or field in answer.text


def test_a_run_is_started_from_the_form(orchestra: Any, small: Any, browser: Any, tmp_path: Path) -> None:
    demo = orchestra.ask("GET", "deployments/name/experiment/demo")
    keys = ("flow_id", "entrypoint", "parameter_openapi_schema", "parameters")
    # of no pool: it is only to be started
    made = orchestra.ask("POST", "deployments/", name="form", **{key: demo[key] for key in keys})
    browser.call("Emulation.setDeviceMetricsOverride", width=1100, height=900, deviceScaleFactor=1, mobile=False)
    browser.call("Page.navigate", url=f"{orchestra.api.removesuffix('/api')}/deployments/deployment/{made['id']}/run")
    browser.wait_for("document.body && document.body.innerText.includes('Highest learning rate of the adapters')")
    browser.run(
        "[...document.querySelectorAll('input')].filter(each => each.value === '0.003')"
        ".forEach(each => { each.scrollIntoView({block: 'center'}); each.focus(); each.select(); })"
    )
    browser.picture(tmp_path / "form.png")
    browser.call("Input.insertText", text="0.004")
    browser.run("[...document.querySelectorAll('button')].find(each => each.innerText.trim() === 'Submit').click()")
    run = orchestra.until(lambda: orchestra.all("flow_runs", deployments={"id": {"any_": [made["id"]]}}), "the run")[0]
    training = run["parameters"]["config"]["training"]
    assert training == {**demo["parameters"]["config"]["training"], "learning_rate": 0.004}
    orchestra.ask("DELETE", f"deployments/{made['id']}")


def test_an_experiment_runs_and_its_checkpoints_start_archive_runs(orchestra: Any, small: Any) -> None:
    run = orchestra.start("experiment/demo", **small("whole"))
    assert orchestra.ended(run) == "COMPLETED"
    assert (folder_of(orchestra, "whole").report("final") / "report.html").is_file()
    archives = orchestra.until(
        lambda: (
            (runs := orchestra.runs_of("archive-checkpoint"))
            and all(each["state"]["type"] == "COMPLETED" for each in runs)
            and runs
        ),
        "archive runs",
    )
    steps = {each["parameters"]["step"] for each in archives if each["parameters"]["run"] == "whole"}
    # an event may be lost; what it told of is archived all the same
    assert steps and steps <= {1, 2}
    stored = orchestra.workspace / "store" / "whole" / "checkpoints"
    assert sorted(path.name for path in stored.iterdir()) == ["checkpoint-1", "checkpoint-2"]


def test_a_cancelled_training_saves_and_ends_with_all_it_started(orchestra: Any, small: Any) -> None:
    slow = small("cancelled", max_steps=4000, save_steps=4000)
    run = orchestra.start(f"train-lora/{LAB}", **slow)
    reached(orchestra, "cancelled", 3)
    assert workers_of_training(orchestra)
    orchestra.set_state(run, "CANCELLING")
    orchestra.until(lambda: not workers_of_training(orchestra), "the end of the training process", patience_s=30)
    assert orchestra.ended(run) == "CANCELLED"
    (step,) = saved(orchestra, "cancelled")
    assert step < 4000


def test_a_training_outlives_its_server_and_its_worker_and_its_state_is_right(orchestra: Any, small: Any) -> None:
    run = orchestra.start(f"train-lora/{LAB}", **small("outliving", max_steps=300, save_steps=100))
    reached(orchestra, "outliving", 3)
    orchestra.stop_server()
    seen = lines_of(orchestra, "outliving")
    orchestra.until(lambda: lines_of(orchestra, "outliving") > seen + 20, "steps without a server")
    orchestra.start_server()
    worker = orchestra.workers.pop("gpu")
    worker.kill()
    worker.wait()
    seen = lines_of(orchestra, "outliving")
    orchestra.until(lambda: lines_of(orchestra, "outliving") > seen + 20, "steps without a worker")
    orchestra.start_worker("gpu")
    assert orchestra.ended(run) == "COMPLETED"
    assert (folder_of(orchestra, "outliving").training / "final" / "adapter_model.safetensors").is_file()
    assert "step 300/300" in log_of(orchestra, "outliving")


def lines_of(orchestra: Any, name: str) -> int:
    return log_of(orchestra, name).count("\n")


def test_a_killed_training_goes_on_from_its_last_checkpoint(orchestra: Any, small: Any) -> None:
    run = orchestra.start(f"train-lora/{LAB}", **small("killed", max_steps=120, save_steps=20, save_total_limit="null"))
    orchestra.until(lambda: saved(orchestra, "killed"), "a checkpoint")
    orchestra.lose_machine("gpu")
    before = saved(orchestra, "killed")[-1]
    assert orchestra.state(run) == "RUNNING"
    # as the automation does after five minutes without a heartbeat, and then a person or the other automation
    orchestra.set_state(run, "CRASHED")
    orchestra.set_state(run, "SCHEDULED")
    orchestra.start_worker("gpu")
    assert orchestra.ended(run) == "COMPLETED"
    assert f"checkpoint-{before}" in log_of(orchestra, "killed")
    steps = [line.split(":")[0] for line in log_of(orchestra, "killed").split("\n") if line.startswith("step 1/")]
    assert len(steps) == 1


def burst(orchestra: Any, small: Any, source_run: str, name: str, runs_wanted: int) -> int:
    """Twenty checkpoints at once, each with its event; how many events started a run."""
    from tasks.settings import ExperimentConfig
    from tasks.storage.runs import open_run
    from tasks.storage.staging import stage_checkpoint

    run = open_run(ExperimentConfig.model_validate(small(name)["config"]), name, orchestra.workspace)
    source = folder_of(orchestra, source_run).training / "final"
    for step in range(1, 21):
        stage_checkpoint(source, run.folder.staging, step=step)
    events = [
        {
            "id": str(uuid4()),
            "occurred": datetime.now(UTC).isoformat(),
            "event": "rsvlm.checkpoint.saved",
            "resource": {"prefect.resource.id": f"rsvlm.checkpoint.{name}.{step}"},
            "payload": {"run": name, "step": step},
        }
        for step in range(1, 21)
    ]
    httpx.post(f"{orchestra.api}/events", json=events, timeout=60).raise_for_status()
    stored = orchestra.workspace / "store" / name / "checkpoints"
    orchestra.until(lambda: len(list(stored.glob("checkpoint-*/MANIFEST.json"))) == 20, "twenty archived checkpoints")
    orchestra.until(lambda: len(archives_of(orchestra, name)) >= runs_wanted, f"{runs_wanted} runs")
    orchestra.until(
        lambda: {each["state"]["type"] for each in archives_of(orchestra, name)} == {"COMPLETED"}, "their end"
    )
    return len(archives_of(orchestra, name))


def archives_of(orchestra: Any, name: str) -> list[dict[str, Any]]:
    return [each for each in orchestra.runs_of("archive-checkpoint") if each["parameters"]["run"] == name]


def test_of_a_burst_of_events_every_checkpoint_is_archived(orchestra: Any, small: Any) -> None:
    # on SQLite the server loses some of the runs; any one of them archives all
    assert burst(orchestra, small, "whole", "burst", runs_wanted=1) >= 1


def test_on_postgresql_an_experiment_is_started_from_python_and_no_event_of_a_burst_is_lost(
    orchestra_on_postgres: Any, small: Any, tmp_path: Path
) -> None:
    orchestra = orchestra_on_postgres
    (tmp_path / "small.yaml").write_text(yaml.safe_dump(small("from-afar")["config"]), encoding="utf-8")
    example = PYTHON_EXAMPLES[2].replace('load_config("demo"', 'load_config("small.yaml"')
    said = subprocess.run(
        [sys.executable, "-c", example], env=orchestra.env, cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert said.returncode == 0, said.stderr
    assert f"from-afar {folder_of(orchestra, 'from-afar').report('final')}" in said.stdout
    assert burst(orchestra, small, "from-afar", "burst", runs_wanted=20) == 20
