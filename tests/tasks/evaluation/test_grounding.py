"""Answers with boxes: scored by overlap in the reference's convention, never by exact match."""

import json
from pathlib import Path
from typing import Any

import pytest
from support.llava_records import field_record

from tasks.evaluation.grounding_metrics import answered_boxes
from tasks.settings import EvaluationConfig

WHERE = "[refer] <image>\nGive me the location of <p>the ship</p>"
BOX, WIDER = "{<10><20><30><40>}", "{<10><20><50><40>}"


def places(*boxes: str) -> list[dict[str, Any]]:
    return [field_record(n, f"GEO/{n}.png", (WHERE, box)) for n, box in enumerate(boxes)]


@pytest.fixture
def scored(paired: Any) -> Any:
    """A function (references, answers) -> (overlap, why it is not readable) of each answer."""

    def score(references: list[str], answers: list[str]) -> list[tuple[float, str | None]]:
        found, _ = answered_boxes(paired(places(*references), places(*answers)))
        return [(each.overlap, each.unreadable) for each in found]

    return score


def test_boxes_are_scored_by_overlap(scored: Any) -> None:
    assert scored([BOX, BOX], ["The ship is at {<10><20><30><40>}.", WIDER]) == [(1, None), (pytest.approx(0.5), None)]


@pytest.mark.parametrize(
    ("reference", "answer", "reason"),
    [
        (BOX, "at the top", "no_box"),
        (BOX, "", "no_box"),
        (BOX, "[10, 20, 30, 40]", "other_convention"),
        (BOX, "{<100><200><300><400>}", "other_convention"),
        (BOX, "{<0.1><0.2><0.3><0.4>}", "other_convention"),
        ("[0.1, 0.2, 0.3, 0.4]", "[10, 20, 30, 40]", "other_convention"),
        ("[100, 200, 300, 400]", "[0.1, 0.2, 0.3, 0.4]", "other_convention"),
        ("[10, 20, 30, 40]", "[30, 40, 10, 10]", "other_convention"),
        ("<|box_start|>(100,200),(300,400)<|box_end|>", "[100, 200, 300, 400]", "other_convention"),
    ],
)
def test_an_answer_in_another_convention_is_not_readable(reference: str, answer: str, reason: str, scored: Any) -> None:
    assert scored([reference], [answer]) == [(0, reason)]


def test_sizes_are_told_from_corners_by_all_references(scored: Any) -> None:
    # the second box has a width less than its x
    references = ["[10, 20, 30, 40]", "[50, 60, 10, 10]"]
    assert scored(references, ["[10, 20, 15, 40]", "[50, 60, 10, 10]"]) == [(pytest.approx(0.5), None), (1, None)]


def test_answers_that_all_fit_a_smaller_scale_are_not_readable(scored: Any) -> None:
    references = [f"[{n * 100}, 200, {n * 100 + 90}, 400]" for n in range(6)]
    answers = [f"[{n * 10}, 20, {n * 10 + 9}, 40]" for n in range(6)]
    assert set(scored(references, answers)) == {(0.0, "other_convention")}
    # a single small one may be what the model means
    assert scored(references, [*references[:5], answers[5]])[5] == (0, None)


def test_a_reference_a_little_beyond_its_scale_makes_no_other_answer_unreadable(scored: Any) -> None:
    references = [f"{{<{n}><{n}><{n + 20}><{n + 20}>}}" for n in range(6)]
    beyond = "{<80><80><101><100>}"
    assert scored([*references, beyond], [*references, "{<80><80><100><100>}"])[:6] == [(1, None)] * 6


@pytest.mark.parametrize("form", ["{{<{}><{}><{}><{}>}}", "({},{}),({},{})", "[{}, {}, {}, {}]"])
def test_a_reference_without_a_width_makes_no_size_of_the_other_corners(form: str, scored: Any) -> None:
    references = [form.format(10, 10, 30, 30), form.format(5, 5, 5, 9)]
    # 10 * 20 of 600
    assert scored(references, [form.format(20, 10, 40, 30), references[1]])[0] == (pytest.approx(1 / 3), None)


def test_references_of_two_forms_are_each_compared_in_their_own(scored: Any) -> None:
    references = [BOX, "[100, 200, 300, 400]"]
    assert scored(references, references) == [(1, None), (1, None)]
    assert scored(references, [BOX, BOX])[1] == (0, "other_convention")


@pytest.fixture
def reports(write: Any, tmp_path: Path) -> dict[str, Path]:
    """Reports of two models on boxes and questions, the second with the first as its base."""
    from tasks.evaluation.evaluate_answers import EvaluationFiles, evaluate

    def records(box: str, said: str) -> list[dict[str, Any]]:
        asked = [field_record(f"q{n}", f"GEO/{n}.png", ("Is there a ship?", said)) for n in range(8)]
        return [*places(*[box] * 8), *asked, field_record("t", "GEO/9.png", (WHERE, "left"))]

    test = records(BOX, "yes")
    test[-1]["conversations"][0]["task"] = "grounding"
    data, found = write("test.json", test), {}
    for name, box, base in (("one", WIDER, None), ("two", BOX, "one.json")):
        files = EvaluationFiles(data, write(f"{name}.json", records(box, "no")), base=base and tmp_path / base)
        found[name] = evaluate(files, tmp_path / name, EvaluationConfig(gallery=6)).path
    return found


def test_a_report_has_boxes_in_a_section_of_their_own(reports: dict[str, Path]) -> None:
    metrics = json.loads((reports["one"] / "metrics.json").read_text())
    found = metrics["grounding"]["GEO"]
    assert (found["questions"], found["images"], found["empty_references"]) == (8, 8, 1)
    assert (found["mean_iou"], found["acc@0.5"]) == (pytest.approx(0.5), 1)
    assert found["ci95"]["acc@0.5"][1] == 1 and found["unreadable"] == {"no_box": 0, "other_convention": 0}
    assert found["conventions"] == [{"form": "braces", "layout": "x1, y1, x2, y2", "scale": "0-100"}]
    assert metrics["vqa"]["GEO"]["questions"] == 8 and metrics["protocol"]["grounding"] == "mean_iou 1; acc@0.5 1"
    rows = [json.loads(line) for line in (reports["one"] / "per_answer.jsonl").read_text().splitlines()]
    boxes = [row for row in rows if row["task"] == "grounding"]
    assert [row["right"] for row in boxes] == [None] * 9 and boxes[0]["iou"] == pytest.approx(0.5)
    assert boxes[-1]["type"] == "without reference"
    assert {row["metric"] for row in map(json.loads, (reports["one"] / "scores.jsonl").read_text().splitlines())} >= {
        "mean_iou",
        "acc@0.5",
        "unreadable.no_box",
    }


def test_boxes_are_compared_with_other_models_and_on_the_page(reports: dict[str, Path], tmp_path: Path) -> None:
    from tasks.evaluation.comparison import compare
    from tasks.evaluation.lmms_eval_export import export_lmms_eval

    found = compare(reports["one"], reports["two"], tmp_path / "comparison.json")
    by_overlap = found["grounding"]["GEO"]["mean_iou"]
    assert isinstance(by_overlap, dict) and by_overlap["difference"] == pytest.approx(0.5)
    page = (reports["two"] / "report.html").read_text()
    assert 'id="boxes"' in page and "braces: x1, y1, x2, y2, 0-100" in page and "mean iou 1.00" in page
    assert "rsvlm_geo_grounding" in export_lmms_eval(reports["one"], tmp_path / "log").read_text()


def test_a_report_without_boxes_has_no_section_for_them(report: Any) -> None:
    metrics = json.loads((report().path / "metrics.json").read_text())
    assert "grounding" not in metrics and "grounding" not in metrics["protocol"]
    assert 'id="boxes"' not in (report().path / "report.html").read_text()
