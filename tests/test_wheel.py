"""A wheel contains all files that the code reads, and works from any folder, without a checkout."""

import os
import subprocess
import sys
from pathlib import Path
from shutil import copy, copytree, ignore_patterns
from zipfile import ZipFile

import pytest
from support.locations import REPO

pytestmark = pytest.mark.slow
PACKAGES = ("flows", "tasks", "deployments")
READ = """
import flows.cli
from deployments.configuration import load_config, preset_names
from deployments.pools import template_of
from deployments.preset_step import read_preset
from deployments.register import read_plan
from tasks.training.arguments import deepspeed_config

assert flows.cli.__file__.startswith(SITE), flows.cli.__file__
assert len(preset_names()) >= 5
for name in preset_names():
    deepspeed = load_config(name).training.deepspeed
    assert deepspeed is None or deepspeed_config(deepspeed).startswith(SITE)
    read_preset(name)
assert len(read_plan()["deployments"]) >= 10
assert all(template_of(kind)["variables"] for kind in ("process", "docker", "kubernetes"))
"""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built from a copy, since a build writes into its source folder."""
    pytest.importorskip("setuptools", "77")
    folder = tmp_path_factory.mktemp("wheel")
    for name in (*PACKAGES, "infra"):
        copytree(REPO / name, folder / "source" / name, symlinks=True, ignore=ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "prefect.yaml", "README.md", "LICENSE"):
        copy(REPO / name, folder / "source")
    code = f"from setuptools import build_meta\nbuild_meta.build_wheel({str(folder)!r})"
    subprocess.run([sys.executable, "-W", "ignore", "-c", code], cwd=folder / "source", check=True, capture_output=True)
    (built,) = folder.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def site(wheel: Path) -> Path:
    """A folder with the content of the wheel."""
    folder = wheel.with_name("site")
    ZipFile(wheel).extractall(folder)
    return folder


def installed(site: Path, folder: Path, *arguments: str) -> "subprocess.CompletedProcess[str]":
    """Run Python in another folder, with the wheel's packages before all others."""
    env = {**os.environ, "PYTHONPATH": str(site), "PYTHONSAFEPATH": "1"}
    return subprocess.run(
        [sys.executable, *arguments], cwd=folder, env=env, capture_output=True, text=True, check=False
    )


def test_every_file_of_the_packages_is_in_the_wheel(wheel: Path) -> None:
    there = {
        str(Path(folder, file).relative_to(REPO))
        for package in PACKAGES
        for folder, _, files in os.walk(REPO / package, followlinks=True)
        for file in files
        if "__pycache__" not in folder
    }
    names = {name for name in ZipFile(wheel).namelist() if ".dist-info/" not in name}
    assert {"deployments/prefect.yaml", "tasks/training/zero_configs/zero3.json"} <= names
    assert names == there


def test_files_that_the_code_reads_are_found_from_any_folder(site: Path, tmp_path: Path) -> None:
    done = installed(site, tmp_path, "-c", f"SITE = {str(site)!r}\n{READ}")
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("command", [["--help"], ["config", "demo"], ["config", "llava-1.5-7b-lora"]])
def test_commands_run_from_any_folder(site: Path, tmp_path: Path, command: list[str]) -> None:
    done = installed(site, tmp_path, "-m", "flows.cli", *command)
    assert done.returncode == 0 and done.stdout, done.stderr
    assert not list(tmp_path.iterdir())
