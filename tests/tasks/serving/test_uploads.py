import pytest

from tasks.serving.uploads import MAX_UPLOADS, Uploads, plain_name


def keep(uploads, visitor, name="a.png"):
    return uploads.keep(visitor, name, lambda file: file.write(b"x"))


def test_an_upload_is_for_its_visitor_alone_and_the_examples_are_for_all(tmp_path):
    (tmp_path / "example.png").write_bytes(b"x")
    uploads = Uploads(tmp_path)
    uploads.share()
    own = keep(uploads, "ana")
    assert uploads.is_for("ana", own) and not uploads.is_for("bo", own)
    assert uploads.is_for("bo", str(tmp_path / "example.png"))


def test_two_equal_uploads_are_two_files(tmp_path):
    uploads = Uploads(tmp_path)
    assert keep(uploads, "ana") != keep(uploads, "bo")


@pytest.mark.parametrize(
    "change", [lambda path: path.replace("/a.png", "/../x/a.png"), lambda path: f"/{path}", str.upper]
)
def test_a_file_has_one_name(tmp_path, change):
    uploads = Uploads(tmp_path)
    assert not uploads.is_for("ana", change(keep(uploads, "ana")))


def test_the_oldest_are_deleted_when_there_are_very_many(tmp_path, monkeypatch):
    monkeypatch.setattr("tasks.serving.uploads.MAX_UPLOADS", 2)
    uploads = Uploads(tmp_path)
    paths = [keep(uploads, "ana") for _ in range(3)]
    assert [uploads.is_for("ana", path) for path in paths] == [False, True, True]
    assert len([path for path in tmp_path.rglob("*") if path.is_file()]) == 2 < MAX_UPLOADS


def test_what_is_old_is_deleted(tmp_path, monkeypatch):
    uploads = Uploads(tmp_path)
    path = keep(uploads, "ana")
    uploads.forget_old()
    assert uploads.is_for("ana", path)
    monkeypatch.setattr("tasks.serving.uploads.KEPT_S", 0)
    uploads.forget_old()
    assert not uploads.is_for("ana", path) and not [path for path in tmp_path.rglob("*") if path.is_file()]


@pytest.mark.parametrize(
    ("name", "plain"),
    [("../../etc/passwd", "passwd"), ("..", "image"), ("", "image"), ("C:\\a\\b.tif", "b.tif"), (".bashrc", "bashrc"),
     ("ä\0.png", "ä.png"), ('x".png', "x.png"), ("a/b\n.png", "b.png")],
)  # fmt: skip
def test_a_name_is_no_more_than_a_name(name, plain):
    assert plain_name(name) == plain


def test_a_long_name_keeps_its_end():
    assert plain_name("ß" * 5000 + ".png").endswith("ß.png") and len(plain_name("ß" * 5000 + ".png").encode()) <= 120
