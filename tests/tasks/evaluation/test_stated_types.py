"""Question types that the records state, in scores, controls and statistics."""

import json
from pathlib import Path
from typing import Any

from support.llava_records import Record

ASKS = "What do you see at the edge?"


def stated(record: Any, image: int, kind: str, answer: str) -> Record:
    row: Record = record(f"LR/Train/{image}.tif", [(ASKS, answer)], f"{image}{kind}")
    row["conversations"][0]["question_type"] = kind
    return row


def test_stated_types_are_scored_as_ours_or_as_their_own(write: Any, record: Any, tmp_path: Path) -> None:
    from tasks.evaluation.evaluate_answers import EvaluationFiles, evaluate
    from tasks.settings import EvaluationConfig

    kinds = {"count": "12", "presence": "yes", "edge_kind": "a beach"}
    test = [stated(record, n, kind, answer) for n in range(8) for kind, answer in kinds.items()]
    said = [stated(record, n, kind, "15" if kind == "count" else "yes") for n in range(8) for kind in kinds]
    train = [stated(record, n + 50, kind, answer) for n in range(3) for kind, answer in kinds.items()]
    files = [write(f"{name}.json", rows) for name, rows in (("test", test), ("said", said), ("train", train))]
    out = evaluate(EvaluationFiles(*files), tmp_path / "out", EvaluationConfig()).path
    scores = json.loads((out / "metrics.json").read_text())["vqa"]["LR"]
    types = scores["by_type"]
    assert list(types) == ["count", "edge_kind", "presence"]
    assert types["count"]["mean_absolute_error"] == 3 and types["count"]["accuracy_binned"] == 1
    assert types["presence"]["accuracy"] == scores["yes_bias"]["yes_rate"] == 1 and types["edge_kind"]["accuracy"] == 0
    # each of its own type: the same words have another most frequent answer by type
    assert scores["controls"]["majority"] == 1
    page = (out / "report.html").read_text()
    assert ">edge kind<" in page and "edge or kind" not in page


def test_statistics_of_a_set_count_stated_types(record: Any) -> None:
    from tasks.data.set_statistics import statistics_of

    rows: Any = [stated(record, 1, "comp", "yes"), record("LR/Train/2.tif", [("Is there a road?", "yes")])]
    [found] = statistics_of({"test": rows})["test"].values()  # type: ignore[attr-defined]
    assert found["questions"]["by_type"] == {"comparison": 1, "presence": 1}
