"""Links on Prefect's pages lead to `rsvlm view`, never to a file."""

from pathlib import Path

import pytest

from tasks.orchestration.artifacts import VIEW_URL, file_in_words, page_url

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
