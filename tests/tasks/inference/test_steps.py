import importlib.util
import json
import os
import re
import signal
import time
from contextlib import suppress
from pathlib import Path
from threading import Thread

import pytest
from prefect import flow

from tasks.errors import ConfigError
from tasks.inference.request import PredictionSpec
from tasks.inference.steps import answer_subsets
from tasks.records import DatasetRef, ModelRef
from tasks.settings import InferenceConfig
from tasks.storage.runs import Run

WITHOUT_RAY = importlib.util.find_spec("prefect_ray") is None


@pytest.fixture
def answered(records, images, tmp_path, prefect_server):
    """Answer the small test set by echo in a flow; returns the reference and the run's folder."""
    return answering(records, images, tmp_path)


def answering(records, images, tmp_path):
    (tmp_path / "sets").mkdir()
    (tmp_path / "sets" / "filtered_test.json").write_text(json.dumps(records))
    dataset = DatasetRef(path=tmp_path / "sets", sha256="0", images=images, images_sha256="1", records={})
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "config.json").write_text("{}")
    model = ModelRef(path=tmp_path / "model", sha256="2")

    def answer(name, **config):
        run = Run(name=name, workspace_root=tmp_path, store_uri=(tmp_path / f"store-{name}").as_uri(), store_name=name)
        spec = PredictionSpec(label="final", config=InferenceConfig(engine="echo", **config), subset_size=1)

        @flow
        def answer_flow():
            # refreshed: the number of processes is not part of the cache key
            return answer_subsets.with_options(refresh_cache=True)(
                model, dataset, spec, run, run.folder.predictions("final")
            )

        return answer_flow(), run.folder

    return answer


@pytest.mark.slow
def test_one_or_several_child_processes_give_the_same_answers(answered):
    one, folder = answered("one")
    assert (one.path, one.model, one.answers) == (folder.predictions("final"), "final", 7)
    assert "7 of 7 questions answered" in folder.log.read_text()
    two, folder = answered("two", workers=2)
    assert (two.path / "final.json").read_bytes() == (one.path / "final.json").read_bytes()
    lines = folder.log.read_text().split("\n")
    # two processes share the questions; the join has none left to ask
    assert {line for line in lines if "before" in line} == {f"0 of {n} questions answered before" for n in (2, 5)}


@pytest.mark.slow
@pytest.mark.skipif(WITHOUT_RAY, reason="prefect-ray is not installed")
def test_a_ray_cluster_gives_the_same_answers(answered):
    import ray

    ray.init(num_cpus=2, include_dashboard=False)
    try:
        one, _ = answered("one")
        several, _ = answered("several", workers=2, ray_address="auto")
    finally:
        ray.shutdown()
    assert (several.path / "final.json").read_bytes() == (one.path / "final.json").read_bytes()


def workers_of(mark):
    """The process ids of Ray workers with this mark in their environment that wait for an answering process."""
    for folder in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            ours = mark in (folder / "environ").read_bytes().split(b"\0")
            if ours and b"tasks.inference.worker" in (folder / "cmdline").read_bytes():
                yield int((folder / "stat").read_text().rpartition(")")[2].split()[1])


def kill_one(mark, shares, killed):
    """Kill the worker of the first share that has written an answer."""
    while not killed:
        if any(log.stat().st_size for log in shares.glob("001-*.jsonl")):
            for worker in workers_of(mark):
                os.kill(worker, signal.SIGKILL)
                killed.append(worker)
                break
        time.sleep(0.01)


@pytest.mark.slow
@pytest.mark.skipif(WITHOUT_RAY, reason="prefect-ray is not installed")
def test_killing_a_ray_worker_changes_no_answer(records, images, tmp_path, prefect_server, monkeypatch):
    import ray

    many = [{**records[n % len(records)], "id": f"{records[n % len(records)]['id']}_{n}"} for n in range(1000)]
    answer, killed = answering(many, images, tmp_path), []
    one, _ = answer("one")
    monkeypatch.setenv("RSVLM_TEST_CLUSTER", str(tmp_path))
    ray.init(num_cpus=2, include_dashboard=False)
    shares = tmp_path / "runs" / "several" / "predictions" / "final" / "shares"
    mark = f"RSVLM_TEST_CLUSTER={tmp_path}".encode()
    Thread(target=kill_one, args=(mark, shares, killed), daemon=True).start()
    try:
        several, folder = answer("several", workers=2, ray_address="auto")
    finally:
        ray.shutdown()
    assert len(killed) == 1
    # shares were started three times: by two workers, and again by a third that continued a share
    started = [
        (int(n), int(of)) for n, of in re.findall(r"(\d+) of (\d+) questions answered before", folder.log.read_text())
    ]
    assert len(started) == 3 and any(0 < n < of for n, of in started), started
    assert (several.path / "final.json").read_bytes() == (one.path / "final.json").read_bytes()


@pytest.mark.slow
@pytest.mark.skipif(not WITHOUT_RAY, reason="prefect-ray is installed")
def test_a_ray_cluster_without_prefect_ray_is_refused(answered):
    with pytest.raises(ConfigError, match=r"rsvlm\[ray\]"):
        answered("several", workers=2, ray_address="auto")
