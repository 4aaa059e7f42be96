"""A folder that a step refuses is moved to superseded; one that it recognises survives the loss of its key file."""

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

# Out folders in which the step `occupy` has worked.
calls: list[Path] = []


@step("occupy", ignore=["out"], tags=[KEPT])
def occupy(text: str, out: Path) -> FolderRef:
    """A step that uses only its own folder and refuses any other."""
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
def test_a_folder_that_a_step_refuses_is_moved_to_superseded_or_refused_without_it(
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
def test_a_kept_steps_folder_is_used_without_its_key_file(prefect_server: Path, tmp_path: Path) -> None:
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


def test_a_result_that_this_user_may_not_read_is_not_intact(
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


@pytest.mark.slow
def test_an_unfinished_key_file_of_a_killed_run_is_removed(prefect_server: Path, tmp_path: Path) -> None:
    from prefect import flow

    @flow
    def made() -> FolderRef:
        return make(occupy, tmp_path / "out", tmp_path / "superseded", text=uuid4().hex)

    left, other = tmp_path / "..out.key.a1b2c3.part", tmp_path / "..other.key.a1b2c3.part"
    for part in (left, other):
        part.touch()
    made()
    assert (left.exists(), other.exists()) == (False, True)
