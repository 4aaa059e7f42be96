"""Runs of a workspace with settings, scores and a loss curve, as an experiment leaves them; no model is trained."""

import json
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from support.llava_records import asked_record

from tasks.evaluation.comparison import compare
from tasks.evaluation.evaluate_answers import EvaluationFiles, evaluate
from tasks.files import write_json, write_text
from tasks.paths import BASE, FINAL, DataFolder
from tasks.settings import EvaluationConfig, ExperimentConfig
from tasks.storage.outcome import recording_outcome
from tasks.storage.runs import open_run

QUESTIONS = (("Is there a road?", "yes"), ("How many roads are there?", "3"))
IMAGES = [f"LR/Train/{number}.png" for number in range(12)]


class ScoredRuns:
    """A workspace and its data folder; `add` writes a run."""

    def __init__(self, root: Path):
        self.workspace, self.data = root / "workspace", DataFolder(root / "data")
        for number, image in enumerate(IMAGES):
            path = self.data.images / image
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.new("RGB", (64, 48), (20 * number, 120, 80)).save(path)
        self._write_set("filtered_test.json", [answer for _, answer in QUESTIONS])

    def add(self, name: str, right: int = 12, **settings: Any) -> Path:
        """A complete run whose final model answers `right` of the twelve images correctly, and its base none."""
        config = {"data": {"root": str(self.data.root), "sources": ["LR"]}, **settings}
        run = open_run(ExperimentConfig.model_validate(config), name, self.workspace)
        with recording_outcome(run.folder):
            base = self._evaluate(run.folder.report(BASE), 0, None)
            self._evaluate(run.folder.report(FINAL), right, base)
            write_json(run.folder.comparison, compare(run.folder.report(BASE), run.folder.report(FINAL), None))
            history = [{"step": step, "loss": 3.0 / step} for step in range(1, 9)]
            state = {"global_step": 8, "epoch": 1.0, "log_history": history}
            write_json(run.folder.training / FINAL / "trainer_state.json", state)
            write_text(run.folder.log, "merged\n")
        return run.folder.root

    def _evaluate(self, out: Path, right: int, base: Path | None) -> Path:
        answers = self._write_set(f"{out.parts[-3]}-{out.name}.json", ["<b>no</b>", "0"], right)
        files = EvaluationFiles(self.data.sets / "filtered_test.json", answers, base=base, images=self.data.images)
        evaluate(files, out, EvaluationConfig(gallery=6))
        return answers

    def _write_set(self, name: str, answers: list[str], right: int = 0) -> Path:
        asked = [question for question, _ in QUESTIONS]
        turns = [[truth for _, truth in QUESTIONS] if number < right else answers for number in range(len(IMAGES))]
        rows = [
            asked_record(image, list(zip(asked, own, strict=True))) for image, own in zip(IMAGES, turns, strict=True)
        ]
        path = self.data.sets / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(rows), encoding="utf-8")
        return path


@pytest.fixture(scope="session")
def scored_runs(tmp_path_factory: pytest.TempPathFactory) -> ScoredRuns:
    """Two complete runs, `first` and the better `second`; tests must not change them."""
    runs = ScoredRuns(tmp_path_factory.mktemp("scored"))
    runs.add("first", right=3)
    runs.add("second", training={"lora_r": 16})
    return runs
