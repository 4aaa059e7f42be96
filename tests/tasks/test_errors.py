"""What the user can mend is told in one sentence; all else keeps its traceback."""

import errno
import os
from pathlib import Path

import pytest

from tasks.errors import DataError, user_message
from tasks.files import write_text


def error_of(number: int, *names: str | None) -> OSError:
    return OSError(number, os.strerror(number), *names)


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (DataError("a.json is cut off."), "a.json is cut off."),
        (
            error_of(errno.EACCES, "/data/a.json"),
            "/data/a.json cannot be read or written (Permission denied): get the rights for it, or give another path.",
        ),
        (
            error_of(errno.ENOSPC),
            "A file cannot be read or written (No space left on device): make room there, or give another path.",
        ),
        (
            OSError(errno.EISDIR, "", ".out.part", None, "out"),
            "out cannot be read or written (Is a directory): give another path.",
        ),
    ],
)
def test_what_the_user_can_mend_is_a_sentence(error: Exception, told: str) -> None:
    assert user_message(error) == told


@pytest.mark.parametrize("error", [None, ValueError("ours"), error_of(errno.ENOENT, "gone"), error_of(errno.EIO, "x")])
def test_an_error_of_ours_is_not(error: Exception | None) -> None:
    assert user_message(error) is None


def test_a_file_where_a_folder_should_be_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(OSError) as caught:
        write_text(tmp_path / "file" / "a.json", "text")
    assert str(tmp_path / "file") in (user_message(caught.value) or "")
