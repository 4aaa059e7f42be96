"""Runs started by the form, programs, events and a schedule on a real server; on SQLite and on PostgreSQL."""

import re
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx
import pytest
import yaml
from support.locations import REPO
from support.run_forms import make_webhook, submit

from deployments.automations import DROPPED
from deployments.preset_step import form_values
from tasks.settings import ExperimentConfig
from tasks.storage.steps import TO_BE_SCORED

# each of several waits may take minutes on a machine that others use
pytestmark = [pytest.mark.slow, pytest.mark.timeout(1500)]
DEPLOYED_WITH = ("--reevaluate", "second-seed")
DEMO, NIGHTLY = "experiment/demo: whole experiment", "reevaluate/every night: score a run again"
KEYS = {"AWS_ACCESS_KEY_ID": "lab-key", "AWS_SECRET_ACCESS_KEY": "lab-secret-4711", "AWS_DEFAULT_REGION": "us-east-1"}
PYTHON_EXAMPLES = re.findall(
    r"```python\n(.*?)```", (REPO / "docs" / "python.md").read_text(encoding="utf-8"), re.DOTALL
)
# the one that is written into the form
RATE = 0.004
BURST = 20
MOST_SENT, SENT_AGAIN_AFTER_S = 6, 45


@pytest.fixture(scope="module")
def bucket(s3_address: str, orchestra: Any) -> SimpleNamespace:
    """A bucket on an S3 server, empty; results in that of another database would spare this one its work."""
    import boto3

    name = f"lab-{orchestra.folder.name}"

    *keys, region = KEYS.values()
    client = boto3.Session(*keys, region_name=region).client("s3", endpoint_url=s3_address)
    client.create_bucket(Bucket=name)
    return SimpleNamespace(url=s3_address, name=name, client=client)


def counted(orchestra: Any) -> dict[str, list[str]]:
    return {what: sorted(each["name"] for each in orchestra.all(what)) for what in ("deployments", "automations")}


@pytest.fixture(scope="module")
def deployed_again(orchestra: Any, told: SimpleNamespace, bucket: SimpleNamespace) -> SimpleNamespace:
    """What was there after the first deployment, after the same again, and after one that was asked for more."""
    demo = orchestra.ask("GET", f"deployments/name/{DEMO}")
    like = {key: demo[key] for key in ("flow_id", "entrypoint", "work_pool_name")}
    orchestra.ask("POST", "deployments/", name="old", tags=["rsvlm"], **like)
    orchestra.ask("POST", "deployments/", name="theirs", tags=["lab"], **like)
    make_webhook(orchestra, told.url)
    found, said = [counted(orchestra)], []
    results = ("--results", f"s3://{bucket.name}/a", "--endpoint-url", bucket.url)
    more = ("--prune", "--notify", "custom-webhook/lab", *results)
    for options in ((), more):
        done = orchestra.deploy(*DEPLOYED_WITH, *options)
        assert done.returncode == 0, done.stderr
        found.append(counted(orchestra))
        said.append(done.stdout)
    return SimpleNamespace(first=found[0], second=found[1], third=found[2], said=said)


def test_deploying_again_adds_and_removes_nothing(orchestra: Any, deployed_again: SimpleNamespace) -> None:
    assert deployed_again.second == deployed_again.first
    assert len(set(deployed_again.first["automations"])) == len(deployed_again.first["automations"]) >= 3
    assert {pool["name"]: pool["concurrency_limit"] for pool in orchestra.all("work_pools")} == {"cpu": None, "gpu": 1}


def test_deploying_reports_schedules_with_their_time_zones_and_what_is_left_from_another_version(
    deployed_again: SimpleNamespace,
) -> None:
    said, pruned = deployed_again.said
    assert f"deployed {NIGHTLY} on gpu, scheduled at 0 3 * * * in Europe/Madrid\n" in said
    assert "left from another version: experiment/old; remove with --prune\n" in said
    assert said.endswith("next: start a worker for cpu and for gpu: .venv/bin/prefect worker start --pool cpu\n")
    assert "removed the deployment experiment/old\n" in pruned and "left from another version" not in pruned


def test_prune_removes_what_is_no_longer_defined(deployed_again: SimpleNamespace) -> None:
    left = list(deployed_again.first["deployments"])
    left.remove("old")
    assert deployed_again.third["deployments"] == left
    assert deployed_again.third["automations"] == sorted([*deployed_again.first["automations"], DROPPED])


@pytest.mark.parametrize(
    ("field", "value"), [("learning_rate", 7), ("lora_r", "many"), ("eval_strategy", "daily"), ("lerning_rate", 1)]
)
def test_a_wrong_value_is_refused_by_the_server(orchestra: Any, small: Any, field: str, value: Any) -> None:
    parameters = small("wrong")
    parameters["config"]["training"][field] = value
    demo = orchestra.ask("GET", f"deployments/name/{DEMO}")
    answer = httpx.post(
        f"{orchestra.api}/deployments/{demo['id']}/create_flow_run", json={"parameters": parameters}, timeout=60
    )
    assert answer.status_code in (409, 422)
    assert str(value) in answer.text or field in answer.text


@pytest.fixture(scope="module")
def experiment(
    orchestra: Any, small: Any, deployed_again: SimpleNamespace, tmp_path_factory: pytest.TempPathFactory
) -> SimpleNamespace:
    """The example of the documentation that starts the demo from afar."""
    folder = tmp_path_factory.mktemp("client")
    orchestra.env.update(KEYS)
    # with the keys, and with a memory of its own
    orchestra.work_elsewhere("cpu", "first")
    (folder / "small.yaml").write_text(yaml.safe_dump(small("", learning_rate=RATE)["config"]), encoding="utf-8")
    example = PYTHON_EXAMPLES[-1].replace('load_config("demo"', 'load_config("small.yaml"')
    said = subprocess.run(
        [sys.executable, "-c", example], env=orchestra.env, cwd=folder, capture_output=True, text=True, check=False
    )
    assert said.returncode == 0, said.stderr
    (run,) = orchestra.runs_of("experiment")
    return SimpleNamespace(said=said.stdout, run=run["id"])


def test_an_experiment_is_started_from_python(orchestra: Any, experiment: SimpleNamespace) -> None:
    report = orchestra.run_folder("second-seed").report("final")
    assert f"second-seed {report}" in experiment.said
    assert (report / "report.html").is_file()


def test_results_are_in_the_bucket_and_its_keys_are_not_stored(
    orchestra: Any, experiment: SimpleNamespace, bucket: SimpleNamespace
) -> None:
    pages = bucket.client.get_paginator("list_objects_v2").paginate(Bucket=bucket.name)
    kept = [each["Key"] for page in pages for each in page.get("Contents", ())]
    for step in ("prepare-sets", "train-adapter", "merge-adapter", "answer-subsets", "evaluate-answers"):
        assert [key for key in kept if key.startswith(f"a/prefect-results/rsvlm-{step}-")], (step, kept)
    assert not list((orchestra.folder / "first").glob("storage/*"))
    (block,) = [each for each in orchestra.all("block_documents") if each["name"] == "rsvlm-results"]
    assert not block["data"]["credentials"].get("aws_secret_access_key")
    secret = KEYS["AWS_SECRET_ACCESS_KEY"].encode()
    written = [path for path in orchestra.folder.rglob("*") if path.is_file()]
    assert len(written) > 50 and not [path for path in written if secret in path.read_bytes()]


def archives_of(orchestra: Any, name: str) -> list[dict[str, Any]]:
    return [each for each in orchestra.runs_of("archive-checkpoint") if each["parameters"]["run"] == name]


def saved(run: str, step: int) -> tuple[str, str, dict[str, Any]]:
    """The event that a checkpoint is saved."""
    return "rsvlm.checkpoint.saved", f"rsvlm.checkpoint.{run}.{step}", {"run": run, "step": step}


def test_checkpoints_that_are_saved_start_archive_runs(orchestra: Any, experiment: SimpleNamespace) -> None:
    runs = archives_of(orchestra, "second-seed") or orchestra.until_heard(
        lambda: archives_of(orchestra, "second-seed"),
        lambda: orchestra.emit(*(saved("second-seed", step) for step in (1, 2))),
    )
    # an event may be lost; what it told of is archived all the same
    assert {each["parameters"]["step"] for each in runs} <= {1, 2}
    assert {orchestra.ended(each["id"]) for each in runs} == {"COMPLETED"}
    stored = orchestra.workspace / "store" / "second-seed" / "checkpoints"
    assert sorted(path.name for path in stored.iterdir()) == ["checkpoint-1", "checkpoint-2"]


def test_an_experiment_started_from_the_form_reuses_results_of_another_machine(
    orchestra: Any, small: Any, experiment: SimpleNamespace, browser: Any, tmp_path: Path
) -> None:
    orchestra.work_elsewhere("cpu", "second")
    demo = orchestra.ask("GET", f"deployments/name/{DEMO}")
    keys = ("flow_id", "entrypoint", "parameter_openapi_schema", "work_pool_name", "job_variables", "path")
    # nobody writes a name into the form
    settings = ExperimentConfig.model_validate(small("", learning_rate=0.003, seed=2)["config"])
    parameters = {**demo["parameters"], "config": form_values(settings)}
    made = orchestra.ask("POST", "deployments/", name="form", parameters=parameters, **{key: demo[key] for key in keys})
    browser.call("Emulation.setDeviceMetricsOverride", width=1100, height=900, deviceScaleFactor=1, mobile=False)
    browser.call("Page.navigate", url=f"{orchestra.api.removesuffix('/api')}/deployments/deployment/{made['id']}/run")
    browser.wait_for("document.body && document.body.innerText.includes('Peak learning rate of the trained weights')")
    browser.run(
        "[...document.querySelectorAll('input')].filter(each => each.value === '0.003')"
        ".forEach(each => { each.scrollIntoView({block: 'center'}); each.focus(); each.select(); })"
    )
    browser.picture(tmp_path / "form.png")
    browser.call("Input.insertText", text=str(RATE))
    submit(orchestra, browser)
    run = orchestra.until(lambda: orchestra.all("flow_runs", deployments={"id": {"any_": [made["id"]]}}), "the run")[0]
    # the form sends null for an empty choice
    training = {name: value for name, value in run["parameters"]["config"]["training"].items() if value is not None}
    assert training == {**parameters["config"]["training"], "learning_rate": RATE}
    assert orchestra.ended(run["id"]) == "COMPLETED"
    (place,) = (orchestra.workspace / "runs").glob("form-????????")
    folder = orchestra.run_folder(place.name)
    assert (folder.report("final") / "report.html").is_file()
    # nothing was created again: no child process has written to the log
    assert not folder.log.exists()


def test_the_page_of_a_run_shows_its_log_and_its_result(
    orchestra: Any, experiment: SimpleNamespace, browser: Any, tmp_path: Path
) -> None:
    # tall enough for the log: what is not seen is not in the page
    browser.call("Emulation.setDeviceMetricsOverride", width=1300, height=1500, deviceScaleFactor=1, mobile=False)
    browser.call("Page.navigate", url=f"{orchestra.api.removesuffix('/api')}/runs/flow-run/{experiment.run}")
    browser.wait_for("document.body && document.body.innerText.includes('Preflight checks:')")
    browser.run("[...document.querySelectorAll('li')].find(each => each.innerText.trim() === 'Artifacts').click()")
    for shown in ("Result of second-seed", "Loss of second-seed", "Preflight checks of second-seed"):
        browser.wait_for(f"document.body.innerText.includes({shown!r})")
    browser.picture(tmp_path / "page.png")


def test_an_archived_checkpoint_is_scored_if_scoring_is_on(orchestra: Any, experiment: SimpleNamespace) -> None:
    archived, told = "rsvlm.checkpoint.archived", {"run": "second-seed", "step": 2}
    orchestra.emit((archived, "rsvlm.checkpoint.second-seed.1", {**told, "step": 1}))
    wanted = (archived, "rsvlm.checkpoint.second-seed.2", told)
    runs = orchestra.until_heard(
        lambda: orchestra.runs_of("score-checkpoint"),
        lambda: orchestra.emit(wanted, labels=TO_BE_SCORED),
    )
    assert {(each["parameters"]["run"], each["parameters"]["step"]) for each in runs} == {("second-seed", 2)}
    # with the settings of second-seed there is nothing to score
    assert orchestra.ended(runs[0]["id"]) == "COMPLETED"


def test_a_dropped_score_sends_a_notification(
    orchestra: Any, deployed_again: SimpleNamespace, told: SimpleNamespace
) -> None:
    payload = {"run": "second-seed", "model": "final", "source": "LR", "metric": "accuracy", "before": 0.8, "now": 0.6}
    dropped = ("rsvlm.score.dropped", "rsvlm.run.second-seed", payload)
    orchestra.until_heard(lambda: told.bodies, lambda: orchestra.emit(dropped))
    for word in ("rsvlm: a score has dropped", "rsvlm.run.second-seed", "final", "LR", "accuracy", "0.8", "0.6"):
        assert word in told.bodies[0], told.bodies[0]


def change_schedule(orchestra: Any, active: bool) -> None:
    """Have the nightly re-evaluation every few seconds, or turn it off."""
    nightly = orchestra.ask("GET", f"deployments/name/{NIGHTLY}")
    (schedule,) = nightly["schedules"]
    assert schedule["active"] and nightly["parameters"]["run"] == "second-seed"
    soon = {"interval": 20, "timezone": schedule["schedule"]["timezone"]}
    orchestra.ask(
        "PATCH",
        f"deployments/{nightly['id']}/schedules/{schedule['id']}",
        **{"schedule": soon, "active": active, "parameters": {"models": ["base"]}},
    )
    # a deployment that has changed is looked at within seconds, all others each minute
    orchestra.ask("PATCH", f"deployments/{nightly['id']}", description=nightly["description"])


def test_the_schedule_starts_a_reevaluation(orchestra: Any, experiment: SimpleNamespace) -> None:
    change_schedule(orchestra, active=True)
    started = ("PENDING", "RUNNING", "COMPLETED")
    runs = orchestra.until(
        lambda: [each for each in orchestra.runs_of("reevaluate") if each["state"]["type"] in started],
        "a re-evaluation",
    )
    change_schedule(orchestra, active=False)
    assert orchestra.ended(runs[0]["id"]) == "COMPLETED"
    assert runs[0]["auto_scheduled"] and runs[0]["parameters"]["run"] == "second-seed"
    assert (orchestra.run_folder("second-seed").root / "history" / "history.jsonl").is_file()


def save_many(orchestra: Any, small: Any, number: int) -> None:
    """Save many checkpoints at once."""
    from tasks.storage.checkpoints.staging import stage_checkpoint
    from tasks.storage.runs import open_run

    run = open_run(ExperimentConfig.model_validate(small("burst")["config"]), "burst", orchestra.workspace)
    for step in range(1, number + 1):
        stage_checkpoint(orchestra.run_folder("second-seed").training / "final", run.folder.staging, step=step)


def test_every_checkpoint_of_a_burst_of_events_is_archived(
    orchestra: Any, small: Any, experiment: SimpleNamespace
) -> None:
    # On SQLite the server loses some of the runs, and any one of them archives all. Twenty at once have locked that
    # database for minutes.
    number, wanted = (BURST, BURST) if orchestra.database else (4, 1)
    save_many(orchestra, small, number)

    def unheard() -> list[int]:
        heard = {each["parameters"]["step"] for each in archives_of(orchestra, "burst")}
        return [] if len(heard) >= wanted else sorted({*range(1, number + 1)} - heard)

    orchestra.until_heard(lambda: not unheard(), lambda: orchestra.emit(*(saved("burst", step) for step in unheard())))
    stored = orchestra.workspace / "store" / "burst" / "checkpoints"
    orchestra.until(lambda: len(list(stored.glob("checkpoint-*/MANIFEST.json"))) == number, "all archived checkpoints")
    runs = archives_of(orchestra, "burst")
    for each in runs:
        # there is nothing left for them to do
        if orchestra.state(each["id"]) in ("SCHEDULED", "PENDING"):
            orchestra.set_state(each["id"], "CANCELLED")
    assert {orchestra.ended(each["id"]) for each in runs} <= {"COMPLETED", "CANCELLED"}
