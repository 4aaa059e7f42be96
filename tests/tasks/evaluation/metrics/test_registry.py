"""The registry of metrics: a new one is one entry and one function."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tasks.evaluation.caption_metrics import CaptionSet, MetricScores, mean_over_images
from tasks.evaluation.comparison import compare
from tasks.evaluation.evaluate_answers import EvaluationFiles, evaluate
from tasks.evaluation.metrics.registry import (
    CAPTION_METRICS,
    HEADLINE,
    QUESTION_METRICS,
    CaptionMetric,
    QuestionMetric,
    metrics_of,
)
from tasks.evaluation.vqa_metrics import AnsweredQuestion
from tasks.settings import EvaluationConfig

CONFIG = EvaluationConfig(gallery=6)
QUESTION = "Is there a road?"


def extra_words(captions: CaptionSet) -> MetricScores:
    """How many more words a hypothesis has than its references on average."""
    each = [
        len(hypothesis.split()) - np.mean([len(text.split()) for text in group])
        for hypothesis, group in zip(captions.hypotheses, captions.references, strict=True)
    ]
    return mean_over_images(each)


def brevity(asked: AnsweredQuestion) -> float:
    """1 for an answer of one word."""
    return float(len(asked.answer.split()) == 1)


@pytest.fixture
def inputs(write: Any, record: Any) -> Any:
    """A test set of captions and questions, and two models' answers to it."""

    def records(caption: str, answer: str) -> list[Any]:
        captions = [record(f"RSICD/images/port_{n}.jpg", [("Describe it", caption)]) for n in range(8)]
        return captions + [record(f"LR/Train/{n}.tif", [(QUESTION, answer)]) for n in range(8)]

    rows = {
        "test": records("two ships", "yes"),
        "short": records("two ships", "yes"),
        "long": records("two ships in the port", "yes there is"),
    }
    return {name: write(f"{name}.json", value) for name, value in rows.items()}


def test_a_new_metric_is_in_metrics_comparison_and_report(
    inputs: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = evaluate(EvaluationFiles(inputs["test"], inputs["short"]), tmp_path / "plain", CONFIG)
    monkeypatch.setitem(
        CAPTION_METRICS,
        "extra words",
        CaptionMetric(name="extra words", score=extra_words, version="1", higher_is_better=False),
    )
    monkeypatch.setitem(QUESTION_METRICS, "brevity", QuestionMetric(name="brevity", score=brevity, version="2"))
    files = [EvaluationFiles(inputs["test"], inputs[name]) for name in ("long", "short")]
    long, short = (evaluate(each, tmp_path / each.predictions.stem, CONFIG) for each in files)

    metrics = json.loads((long.path / "metrics.json").read_text())
    captions, questions = metrics["captioning"]["RSICD"], metrics["vqa"]["LR"]
    assert (captions["extra words"], captions["ci95"]["extra words"]) == (3, None)
    assert (questions["brevity"], questions["ci95"]["brevity"][0]) == (0, 0)
    assert questions["by_type"]["presence"]["brevity"] == 0

    found = compare(long.path, short.path, None)
    by_words, by_brevity = found["captioning"]["RSICD"]["extra words"], found["vqa"]["LR"]["brevity"]
    assert isinstance(by_words, dict) and isinstance(by_brevity, dict)
    assert (by_words["difference"], by_words["verdict"]) == (-3, "better")
    assert (by_brevity["difference"], by_brevity["verdict"]) == (1, "better")

    page = (long.path / "report.html").read_text()
    assert "<th>extra words</th>" in page and "<td>3.000<small></small></td>" in page
    assert "<th>brevity</th>" in page

    before = json.loads((plain.path / "metrics.json").read_text())["protocol"]
    assert metrics["protocol"]["metrics"] == f"{before['metrics']}; extra words 1"
    assert metrics["protocol"]["vqa"] == f"{before['vqa']}; brevity 2"


def test_every_task_has_one_headline_metric() -> None:
    assert HEADLINE == {"captioning": "CIDEr", "vqa": "accuracy", "grounding": "mean_iou"}
    for task in HEADLINE:
        assert [metric.name for metric in metrics_of(task) if metric.headline] == [HEADLINE[task]]


def test_the_protocol_of_the_shipped_metrics_does_not_change(report: Any) -> None:
    # earlier reports are comparable only while these two lines stay as they are
    protocol = json.loads((report().path / "metrics.json").read_text())["protocol"]
    assert protocol["metrics"].endswith(": CIDEr-D, BLEU (closest), METEOR 1.5, ROUGE-L")
    assert protocol["vqa"] == "exact match after normalisation: case, articles, number words, punctuation"
