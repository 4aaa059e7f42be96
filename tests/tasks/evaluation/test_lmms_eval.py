"""The log that lmms-eval's viewers read: what they look for is there."""

import json
from pathlib import Path
from typing import Any

import pytest

from tasks.errors import UserError
from tasks.evaluation.evaluating import EvaluationFiles, evaluate
from tasks.evaluation.lmms_eval import export_lmms_eval
from tasks.settings import EvaluationConfig


@pytest.fixture
def report(write: Any, record: Any, tmp_path: Path) -> Path:
    test = [record(f"LR/Train/{n}.tif", [("Is there a road?", "yes")]) for n in range(4)]
    said = [record(f"LR/Train/{n}.tif", [("Is there a road?", ("yes", "no")[n % 2])]) for n in range(4)]
    files = EvaluationFiles(write("test.json", test), write("final.json", said))
    return evaluate(files, tmp_path / "final", EvaluationConfig(bootstrap_draws=20)).path


def test_results_and_samples_stand_where_viewers_look(report: Path, tmp_path: Path) -> None:
    place = export_lmms_eval(report, tmp_path / "logs")
    results = json.loads(place.read_text())
    assert results["results"]["rsvlm_lr_vqa"]["accuracy,none"] == 0.5
    assert results["n-samples"]["rsvlm_lr_vqa"] == {"original": 4, "effective": 4}
    assert (results["model_name"], place.parent.name) == ("final", "final")
    samples = place.with_name(place.name.removesuffix("_results.json") + "_samples_rsvlm_lr_vqa.jsonl")
    rows = [json.loads(line) for line in samples.read_text().split("\n")[:-1]]
    assert [row["doc_id"] for row in rows] == [0, 1, 2, 3]
    assert (
        rows[1].items()
        >= {"target": "yes", "filtered_resps": ["no"], "accuracy": 0, "input": "Is there a road?"}.items()
    )


def test_the_same_report_again_is_the_same_log_and_another_is_refused(report: Path, tmp_path: Path) -> None:
    place = export_lmms_eval(report, tmp_path / "logs")
    before = place.read_bytes()
    assert export_lmms_eval(report, tmp_path / "logs") == place
    assert place.read_bytes() == before
    place.write_text("{}")
    with pytest.raises(UserError, match="already holds another log"):
        export_lmms_eval(report, tmp_path / "logs")
