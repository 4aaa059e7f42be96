"""A user error is one sentence; any other error keeps its traceback."""

import errno
import os
import re
from pathlib import Path

import pytest

from tasks import errors
from tasks.errors import DataError, StoreError, UserError, user_error, user_message
from tasks.files import write_text


def error_of(number: int, *names: str | None) -> OSError:
    return OSError(number, os.strerror(number), *names)


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (DataError("a.json is cut off."), "a.json is cut off."),
        (
            error_of(errno.EACCES, "/data/a.json"),
            "/data/a.json cannot be read or written (Permission denied): get the permissions, or give another path.",
        ),
        (
            error_of(errno.ENOSPC),
            "A file cannot be read or written (No space left on device): free some space, or give another path.",
        ),
        (
            OSError(errno.EISDIR, "", ".out.part", None, "out"),
            "out cannot be read or written (Is a directory): give another path.",
        ),
    ],
)
def test_a_user_error_is_one_sentence(error: Exception, message: str) -> None:
    assert user_message(error) == message


@pytest.mark.parametrize("error", [None, ValueError("ours"), error_of(errno.ENOENT, "gone"), error_of(errno.EIO, "x")])
def test_any_other_error_has_no_user_message(error: Exception | None) -> None:
    assert user_message(error) is None


def test_the_message_names_a_file_instead_of_a_folder(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(OSError) as caught:
        write_text(tmp_path / "file" / "a.json", "text")
    assert str(tmp_path / "file") in (user_message(caught.value) or "")


def test_the_tree_in_the_docstring_names_every_error() -> None:
    named = set(re.findall(r"^ *[*x+.-] (\w+)", errors.__doc__ or "", re.MULTILINE)) - {"KeyboardInterrupt"}
    defined = {
        name for name, found in vars(errors).items() if isinstance(found, type) and issubclass(found, BaseException)
    }
    assert named - {"ByHandNeeded"} == defined


def test_an_error_of_a_child_process_is_rebuilt_from_its_name_and_message() -> None:
    assert type(user_error("StoreError", "It is away.")) is StoreError
    # its own constructor takes more than a message
    assert type(user_error("TooLargeError", "a.png is too large.")) is DataError
    assert type(user_error("Path", "No error of ours.")) is UserError
