import pytest

from tasks.serving.uploads import MAX_UPLOADS, Uploads, safe_name


def add(uploads, visitor, name="a.png"):
    return uploads.add(visitor, name, lambda file: file.write(b"x"))


def test_an_upload_belongs_to_its_visitor_and_examples_to_all(tmp_path):
    (tmp_path / "example.png").write_bytes(b"x")
    uploads = Uploads(tmp_path)
    uploads.share_existing()
    own = add(uploads, "ana")
    assert uploads.may_read("ana", own) and not uploads.may_read("bo", own)
    assert uploads.may_read("bo", str(tmp_path / "example.png"))


def test_two_equal_uploads_get_two_paths(tmp_path):
    uploads = Uploads(tmp_path)
    assert add(uploads, "ana") != add(uploads, "bo")


@pytest.mark.parametrize(
    "change", [lambda path: path.replace("/a.png", "/../x/a.png"), lambda path: f"/{path}", str.upper]
)
def test_a_file_is_accessible_under_one_path_only(tmp_path, change):
    uploads = Uploads(tmp_path)
    assert not uploads.may_read("ana", change(add(uploads, "ana")))


def test_the_oldest_uploads_are_deleted_when_there_are_too_many(tmp_path, monkeypatch):
    monkeypatch.setattr("tasks.serving.uploads.MAX_UPLOADS", 2)
    uploads = Uploads(tmp_path)
    paths = [add(uploads, "ana") for _ in range(3)]
    assert [uploads.may_read("ana", path) for path in paths] == [False, True, True]
    assert len([path for path in tmp_path.rglob("*") if path.is_file()]) == 2 < MAX_UPLOADS


def test_old_uploads_are_deleted(tmp_path, monkeypatch):
    uploads = Uploads(tmp_path)
    path = add(uploads, "ana")
    uploads.delete_old()
    assert uploads.may_read("ana", path)
    monkeypatch.setattr("tasks.serving.uploads.KEPT_S", 0)
    uploads.delete_old()
    assert not uploads.may_read("ana", path) and not [path for path in tmp_path.rglob("*") if path.is_file()]


@pytest.mark.parametrize(
    ("name", "safe"),
    [("../../etc/passwd", "passwd"), ("..", "image"), ("", "image"), ("C:\\a\\b.tif", "b.tif"), (".bashrc", "bashrc"),
     ("ä\0.png", "ä.png"), ('x".png', "x.png"), ("a/b\n.png", "b.png")],
)  # fmt: skip
def test_a_safe_name_has_no_path_or_special_characters(name, safe):
    assert safe_name(name) == safe


def test_a_long_name_keeps_its_suffix():
    assert safe_name("ß" * 5000 + ".png").endswith("ß.png") and len(safe_name("ß" * 5000 + ".png").encode()) <= 120
