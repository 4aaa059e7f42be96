"""`rsvlm report` finds a report by a run's name or a folder, and opens it in a browser."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from support.command_line import rsvlm
from support.locations import REPO

WAIT_S = 120


@pytest.fixture
def workspace(tmp_path: Path) -> Path:
    """A workspace with a run that has reports on two models, and one that has none."""
    for model in ("base", "final"):
        page = tmp_path / "runs" / "night" / "reports" / model / "report.html"
        page.parent.mkdir(parents=True)
        page.write_text(model)
    (tmp_path / "runs" / "young").mkdir()
    return tmp_path


def report_in_process(page: Path, **environment: str) -> "subprocess.CompletedProcess[str]":
    kept = {name: value for name, value in os.environ.items() if name not in ("BROWSER", "DISPLAY", "WAYLAND_DISPLAY")}
    return subprocess.run(
        [sys.executable, "-m", "flows.cli", "report", str(page), "--open"],
        cwd=REPO,
        env={**kept, **environment},
        capture_output=True,
        text=True,
        timeout=WAIT_S,
        check=False,
    )


@pytest.mark.parametrize(
    ("named", "model"),
    [
        ("night", "final"),
        ("night/base", "base"),
        ("{0}/runs/night", "final"),
        ("{0}/runs/night/reports", "final"),
        ("{0}/runs/night/reports/base", "base"),
        ("{0}/runs/night/reports/base/report.html", "base"),
    ],
)
def test_a_report_is_found_by_run_and_by_folder(workspace, capsys, named, model):
    assert rsvlm("report", named.format(workspace), "--workspace", workspace) == 0
    expected = workspace / "runs" / "night" / "reports" / model / "report.html"
    assert capsys.readouterr().out == f"{expected}\n"


@pytest.mark.parametrize(
    ("named", "says"),
    [
        ("nihgt", "did you mean night?"),
        ("other", "give one of night."),
        ("young", "has no report yet: `rsvlm run` or `rsvlm evaluate` writes it as its last step."),
        ("night/checkpoint-300", "has no report on checkpoint-300: give night/base or night/final."),
        ("../night", "is neither a report's folder nor a run"),
        ("/nowhere", "is neither a report's folder nor a run"),
    ],
)
def test_a_report_that_is_not_there_is_named_with_those_that_are(workspace, capsys, named, says):
    assert rsvlm("report", named, "--workspace", workspace) == 2
    printed = capsys.readouterr()
    assert printed.out == "" and says in printed.err and printed.err.count("\n") == 1


def test_of_many_runs_an_error_names_a_few(workspace, capsys):
    for number in range(500):
        (workspace / "runs" / f"seed-{number:03}" / "reports").mkdir(parents=True)
    assert rsvlm("report", "zzz", "--workspace", workspace) == 2
    said = capsys.readouterr().err
    assert "seed-008 or 491 more, which `rsvlm list` shows." in said and len(said) < 400


def test_without_the_option_no_browser_is_started(workspace, capsys, monkeypatch):
    monkeypatch.setenv("BROWSER", str(workspace / "missing"))
    assert rsvlm("report", "night", "--workspace", workspace) == 0


def test_the_browser_of_the_machine_opens_the_page(workspace):
    browser, seen = workspace / "browser", workspace / "seen"
    browser.write_text(f'#!/bin/sh\necho "$1" > {seen}\n')
    browser.chmod(0o755)
    page = workspace / "runs" / "night" / "reports" / "final" / "report.html"
    ended = report_in_process(page, BROWSER=str(browser))
    assert (ended.returncode, ended.stdout) == (0, f"{page}\n"), ended.stderr
    assert seen.read_text().strip() == page.as_uri()


def test_without_a_browser_a_sentence_says_what_to_do(workspace):
    page = workspace / "runs" / "night" / "reports" / "final" / "report.html"
    ended = report_in_process(page, PATH=str(workspace))
    assert (ended.returncode, ended.stdout) == (2, f"{page}\n")
    assert ended.stderr.startswith("error: There is no browser on this machine: copy")
