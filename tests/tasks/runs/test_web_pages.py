"""The page over all runs, served over HTTP, with and without a login."""

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from http.client import HTTPConnection
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx
import pytest
from support.locations import REPO

LOGIN = "ana:secret words"


@contextmanager
def viewing(folder: Path, *options: str, login: str | None = None) -> Iterator[httpx.Client]:
    """A client of `rsvlm view` in its own process."""
    command = [sys.executable, "-m", "flows.cli", "view", "--workspace", str(folder), "--port", "0", *options]
    environment = {"PYTHONPATH": str(REPO), **({"RSVLM_SERVE_LOGIN": login} if login else {})}
    with subprocess.Popen(command, cwd=REPO, env=environment, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout
            address = process.stdout.readline().strip()
            with httpx.Client(base_url=address, timeout=120, trust_env=False) as client:
                yield client
        finally:
            process.terminate()
            assert process.wait(60) == 0


@pytest.fixture(scope="module")
def client(scored_runs: Any) -> Iterator[httpx.Client]:
    with viewing(scored_runs.workspace) as found:
        yield found


@pytest.mark.slow
def test_the_first_page_lists_all_runs_with_scores_and_links(client: httpx.Client) -> None:
    page = client.get("/").text
    for name in ("first", "second"):
        assert f'href="/runs/{name}"' in page and f'href="/runs/{name}/reports/final"' in page
    assert re.search(r'data-label="LR accuracy" data-value="1.0">\s*1.000 <span class="tag better"', page)
    assert "loss from 3.00 to 0.38 in 8 steps" in page


@pytest.mark.slow
def test_programs_get_the_runs_as_json(client: httpx.Client) -> None:
    found = {run["name"]: run for run in client.get("/api/runs").json()}
    assert found["second"]["scores"]["LR"]["verdict"] == "better" and found["first"]["state"] == "complete"


@pytest.mark.slow
def test_a_run_has_its_scores_reports_settings_and_log(client: httpx.Client) -> None:
    page = client.get("/runs/second").text
    assert "better than base on 1 of 1 source" in page and "lora_r: 16" in page
    assert client.get("/runs/second/files/log.txt").text == "merged\n"
    report = client.get("/runs/second/reports/final")
    assert report.headers["content-type"] == "text/html; charset=utf-8" and "<h1" in report.text
    assert "sandbox" in " ".join(report.headers.get_list("content-security-policy"))
    assert client.get("/runs/second/reports/final/metrics.json").json()["version"] == 1


@pytest.mark.slow
def test_two_runs_are_compared_with_settings_curves_and_answers(client: httpx.Client) -> None:
    page = client.get("/compare", params={"run": ["first", "second"]}).text
    assert "<td>+0.750</td>" in page and "training.lora_r" in page and "Training loss" in page
    # a model's answer is text, whatever it holds
    assert "&lt;b&gt;no&lt;/b&gt;" in page and "<b>no</b>" not in page
    image = re.search(r'src="(/runs/second/reports/final/image[^"]+)"', page)
    assert image
    picture = client.get(image[1].replace("&amp;", "&"))
    assert picture.headers["content-type"] == "image/jpeg" and picture.content[:2] == b"\xff\xd8"


@pytest.mark.slow
def test_base_and_final_of_a_run_are_compared_and_curves_of_several_drawn(client: httpx.Client) -> None:
    assert "<td>+1.000</td>" in client.get("/compare", params={"run": ["second/base", "second"]}).text
    assert "first 0.375; second 0.375" in client.get("/curves", params={"run": ["first", "second"]}).text


@pytest.mark.slow
@pytest.mark.parametrize("names", [[], ["first"], ["first", "second", "first"]])
def test_comparing_other_than_two_runs_says_what_to_do(names: list[str], client: httpx.Client) -> None:
    answer = client.get("/compare", params={"run": names})
    assert answer.status_code == 400 and "tick two" in answer.text


OUTSIDE = [
    "/runs/../../data",
    "/runs/%2e%2e",
    "/runs/..%2f..%2fdata",
    "/runs/first/files/..%2f..%2fsecond%2fexperiment.yaml",
    "/runs/first/files/.owner.lock",
    "/runs/first/reports/..",
    "/runs/first/reports/final/STARTED.json",
    "/runs/first/reports/..%2ffinal",
    "/runs/nobody",
    "/sweeps/..",
    "/compare?run=first&run=../first",
    "/nothing",
    *(f"/runs/first/reports/final/image?path={quote(path, safe='')}" for path in ("../sets/filtered_test.json",
      "/etc/passwd", "LR/Train/../../../sets/filtered_test.json", "LR/Train/none.png", "a\0b", "")),
]  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("path", OUTSIDE)
def test_nothing_but_runs_and_images_can_be_read(path: str, client: httpx.Client) -> None:
    # the address as it is: httpx would resolve ..
    connection = HTTPConnection(client.base_url.host, client.base_url.port or 80, timeout=120)
    with closing(connection):
        connection.request("GET", path)
        answer = connection.getresponse()
        assert answer.status == 404 and b'class="card why"' in answer.read()


@pytest.mark.slow
def test_other_hosts_sites_and_methods_are_refused(client: httpx.Client) -> None:
    assert client.get("/", headers={"host": "evil.example"}).status_code == 403
    foreign = {"sec-fetch-site": "cross-site", "sec-fetch-mode": "cors"}
    assert client.get("/api/runs", headers=foreign).status_code == 403
    assert client.post("/").status_code == 405
    policy = client.get("/").headers["content-security-policy"]
    assert "default-src 'self'" in policy and "frame-ancestors 'self'" in policy


@pytest.mark.slow
def test_a_run_with_damaged_files_does_not_hide_the_others(scored_runs: Any, tmp_path: Path) -> None:
    (tmp_path / "runs").mkdir()
    for name in ("first", "second"):
        (tmp_path / "runs" / name).symlink_to(scored_runs.workspace / "runs" / name)
    broken = tmp_path / "runs" / "broken<script>"
    for name in ("logs", "reports/final", "training/final"):
        (broken / name).mkdir(parents=True)
    (broken / "experiment.yaml").write_text("data: [\n")
    (broken / "logs/log.txt").write_bytes(b"\xff\xfe step")
    (broken / "logs/outcome.json").write_text(json.dumps({"state": "failed", "message": "<script>alert(1)</script>"}))
    for name in ("reports/final/metrics.json", "reports/final/MANIFEST.json", "training/final/trainer_state.json"):
        (broken / name).write_text("{")
    with viewing(tmp_path) as client:
        page = client.get("/").text
        assert "second" in page and "<script>alert" not in page and "broken&lt;script&gt;" in page
        assert client.get(f"/runs/{quote(broken.name)}").status_code == 200
        refused = client.get("/compare", params={"run": ["first", broken.name]})
        assert refused.status_code == 404 and "has no report" in refused.text


@pytest.mark.slow
def test_with_a_login_nothing_is_shown_before_it(scored_runs: Any) -> None:
    with viewing(scored_runs.workspace, login=LOGIN) as client:
        for path in ("/", "/api/runs", "/runs/first/reports/final", "/compare?run=first&run=second", "/view.js"):
            answer = client.get(path)
            assert answer.status_code == 303 and answer.headers["location"].startswith("/login?next=/")
        assert "<form" in client.get("/login").text
        wrong = client.post("/login?next=/runs/first", data={"user": "ana", "password": "wrong"})
        assert wrong.status_code == 401 and "User or password is wrong." in wrong.text
        right = client.post("/login?next=/runs/first", data={"user": "ana", "password": "secret words"})
        cookie = right.headers["set-cookie"]
        assert right.headers["location"] == "/runs/first" and "HttpOnly" in cookie and "samesite=lax" in cookie.lower()
        assert client.get("/runs/first").status_code == 200 and "Log out" in client.get("/").text
        assert client.post("/login", content=b"x" * 20_000).status_code == 413
        client.post("/logout")
        assert client.get("/").status_code == 303


@pytest.mark.slow
def test_the_page_works_in_a_browser_at_two_widths(browser: Any, client: httpx.Client) -> None:
    for width in (1280, 390):
        browser.call("Emulation.setDeviceMetricsOverride", width=width, height=800, deviceScaleFactor=1, mobile=False)
        browser.open(str(client.base_url))
        assert browser.run("document.documentElement.scrollWidth") <= width
    browser.run("document.querySelector('#search').value = 'second'")
    browser.run("document.querySelector('#search').dispatchEvent(new Event('input', {bubbles: true}))")
    assert browser.run("document.querySelector('#shown').textContent") == "1 of 2"
    assert browser.run("document.querySelector('#compare').disabled")
    browser.run("for (const box of document.querySelectorAll('[name=run]')) box.click()")
    browser.run("document.querySelector('[data-sort=LR]').click()")
    assert browser.run("document.querySelector('#rows tr').dataset.name") == "second"
    browser.run("document.querySelector('#compare').click()")
    browser.wait_for("document.querySelectorAll('.example img').length > 2")
    browser.wait_for("document.readyState === 'complete'")
    assert browser.run("document.documentElement.scrollWidth") <= 390
    assert browser.errors == []
