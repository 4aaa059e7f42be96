"""A folder that a step cannot take for its own is set aside inside a run; one that it can is not lost with its key."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from uuid import uuid4

import pytest

from tasks.errors import OccupiedError
from tasks.files import write_text
from tasks.manifests import content_digest, verified_manifest, write_manifest
from tasks.orchestration.caching import KEPT, is_intact, make, step
from tasks.records import FolderRef

# Where the step `occupy` has worked.
calls: list[Path] = []


@step("occupy", tags=[KEPT])
def occupy(text: str, out: Path) -> FolderRef:
    """A step that takes only its own folder and refuses any other."""
    manifest = verified_manifest(out, text)
    if manifest is None:
        if out.exists():
            raise OccupiedError(f"{out} holds something else.")
        calls.append(out)
        write_text(out / "text.txt", text)
        manifest = write_manifest(out, text)
    return FolderRef(path=out, sha256=content_digest(manifest))


@pytest.mark.slow
@pytest.mark.parametrize("cached_elsewhere", [True, False])
def test_what_a_step_refuses_is_set_aside_in_a_run_and_refused_where_nothing_may_be(
    prefect_server: Path, tmp_path: Path, cached_elsewhere: bool
) -> None:
    from prefect import flow

    calls.clear()
    text = uuid4().hex

    @flow
    def made(out: Path, superseded: Path | None) -> FolderRef:
        return make(occupy, out, superseded, text=text)

    write_text(tmp_path / "out" / "text.txt", "a person's")
    with pytest.raises(OccupiedError):
        made(tmp_path / "out", None)
    if cached_elsewhere:
        made(tmp_path / "elsewhere", tmp_path / "superseded")
    made(tmp_path / "out", tmp_path / "superseded")
    assert (tmp_path / "out" / "text.txt").read_text() == text
    assert (tmp_path / "superseded" / "out-1" / "text.txt").read_text() == "a person's"
    assert len(calls) == 1


@pytest.mark.slow
def test_a_kept_steps_folder_without_its_key_is_taken(prefect_server: Path, tmp_path: Path) -> None:
    from prefect import flow

    calls.clear()
    text = uuid4().hex

    @flow
    def made() -> FolderRef:
        return make(occupy, tmp_path / "out", tmp_path / "superseded", text=text)

    first = made()
    (tmp_path / ".out.key").write_text("of another version\n")
    assert made() == first and len(calls) == 1
    assert not (tmp_path / "superseded").exists()


def test_what_another_user_made_and_nobody_else_may_read_is_not_taken(
    tmp_path: Path, as_nobody: Callable[[], AbstractContextManager[None]]
) -> None:
    write_text(tmp_path / "home" / "out" / "text.txt", "a")
    made = content_digest(write_manifest(tmp_path / "home" / "out", "a"))
    ref = FolderRef(path=tmp_path / "home" / "out", sha256=made)
    assert is_intact(ref)
    (tmp_path / "home").chmod(0)
    try:
        with as_nobody():
            assert not is_intact(ref)
    finally:
        (tmp_path / "home").chmod(0o755)


def test_what_a_killed_run_left_of_a_key_is_removed(prefect_server: Path, tmp_path: Path) -> None:
    from prefect import flow

    @flow
    def made() -> FolderRef:
        return make(occupy, tmp_path / "out", tmp_path / "superseded", text=uuid4().hex)

    left, other = tmp_path / "..out.key.a1b2c3.part", tmp_path / "..other.key.a1b2c3.part"
    for part in (left, other):
        part.touch()
    made()
    assert (left.exists(), other.exists()) == (False, True)
