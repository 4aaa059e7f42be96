"""SPICE runs only where its models are installed, and has a time limit. Java is a script here."""

import json
from pathlib import Path

import pytest

from tasks.errors import RsvlmError
from tasks.evaluation.metrics.java import scorer_file
from tasks.evaluation.metrics.spice import MODELS, has_models, score_spice, spice_jar
from tasks.evaluation.report.page import PageContext, PageModel, render_page
from tasks.evaluation.report_folder import Curve
from tasks.settings import EvaluationConfig

SCRIPT = """#!/bin/sh
case "$*" in *-version*) echo 'version "17.0.1"' >&2; exit 0;; esac
{work}
"""


@pytest.fixture
def java(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> object:
    """A function (shell script) -> nothing; the script stands for Java, "$out" is the file that it must write."""

    def install(work: str) -> None:
        place = tmp_path / "bin" / "java"
        place.parent.mkdir()
        find_out = 'while [ $# -gt 0 ]; do [ "$1" = -out ] && out="$2"; shift; done\n'
        place.write_text(SCRIPT.format(work=find_out + work))
        place.chmod(0o755)
        monkeypatch.setenv("PATH", f"{place.parent}:/usr/bin:/bin")

    return install


def test_spice_needs_its_models() -> None:
    installed = all((scorer_file("spice.spice", "spice-1.0.jar").parent / "lib" / name).is_file() for name in MODELS)
    assert (spice_jar() is not None) == installed


def test_both_models_must_be_next_to_the_jar(tmp_path: Path) -> None:
    (tmp_path / "lib").mkdir()
    for name in MODELS:
        assert not has_models(tmp_path / "spice-1.0.jar")
        (tmp_path / "lib" / name).touch()
    assert has_models(tmp_path / "spice-1.0.jar")


def test_a_report_without_spice_gives_the_reason(full_report: Path) -> None:
    if spice_jar():
        pytest.skip("SPICE's models are installed here")
    captions = json.loads((full_report / "metrics.json").read_text())["captioning"]["NWPU"]
    rows = [json.loads(line) for line in (full_report / "per_answer.jsonl").read_text().split("\n")[:-1]]
    page = (full_report / "report.html").read_text()
    assert captions["SPICE"] is None
    assert "SPICE" not in captions["ci95"]
    assert {row["SPICE"] for row in rows} == {None}
    assert "SPICE was not computed: its models are not installed" in page
    assert "<th>SPICE</th>" not in page
    assert "SPICE" not in (full_report / "scores.jsonl").read_text()


def test_a_report_with_spice_has_a_column(full_report: Path) -> None:
    metrics = json.loads((full_report / "metrics.json").read_text())
    captions = metrics["captioning"]["NWPU"]
    captions |= {"SPICE": 0.234, "ci95": {**captions["ci95"], "SPICE": [0.111, 0.345]}}
    context = PageContext(metrics["protocol"], None, None, Curve((), ()))
    page = render_page([PageModel("final", metrics, [])], context, EvaluationConfig())
    assert "<th>SPICE</th>" in page
    assert "<td>0.234<small>0.111 to 0.345</small></td>" in page
    assert "was not computed" not in page


def test_scores_are_matched_to_images_in_any_order(java: object, tmp_path: Path) -> None:
    rows = [{"image_id": n, "scores": {"All": {"f": f}}} for n, f in ((1, 0.5), (0, 0.25), (2, "NaN"))]
    java(f"echo '{json.dumps(rows)}' > \"$out\"")  # type: ignore[operator]
    score, each = score_spice(tmp_path / "spice.jar", ["a", "b", ""], [["a"], ["b"], ["c"]])
    assert list(each) == [0.25, 0.5, 0]
    assert score == 0.25


def test_a_java_that_fails_or_hangs_is_an_error(java: object, tmp_path: Path) -> None:
    java("echo out of memory >&2; exit 3")  # type: ignore[operator]
    with pytest.raises(RsvlmError, match=r"failed with 3; its output: out of memory"):
        score_spice(tmp_path / "spice.jar", ["a"], [["a"]])
    (tmp_path / "bin" / "java").write_text(SCRIPT.format(work="exec sleep 60"))
    with pytest.raises(RsvlmError, match="did not end within"):
        score_spice(tmp_path / "spice.jar", ["a"], [["a"]], limit_s=0.5)
