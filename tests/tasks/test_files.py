"""Files are written completely or not at all."""

import os
import stat
from pathlib import Path

import pytest

from tasks import files
from tasks.errors import DataError
from tasks.files import (
    digest_of,
    link_or_copy,
    read_json,
    read_json_lines,
    read_json_object,
    sha256_of,
    write_json,
    write_json_lines,
    write_text,
    written_atomically,
)


def test_written_atomically_shows_only_complete_files(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "file.txt"
    with written_atomically(path) as part:
        part.write_text("half")
        assert not path.exists()
    assert path.read_text() == "half"
    assert list(path.parent.iterdir()) == [path]


def test_written_atomically_keeps_the_old_file_after_an_error(tmp_path: Path) -> None:
    path = tmp_path / "file.txt"
    path.write_text("old")
    with pytest.raises(KeyboardInterrupt), written_atomically(path) as part:
        part.write_text("new")
        raise KeyboardInterrupt
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_file_has_the_mode_of_any_new_file(tmp_path: Path) -> None:
    before = os.umask(0o027)
    try:
        write_text(tmp_path / "file", "text")
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "file").stat().st_mode) == 0o640


def test_write_json_keeps_key_order_and_unicode(tmp_path: Path) -> None:
    value = {"z": "café 漢字 \u2028", "a": [1, None, 0.5]}
    write_json(tmp_path / "value.json", value)
    assert list(read_json(tmp_path / "value.json")) == ["z", "a"]
    assert read_json(tmp_path / "value.json") == value
    assert "café 漢字" in (tmp_path / "value.json").read_text(encoding="utf-8")


@pytest.mark.parametrize(("content", "why"), [(b'[{"id": 1}, {"id"', "cut off"), (b"\xff\xfe{", "not valid JSON")])
def test_read_json_names_a_damaged_file(tmp_path: Path, content: bytes, why: str) -> None:
    (tmp_path / "raw.json").write_bytes(content)
    with pytest.raises(DataError, match=why) as error:
        read_json(tmp_path / "raw.json")
    assert str(tmp_path / "raw.json") in str(error.value)


def test_read_json_names_a_missing_file_and_a_directory(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="does not exist"):
        read_json(tmp_path / "none.json")
    with pytest.raises(DataError, match="is a directory"):
        read_json(tmp_path)


@pytest.mark.parametrize("content", [None, b'{"a": ', b"[1]", b'{"a": "\\ud83d"}'])
def test_an_object_that_cannot_be_shown_is_empty(tmp_path: Path, content: bytes | None) -> None:
    if content is not None:
        (tmp_path / "a.json").write_bytes(content)
    assert read_json_object(tmp_path / "a.json") == {}
    (tmp_path / "b.json").write_text('{"loss": NaN, "step": 3}')
    assert read_json_object(tmp_path / "b.json")["step"] == 3


def test_read_json_lines_splits_at_line_feeds_only(tmp_path: Path) -> None:
    rows = [{"text": "one\u2028two\x85three\x0cfour"}, {"text": "five\nsix"}]
    write_json_lines(tmp_path / "rows.jsonl", rows)
    assert read_json_lines(tmp_path / "rows.jsonl") == rows


def test_read_json_lines_ignores_a_last_line_without_line_feed(tmp_path: Path) -> None:
    (tmp_path / "rows.jsonl").write_text('{"a": 1}\n{"a": 2')
    assert read_json_lines(tmp_path / "rows.jsonl") == [{"a": 1}]
    assert read_json_lines(tmp_path / "none.jsonl") == []


def test_digest_of_depends_on_values_and_not_on_key_order() -> None:
    assert digest_of({"a": 1, "b": [1, 2]}) == digest_of({"b": [1, 2], "a": 1})
    assert digest_of({"a": 1, "b": [1, 2]}) != digest_of({"a": 1, "b": [2, 1]})


def test_sha256_of_is_sha256(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"abc")
    assert sha256_of(tmp_path / "file") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"


def reads_of(path: Path, monkeypatch: pytest.MonkeyPatch, times: int = 2) -> int:
    """How often a file is read when its hash is asked for some times."""
    with monkeypatch.context() as patched:
        read: list[Path] = []
        patched.setattr(files, "_read_sha256", lambda path: read.append(path) or str(len(read)))
        for _ in range(times):
            sha256_of(path)
    return len(read)


def test_a_file_is_read_once_for_each_of_its_contents(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "file"
    monkeypatch.setattr(files, "SETTLED_NS", -1)
    path.write_bytes(b"abc")
    os.utime(path, (1, 1))
    before = path.stat().st_ctime_ns
    assert reads_of(path, monkeypatch) == 1
    # as by a program that restores the time of what it changes; the clock of a file system has coarse steps
    while path.stat().st_ctime_ns == before:
        path.write_bytes(b"abd")
        os.utime(path, (1, 1))
    assert reads_of(path, monkeypatch) == 1
    path.rename(tmp_path / "old")
    path.write_bytes(b"abd")
    assert reads_of(path, monkeypatch) == 1


def test_a_file_that_was_just_written_is_read_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # two writes in the same moment may leave the same size and times
    (tmp_path / "file").write_bytes(b"abc")
    assert reads_of(tmp_path / "file", monkeypatch) == 2


def test_link_or_copy_links_if_possible(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"abc")
    link_or_copy(tmp_path / "file", tmp_path / "deep" / "link")
    assert (tmp_path / "deep" / "link").samefile(tmp_path / "file")


def test_link_or_copy_copies_if_links_are_refused(tmp_path: Path) -> None:
    other = Path("/dev/shm")
    if not other.is_dir() or other.stat().st_dev == tmp_path.stat().st_dev:
        pytest.skip("there is no second file system here")
    (tmp_path / "file").write_bytes(b"abc")
    target = other / f"rsvlm-{os.getpid()}" / "copy"
    try:
        link_or_copy(tmp_path / "file", target)
        assert target.read_bytes() == b"abc"
    finally:
        target.unlink(missing_ok=True)
        target.parent.rmdir()
