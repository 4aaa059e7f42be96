"""Runs on a real server that lose machine, worker or server, or are cancelled; on SQLite and PostgreSQL."""

import os
import re
import signal
import time
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest

from deployments.automations import DEAD

# each of several waits may take minutes on a machine that others use
pytestmark = [pytest.mark.slow, pytest.mark.timeout(1500)]
DEPLOYED_WITH = ("--resume-crashed", "--gpu-slots", "2")
LAB = "llava-1.5-7b-lora"
# a run is heard of every 30 s, which Prefect has as the least; on a busy machine it may be a minute
SILENCE_S = 75
# Prefect gives a cancelled run that long before it kills it
KILLED_AFTER_S = 30
STEPS = 120
TRAINING = "tasks.training.worker"


def shorten_silence(orchestra: Any) -> None:
    """Let the server mark runs as crashed after little more than a minute, not five."""
    (automation,) = [each for each in orchestra.all("automations") if each["name"] == DEAD]
    changed = {key: automation[key] for key in ("name", "description", "enabled", "trigger", "actions")}
    changed["trigger"]["within"] = SILENCE_S
    orchestra.ask("PUT", f"automations/{automation['id']}", **changed)


def send(what: signal.Signals, processes: list[int]) -> None:
    """Send a signal to processes, of which some may end meanwhile."""
    for pid in processes:
        with suppress(ProcessLookupError):
            os.kill(pid, what)


@pytest.fixture(scope="module")
def runs(orchestra: Any, small: Any) -> SimpleNamespace:
    """An experiment whose machine has been lost in the middle of its training, and a training that was beside it."""
    shorten_silence(orchestra)
    slow = {"save_total_limit": "null", "max_steps": 4000, "save_steps": 20}
    lost = orchestra.start(f"experiment/{LAB}: whole experiment", **small("lost", **slow))
    healthy = orchestra.start(f"train-lora/{LAB}: train", **small("healthy", max_steps=STEPS, save_steps=STEPS // 2))
    orchestra.goes_on("healthy")
    # it lives, but does nothing until it is to be seen at work
    send(signal.SIGSTOP, orchestra.processes_of(healthy, TRAINING))
    orchestra.until(lambda: orchestra.saved("lost"), "a checkpoint")
    orchestra.lose_worker("gpu")
    send(signal.SIGKILL, orchestra.processes_of(lost))
    return SimpleNamespace(lost=lost, healthy=healthy, checkpoint=orchestra.saved("lost")[-1])


def test_a_dead_run_is_marked_as_crashed_and_a_healthy_one_is_not(orchestra: Any, runs: SimpleNamespace) -> None:
    crashed = f"prefect.flow-run.{runs.lost}"
    (event,) = orchestra.until(lambda: orchestra.events("prefect.flow-run.Crashed", crashed), "the death of a run")
    assert event["payload"]["validated_state"]["message"] == "No heartbeat for 5 minutes."
    started = datetime.fromisoformat(orchestra.ask("GET", f"flow_runs/{runs.healthy}")["start_time"])
    # had nothing been heard of the other, it would be called dead by then; the server looks every five seconds
    called_dead = started + timedelta(seconds=SILENCE_S + 10)
    orchestra.until(lambda: datetime.now(UTC) > called_dead, "the time at which a silent run is called dead")
    assert orchestra.state(runs.healthy) == "RUNNING"


def test_a_crashed_run_is_restarted_and_resumes_from_its_last_checkpoint(orchestra: Any, runs: SimpleNamespace) -> None:
    orchestra.start_worker("gpu")
    orchestra.until(lambda: orchestra.saved("lost")[-1] > runs.checkpoint, "another checkpoint")
    steps = [int(number) for number in re.findall(r"^step (\d+)/", "\n".join(orchestra.log("lost")), re.MULTILINE)]
    assert steps[-1] > runs.checkpoint
    assert [number for number in steps if number <= runs.checkpoint] == list(range(1, runs.checkpoint + 1))
    assert orchestra.ask("GET", f"flow_runs/{runs.lost}")["run_count"] == 2


def test_a_cancelled_training_saves_and_ends_with_all_it_started(orchestra: Any, runs: SimpleNamespace) -> None:
    before, asked_at = orchestra.saved("lost")[-1], time.monotonic()
    orchestra.set_state(runs.lost, "CANCELLING")
    orchestra.until(lambda: not orchestra.processes_of(runs.lost), "the end of its processes", patience_s=120)
    seconds = time.monotonic() - asked_at
    assert orchestra.ended(runs.lost) == "CANCELLED"
    saved = orchestra.saved("lost")[-1]
    assert before <= saved < 4000
    # the experiment's flow, the training's and its task say what is saved; none has failed
    told = f"Training cancelled, checkpoint-{saved} saved: "
    flows = [(each["name"], each["state"]) for each in orchestra.all("flow_runs")]
    states = [*flows, *((each["name"].rpartition("-")[0], each["state"]) for each in orchestra.all("task_runs"))]
    cancelled = {name: state["type"] for name, state in states if (state["message"] or "").startswith(told)}
    # over the experiment's own state the runner writes one of its own, that it was cancelled, a moment later
    said = [state["type"] for state in orchestra.states(runs.lost) if (state["message"] or "").startswith(told)]
    if seconds > KILLED_AFTER_S and not said:
        pytest.skip(f"on this busy machine saving and ending took {seconds:.0f} s, and Prefect killed the run")
    assert cancelled.keys() >= {"lost: train-lora", "train-adapter"}, (told, seconds, states)
    assert said and {*cancelled.values(), *said} == {"CANCELLED"}


def test_all_parts_of_a_run_cancelled_outside_its_training_are_cancelled(orchestra: Any, small: Any) -> None:
    parameters = small("toy")
    parameters["config"]["model"]["base"] = "tiny"
    run = orchestra.start(f"experiment/{LAB}: whole experiment", **parameters)
    orchestra.until(lambda: any(line.startswith("step ") for line in orchestra.log("toy")), "the toy's training")
    orchestra.set_state(run, "CANCELLING")
    assert orchestra.ended(run) == "CANCELLED"
    tasks = orchestra.all("task_runs", flow_runs={"id": {"any_": [run]}})
    states = {task["name"].rpartition("-")[0]: task["state"]["type"] for task in tasks}
    assert states["pretrain-toy-base"] == "CANCELLED"
    assert set(states.values()) == {"COMPLETED", "CANCELLED"}


def test_a_training_continues_without_worker_and_server_and_completes(orchestra: Any, runs: SimpleNamespace) -> None:
    # its worker was killed with the other run; another one is there now
    orchestra.stop_server()
    send(signal.SIGCONT, orchestra.processes_of(runs.healthy, TRAINING))
    orchestra.goes_on("healthy")
    orchestra.start_server()
    assert orchestra.ended(runs.healthy) == "COMPLETED"
    assert (orchestra.run_folder("healthy").training / "final" / "adapter_model.safetensors").is_file()
    assert any(line.startswith(f"step {STEPS}/{STEPS}:") for line in orchestra.log("healthy"))
    assert not orchestra.events("prefect.flow-run.Crashed", f"prefect.flow-run.{runs.healthy}")


def test_no_subflow_of_an_ended_run_stays_running(orchestra: Any, runs: SimpleNamespace) -> None:
    going = {"state": {"type": {"any_": ["RUNNING", "PENDING", "CANCELLING"]}}}
    orchestra.until(lambda: not orchestra.all("flow_runs", flow_runs=going), "the end of all runs")
