"""The SHA-256 of a large file is computed once, and again as soon as the file has changed."""

import os
import time
from pathlib import Path

import pytest

from tasks import known_facts
from tasks.files import SETTLED_NS, sha256_of, state_of
from tasks.known_digests import DIGESTS, known_sha256
from tasks.manifests import folder_digest


@pytest.fixture(autouse=True)
def entries(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "rsvlm" / "digests"


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    file = tmp_path / "model" / "model.safetensors"
    file.parent.mkdir()
    with file.open("wb") as opened:
        opened.truncate(DIGESTS.least_bytes)
    return file


def later() -> int:
    return time.time_ns() + 2 * SETTLED_NS


def refuse(path: Path) -> str:
    raise AssertionError(f"{path} was hashed again")


def overwrite(file: Path, content: bytes) -> None:
    with file.open("r+b") as opened:
        opened.write(content)


def test_a_file_is_hashed_once_under_all_its_names(weights: Path) -> None:
    link = weights.with_name("link")
    link.symlink_to(weights)
    first = known_sha256(weights, now_ns=later)
    assert first == sha256_of(weights)
    assert known_sha256(weights, refuse) == known_sha256(link, refuse) == first


def test_a_changed_file_is_hashed_again(weights: Path) -> None:
    known_sha256(weights, now_ns=later)
    before = weights.stat()
    overwrite(weights, b"other")
    # a program can put back the time of the content, but not that of the change
    os.utime(weights, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert known_sha256(weights) == sha256_of(weights)


def test_a_file_that_changed_a_moment_ago_is_not_remembered(weights: Path, entries: Path) -> None:
    known_sha256(weights, now_ns=lambda: weights.stat().st_ctime_ns + SETTLED_NS)
    assert not entries.exists()


def test_a_file_that_changes_while_it_is_hashed_is_not_remembered(weights: Path, entries: Path) -> None:
    def changing(path: Path) -> str:
        overwrite(path, b"other")
        return "of both"

    assert known_sha256(weights, changing, later) == "of both"
    assert not entries.exists()


def test_a_small_file_is_not_remembered(weights: Path, entries: Path) -> None:
    os.truncate(weights, DIGESTS.least_bytes - 1)
    known_sha256(weights, now_ns=later)
    assert not entries.exists()


@pytest.mark.parametrize("content", ["", "{}", "[]", '{"file": 1, "sha256": "a"}'])
def test_a_damaged_entry_is_replaced(weights: Path, entries: Path, content: str) -> None:
    known_sha256(weights, now_ns=later)
    (entry,) = entries.iterdir()
    entry.write_text(content)
    assert known_sha256(weights, now_ns=later) == known_sha256(weights, refuse) == sha256_of(weights)


def test_where_nothing_can_be_remembered_files_are_hashed(
    weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(weights))
    assert known_sha256(weights, now_ns=later) == sha256_of(weights)


def test_the_digest_of_a_model_directory_uses_known_digests(weights: Path, entries: Path) -> None:
    os.utime(weights)
    first = folder_digest(weights.parent)
    known_sha256(weights, now_ns=later)
    (entry,) = entries.iterdir()
    assert folder_digest(weights.parent) == first
    known_facts._remember(entry, state_of(weights), {"sha256": "0" * 64})
    assert folder_digest(weights.parent) != first
    # but not what was written by anyone else
    entry.write_text(entry.read_text().replace("0" * 64, "1" * 64))
    assert folder_digest(weights.parent) == first
