"""The exported log has the files and fields of lmms-eval 0.7.3 that its web viewer reads."""

import json
import re
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from tasks.errors import UserError
from tasks.evaluation.lmms_eval_export import export_lmms_eval

CAPTIONS, QUESTIONS = "rsvlm_nwpu_captions", "rsvlm_lr_vqa"
ACCURACIES = ("accuracy", "accuracy_binned", "accuracy_lenient")
# each ends a line for one reader or another
SEPARATORS = "yes\n\r\x0b\x0c\x1c\x85\u2028\u2029 no"


@pytest.fixture
def log(full_report: Path, tmp_path: Path) -> Path:
    return export_lmms_eval(full_report, tmp_path / "logs")


def samples_of(place: Path, task: str) -> list[dict[str, Any]]:
    """The lines as the viewer finds and reads them: by the name of the results file, split as Python splits files."""
    path = place.with_name(f"{place.stem.removesuffix('_results')}_samples_{task}.jsonl")
    with path.open(encoding="utf-8") as lines:
        return [json.loads(line) for line in lines]


def hashed(text: str) -> str:
    return sha256(text.encode()).hexdigest()


def test_the_results_file_is_in_the_folder_of_the_model_under_its_date(log: Path, tmp_path: Path) -> None:
    assert [path for path in (tmp_path / "logs").rglob("*_results.json")] == [log]
    assert log.parent.name == "final"
    date = json.loads(log.read_text())["date"]
    # the viewer parses it, and crashes on a number
    assert re.fullmatch(r"\d{8}_\d{6}", date)
    assert log.name == f"{date}_results.json"


def test_scores_have_their_filter_and_standard_errors(log: Path, full_report: Path) -> None:
    metrics = json.loads((full_report / "metrics.json").read_text())
    found = json.loads(log.read_text())["results"]
    of_questions = metrics["vqa"]["LR"]
    assert {name: found[QUESTIONS][f"{name},none"] for name in ACCURACIES} == dict.fromkeys(ACCURACIES, 1)
    assert found[QUESTIONS].keys() == {"alias"} | {
        f"{name}{end},none" for name in ACCURACIES for end in ("", "_stderr")
    }
    assert of_questions["accuracy"] == 1
    captions = metrics["captioning"]["NWPU"]
    names = {"CIDEr", "BLEU-1", "BLEU-2", "BLEU-3", "BLEU-4", "METEOR", "ROUGE-L"}
    assert set(found[CAPTIONS]) == {"alias"} | {f"{name}{end},none" for name in names for end in ("", "_stderr")}
    assert {name: found[CAPTIONS][f"{name},none"] for name in names} == {name: captions[name] for name in names}
    low, high = captions["ci95"]["CIDEr"]
    assert found[CAPTIONS]["CIDEr_stderr,none"] == pytest.approx((high - low) / (2 * 1.96))
    # all images have the same METEOR: nothing can be said
    assert found[CAPTIONS]["METEOR_stderr,none"] == "N/A"


def test_the_results_file_has_all_other_keys(log: Path, full_report: Path) -> None:
    results = json.loads(log.read_text())
    protocol = json.loads((full_report / "metrics.json").read_text())["protocol"]
    assert results.pop("results").keys() == {CAPTIONS, QUESTIONS}
    assert results.pop("higher_is_better")[QUESTIONS] == dict.fromkeys(ACCURACIES, True)
    hashes = results.pop("task_hashes")
    for task in (CAPTIONS, QUESTIONS):
        texts = [f"sample_{place}{row['doc_hash']}" for place, row in enumerate(samples_of(log, task))]
        assert hashes[task] == hashed("".join(texts))
    assert results == {
        "group_subtasks": {CAPTIONS: [], QUESTIONS: []},
        "configs": {task: {"task": task, "output_type": "generate_until"} for task in (CAPTIONS, QUESTIONS)},
        "versions": {CAPTIONS: 1, QUESTIONS: 1},
        "n-shot": {CAPTIONS: 0, QUESTIONS: 0},
        "n-samples": {CAPTIONS: {"original": 3, "effective": 3}, QUESTIONS: {"original": 2, "effective": 2}},
        "config": {"model": "rsvlm", "model_args": "pretrained=final", "protocol": protocol},
        "date": log.name.removesuffix("_results.json"),
        "model_source": "rsvlm",
        "model_name": "final",
        "model_name_sanitized": "final",
        "total_evaluation_time_seconds": None,
    }


def test_a_question_is_a_sample(log: Path) -> None:
    first, second = samples_of(log, QUESTIONS)
    doc = {"id": "LR/Train/1.tif", "record": 3, "image": "LR/Train/1.tif", "turn": 0}
    doc |= {"question": "Is there a road?", "references": ["yes"], "type": "presence"}
    assert first == {
        "doc_id": 0,
        "target": "yes",
        "filtered_resps": "yes",
        "doc_hash": hashed(json.dumps(doc, indent=2, ensure_ascii=False)),
        **dict.fromkeys(ACCURACIES, 1.0),
        "id": "LR/Train/1.tif",
        "image": "LR/Train/1.tif",
        "type": "presence",
        "input": "Is there a road?",
    }
    assert (second["doc_id"], second["target"], second["type"]) == (1, "3", "count")
    assert second["doc_hash"] != first["doc_hash"]


def test_a_caption_is_a_sample_with_all_its_scores(log: Path, full_report: Path) -> None:
    rows = [json.loads(line) for line in (full_report / "per_answer.jsonl").read_text().split("\n")[:3]]
    for place, (sample, row) in enumerate(zip(samples_of(log, CAPTIONS), rows, strict=True)):
        assert (sample["doc_id"], sample["filtered_resps"]) == (place, row["answer"])
        assert sample["target"] == str(row["references"])
        assert sample["input"] == "Provide a description of the image"
        for metric in ("CIDEr", "BLEU-1", "BLEU-2", "BLEU-3", "BLEU-4", "METEOR", "ROUGE-L"):
            assert sample[metric] == row[metric]
        assert "SPICE" not in sample or sample["SPICE"] is not None


def test_an_answer_with_line_separators_is_one_sample(
    report: Any, vqa_files: dict[str, Path], write: Any, record: Any, tmp_path: Path
) -> None:
    asked = [("Is there a road?", SEPARATORS), ("How many roads are there?", "3")]
    vqa_files["odd"] = write("odd.json", [record(f"LR/Train/{n}.tif", asked) for n in range(8)])
    samples = samples_of(export_lmms_eval(report("odd").path, tmp_path / "logs"), QUESTIONS)
    assert [sample["doc_id"] for sample in samples] == list(range(16))
    assert (samples[0]["filtered_resps"], samples[0]["accuracy"]) == (SEPARATORS, 0)


def test_exporting_again_gives_the_same_log_and_never_overwrites_another(
    log: Path, full_report: Path, tmp_path: Path
) -> None:
    before = log.read_bytes()
    assert export_lmms_eval(full_report, tmp_path / "logs") == log
    assert log.read_bytes() == before
    log.write_text("{}")
    with pytest.raises(UserError, match="already holds another log"):
        export_lmms_eval(full_report, tmp_path / "logs")
