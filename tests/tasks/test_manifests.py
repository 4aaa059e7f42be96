"""atomic_folder creates a folder completely or not at all, also when two processes create it at once."""

from pathlib import Path

from tasks.manifests import atomic_folder, verified_manifest, write_manifest


def make(folder: Path, content: str) -> None:
    with atomic_folder(folder) as part:
        (part / "a.txt").write_text(content)
        write_manifest(part, "settings")


def test_atomic_folder_keeps_the_same_content_that_another_process_has_created(tmp_path: Path) -> None:
    folder = tmp_path / "made"
    with atomic_folder(folder) as part:
        make(folder, "same")
        there = (folder / "a.txt").stat().st_ino
        (part / "a.txt").write_text("same")
        write_manifest(part, "settings")
    assert (folder / "a.txt").stat().st_ino == there
    assert [path.name for path in tmp_path.iterdir()] == ["made"]


def test_atomic_folder_replaces_a_damaged_folder_or_other_content(tmp_path: Path) -> None:
    folder = tmp_path / "made"
    make(folder, "same")
    (folder / "a.txt").write_text("torn")
    make(folder, "same")
    assert (folder / "a.txt").read_text() == "same"
    make(folder, "other")
    assert (folder / "a.txt").read_text() == "other" and verified_manifest(folder, "settings")
