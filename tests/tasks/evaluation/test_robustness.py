"""Answers about transformed images, compared with those about the unchanged ones."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from support.command_line import rsvlm

from tasks.errors import DataError, UserError
from tasks.evaluation.comparison import compare_rows
from tasks.evaluation.evaluate_answers import EvaluationFiles, evaluate
from tasks.evaluation.report_folder import read_report
from tasks.files import read_json
from tasks.settings import EvaluationConfig

IMAGES = 20
CONFIG = EvaluationConfig(bootstrap_draws=50, gallery=4)
# which of the images are answered right under each transform, of two sources
RIGHT: dict[str | None, tuple[range, range]] = {
    None: (range(20), range(10)),
    "rot90": (range(10), range(10)),
    "jpeg-50": (range(1, 20), range(10)),
}


@pytest.fixture
def world(tmp_path: Path, record: Callable[..., Any]) -> Path:
    """A test set of two sources with one question an image, and answers to it under each transform."""
    images = [f"{folder}/{n}.tif" for folder in ("LR/Train", "DOTA/images") for n in range(IMAGES)]
    (tmp_path / "test.json").write_text(json.dumps([record(image, [("Is there a road?", "yes")]) for image in images]))
    for transform, (lr, dota) in RIGHT.items():
        folder = tmp_path / "answers" / str(transform)
        folder.mkdir(parents=True)
        right = [*(n in lr for n in range(IMAGES)), *(n in dota for n in range(IMAGES))]
        said = [
            record(image, [("Is there a road?", "Yes." if each and transform else "yes" if each else "no")])
            for image, each in zip(images, right, strict=True)
        ]
        (folder / "final.json").write_text(json.dumps(said))
        inputs = {"inference.max_new_tokens": 8} | ({"inference.transform": transform} if transform else {})
        (folder / "STARTED.json").write_text(json.dumps({"inputs": inputs}))
    return tmp_path


def report_of(world: Path, transform: str | None, **options: Any) -> Path:
    files = EvaluationFiles(world / "test.json", world / "answers" / str(transform) / "final.json", **options)
    return evaluate(files, world / "reports" / (transform or "final"), CONFIG).path


def transformed(world: Path) -> tuple[Path, ...]:
    return tuple(report_of(world, name) for name in RIGHT if name)


def test_each_transform_and_source_has_difference_p_value_and_consistency(world: Path) -> None:
    folder = report_of(world, None, robustness=transformed(world))
    found = read_json(folder / "robustness.json")
    rows = {(row["transform"], row["source"]): row for row in found["results"]}
    assert list(rows) == [(name, source) for name in ("rot90", "jpeg-50") for source in ("DOTA", "LR")]
    turned = rows["rot90", "LR"]
    assert (turned["a"], turned["b"], turned["difference"], turned["verdict"]) == (1.0, 0.5, -0.5, "worse")
    # "Yes." is the same answer as "yes"
    assert (turned["consistency"], turned["answers"], turned["images"]) == (0.5, 20, 20)
    assert rows["rot90", "DOTA"]["consistency"] == 1.0 and rows["rot90", "DOTA"]["verdict"] == "tie"
    assert (rows["jpeg-50", "LR"]["consistency"], rows["jpeg-50", "LR"]["difference"]) == (0.95, pytest.approx(-0.05))
    whole, part = (read_report(path) for path in (folder, world / "reports" / "rot90"))
    paired = compare_rows(whole.rows, part.rows)["vqa"]["LR"]["accuracy"]
    assert isinstance(paired, dict) and paired["p_value"] < 0.05
    assert (turned["p_value"], turned["ci95"]) == (paired["p_value"], paired["ci95"])
    # of four p-values this is the lowest
    assert turned["p_value"] == min(row["p_value"] for row in rows.values())
    assert turned["p_adjusted"] == pytest.approx(4 * turned["p_value"], abs=1e-12)
    page = (folder / "report.html").read_text()
    assert "Robustness to transformed images" in page and "jpeg-50" in page


def test_a_report_without_transformed_images_has_no_summary(world: Path) -> None:
    folder = report_of(world, None)
    assert not (folder / "robustness.json").exists()
    assert "Robustness to transformed images" not in (folder / "report.html").read_text()


def test_other_transformed_reports_make_another_report(world: Path) -> None:
    one, other = transformed(world)
    report_of(world, None, robustness=(one,))
    with pytest.raises(UserError, match="already holds something other"):
        report_of(world, None, robustness=(one, other))


def test_a_report_on_unchanged_images_is_refused(world: Path) -> None:
    (world / "answers" / "rot90" / "STARTED.json").write_text('{"inputs": {"inference.max_new_tokens": 8}}')
    with pytest.raises(DataError, match="not a report on transformed images"):
        report_of(world, None, robustness=(report_of(world, "rot90"),))


def test_a_report_with_other_decoding_is_refused(world: Path) -> None:
    inputs = {"inference.max_new_tokens": 9, "inference.transform": "rot90"}
    (world / "answers" / "rot90" / "STARTED.json").write_text(json.dumps({"inputs": inputs}))
    with pytest.raises(UserError, match=r"another protocol, in decoding"):
        report_of(world, None, robustness=(report_of(world, "rot90"),))


def test_the_command_takes_the_reports(world: Path) -> None:
    options = ("--data", world / "test.json", "--predictions", world / "answers" / "None" / "final.json")
    assert rsvlm("evaluate", *options, "--out", world / "out", "--robustness", *transformed(world)) == 0
    assert len(read_json(world / "out" / "robustness.json")["results"]) == 4


def test_unlike_others_transformed_reports_are_not_compared_by_compare(world: Path) -> None:
    # a change of the images is a change of the protocol
    assert rsvlm("compare", report_of(world, None), report_of(world, "rot90")) == 2
