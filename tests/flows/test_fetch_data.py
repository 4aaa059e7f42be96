import json
import subprocess
import sys
import zipfile

import pytest

RECORD = {"id": "1", "image": "LR/Train/1.tif", "conversations": [{"from": "human", "value": "?"}]}


def fetch(tmp_path, *arguments: str) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "flows.cli", "data", "fetch", "--root", str(tmp_path / "data"), *arguments]
    # a database of its own: another run may hold the user's
    return subprocess.run(
        command, capture_output=True, text=True, env={"PREFECT_HOME": str(tmp_path / "prefect"), "PATH": ""}
    )


@pytest.mark.slow
def test_a_source_is_downloaded_or_its_manual_download_is_explained(tmp_path):
    (tmp_path / "raw.json").write_text(json.dumps([RECORD]))
    with zipfile.ZipFile(tmp_path / "LR.zip", "w") as file:
        file.writestr("some/folder/1.tif", "image")
    given = ("--archive", f"instructions={tmp_path / 'raw.json'}", "--archive", f"LR={tmp_path / 'LR.zip'}")
    done = fetch(tmp_path, "--sources", "LR", *given)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "LR: 1 images, 0 images of records are missing"
    assert (tmp_path / "data" / "imagenes" / "LR" / "Train" / "1.tif").read_text() == "image"

    told = fetch(tmp_path, "--sources", "LR,UCM")
    assert told.returncode == 2
    assert "UCM: download" in told.stderr and "Traceback" not in told.stderr


@pytest.mark.slow
def test_a_source_of_ones_own_is_fetched_from_its_folder(tmp_path):
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "dataset.json").write_text(json.dumps([{**RECORD, "image": "FLOOD/tiles/1.png"}]))
    (tmp_path / "given" / "tiles").mkdir(parents=True)
    (tmp_path / "given" / "tiles" / "1.png").write_text("image")
    source = {"name": "FLOOD", "images": str(tmp_path / "given")}
    (tmp_path / "mine.yaml").write_text(json.dumps({"data": {"sources": ["FLOOD"], "custom_sources": [source]}}))
    done = fetch(tmp_path, "--config", str(tmp_path / "mine.yaml"))
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "FLOOD: 1 images, 0 images of records are missing"
    assert (tmp_path / "data" / "imagenes" / "FLOOD" / "tiles" / "1.png").read_text() == "image"


def test_an_archive_without_a_source_name_is_refused(tmp_path):
    told = fetch(tmp_path, "--archive", "LR.zip")
    assert told.returncode == 2
    assert "NAME=PATH_OR_URL" in told.stderr
