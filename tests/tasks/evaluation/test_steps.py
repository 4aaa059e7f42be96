"""A report on Prefect's pages."""

from pathlib import Path
from typing import Any

import pytest

from tasks.records import ReportRef


@pytest.mark.slow
def test_a_report_is_shown_as_table_words_picture_and_path(
    prefect_server: Path, report: Any, vqa_files: dict[str, Path]
) -> None:
    import httpx
    from prefect import flow
    from prefect.settings import PREFECT_API_URL

    from tasks.evaluation.steps import show_report

    ref: ReportRef = report(train=vqa_files["train"])

    @flow
    def show() -> None:
        show_report(ref, "My run")

    show()
    names = ("scores", "verdict", "gain", "report")
    answers = {name: httpx.get(f"{PREFECT_API_URL.value()}/artifacts/{name}-my-run-final/latest") for name in names}
    found = {name: answer.json() for name, answer in answers.items()}
    # Prefect stores links as markdown
    kinds = {"scores": "table", "verdict": "markdown", "gain": "image", "report": "markdown"}
    assert {name: artifact["type"] for name, artifact in found.items()} == kinds
    assert f"`{ref.path / 'report.html'}`" in found["report"]["data"] and "file://" not in found["report"]["data"]
