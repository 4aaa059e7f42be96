"""Artifacts: their page, changing ones, and links to `rsvlm view`, never to a file."""

from pathlib import Path

import pytest

from tasks.orchestration.artifacts import VIEW_URL, LiveArtifact, file_in_words, page_url, picture_url, show_table

RUN = Path("/lab/workspace/runs/my run/reports/final/report.html")


def test_a_report_is_linked_where_view_shows_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VIEW_URL, "http://lab:7861/")
    assert page_url(RUN) == "http://lab:7861/runs/my%20run/reports/final"
    assert page_url(Path("/lab/workspace/sweeps/rates/leaderboard.html")) == "http://lab:7861/sweeps/rates"


@pytest.mark.parametrize(
    "page", ["/lab/workspace/runs/a/validation/reports/final/report.html", "/lab/reports/final/report.html"]
)
def test_a_report_that_view_does_not_show_has_no_link(page: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VIEW_URL, "http://lab:7861")
    assert page_url(Path(page)) is None


@pytest.mark.parametrize("url", ["", "file:///lab", "lab:7861"])
def test_without_an_address_of_view_there_is_no_link_but_the_path(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VIEW_URL, url)
    assert page_url(RUN) is None
    assert f"`{RUN}`" in file_in_words(RUN) and "://" not in file_in_words(RUN)


@pytest.mark.slow
def test_artifacts_of_all_parts_are_on_the_page_of_the_run_that_was_started(prefect_server: Path) -> None:
    import httpx
    from prefect import task
    from prefect.runtime import flow_run
    from prefect.settings import PREFECT_API_URL

    from flows.decorators import flow

    @task
    def work() -> None:
        show_table([{"rank": 8}], "page-table", "A table")
        picture = LiveArtifact("image", "page", "curve")
        for number in range(3):
            picture.update(picture_url(f"<svg>{number}</svg>"), "A curve", is_last=number == 2)

    @flow(name="inner", flow_run_name="page: inner")
    def inner() -> None:
        work()

    @flow(name="outer", flow_run_name="page")
    def outer() -> str:
        started = str(flow_run.id)
        inner()
        return started

    started = outer()
    url = f"{PREFECT_API_URL.value()}/artifacts"
    found = {key: httpx.get(f"{url}/{key}/latest").json() for key in ("page-table", "page-curve")}
    assert {each["flow_run_id"] for each in found.values()} == {started}
    assert found["page-curve"]["data"] == picture_url("<svg>2</svg>")
    versions = httpx.post(f"{url}/filter", json={"artifacts": {"key": {"any_": ["page-curve"]}}}).json()
    assert len(versions) == 1
