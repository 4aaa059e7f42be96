"""Formats are recognised by content, read whole, and refused with one sentence."""

import bz2
import gzip
import json
import lzma
import re
from collections.abc import Callable
from pathlib import Path
from typing import get_args

import pytest
from support.other_formats import SAMPLES, coco, sharegpt, write, write_lines

from tasks.choices import ImportFormat
from tasks.data.importing.formats import FORMATS, choose_format
from tasks.data.importing.import_files import ImportRequest, import_files
from tasks.errors import DataError
from tasks.record_reader import read_records


def test_the_command_line_knows_every_format() -> None:
    assert set(FORMATS) == set(get_args(ImportFormat))


@pytest.mark.parametrize("name", SAMPLES)
def test_a_format_is_recognised_by_its_content_and_read_into_valid_records(
    tmp_path: Path, imported: Callable, name: str
) -> None:
    make, format, number = SAMPLES[name]
    # whatever the files are called
    files = [path.rename(tmp_path / f"{index}.txt") for index, path in enumerate(make(tmp_path))]
    records, manifest = imported(files)
    assert manifest["parameters"]["format"] == format and manifest["records"] == len(records) == number
    assert len(read_records(tmp_path / "out-0.json")) == number
    assert len({record["id"] for record in records}) == number
    assert sorted(manifest["inputs"]) == [path.name for path in files]


@pytest.mark.parametrize("name", SAMPLES)
def test_a_named_format_reads_the_same(tmp_path: Path, imported: Callable, name: str) -> None:
    make, format, _ = SAMPLES[name]
    files = make(tmp_path)
    assert imported(files, format=format)[0] == imported(files)[0]


def test_another_format_than_the_named_one_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"a\.json is not rsvqa but coco: leave the format out"):
        choose_format(coco(tmp_path / "a.json"), "rsvqa")


def test_files_of_several_formats_are_refused(tmp_path: Path) -> None:
    files = [*coco(tmp_path / "a.json"), *sharegpt(tmp_path / "b.json")]
    with pytest.raises(DataError, match=r"a\.json is coco, b\.json is sharegpt\): import them one after the other"):
        choose_format(files, None)


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        ([{"question_id": 1, "text": "yes", "model_id": "m"}], "has no questions; it holds answers of a model"),
        ([{"image_id": 1, "caption": "a plane"}], "has no questions; it holds answers of a model"),
        ([{"question_id": 1, "image_id": "a", "answer": "b", "ground_truth": "c"}], "has no questions"),
        ([{"name": 1}], r"none of the known formats \(rsvqa, .*'name'"),
        ({"name": 1}, "none of the known formats"),
        ([], "holds no record"),
        ([1], "holds no record"),
    ],
)
def test_what_is_not_a_data_set_is_refused_with_one_sentence(tmp_path: Path, rows: object, said: str) -> None:
    with pytest.raises(DataError, match=said):
        choose_format([write(tmp_path / "a.json", rows)], None)


@pytest.mark.parametrize("cut", [0.3, 0.6, 0.9])
@pytest.mark.parametrize("name", SAMPLES)
def test_a_file_that_is_cut_off_leaves_nothing(tmp_path: Path, name: str, cut: float) -> None:
    make, format, _ = SAMPLES[name]
    for path in (files := make(tmp_path)):
        content = path.read_text()
        path.write_text(content[: int(len(content.rstrip()) * cut)])
    with pytest.raises(DataError):
        import_files(ImportRequest(tuple(files), tmp_path / "out.json", format))
    assert not list(tmp_path.glob("*out*"))


def test_an_existing_file_of_other_content_is_kept(tmp_path: Path) -> None:
    out = write(tmp_path / "out.json", ["mine"])
    with pytest.raises(DataError, match="exists with other content"):
        import_files(ImportRequest(tuple(coco(tmp_path / "a.json")), out))
    assert json.loads(out.read_text()) == ["mine"] and not (tmp_path / "out.manifest.json").exists()


def test_the_same_import_again_changes_nothing(tmp_path: Path) -> None:
    request = ImportRequest(tuple(coco(tmp_path / "a.json")), tmp_path / "out.json")
    import_files(request)
    before = request.out.read_bytes()
    import_files(request)
    assert request.out.read_bytes() == before


def test_a_set_of_which_nothing_is_left_is_refused_with_the_reasons(tmp_path: Path) -> None:
    files = [write_lines(tmp_path / "a.jsonl", [{"question_id": 1, "image": "a.png", "text": "Is it?"}])]
    with pytest.raises(
        DataError, match=r"out\.json would hold no record \(question without an answer: 1\): give the f"
    ):
        import_files(ImportRequest(tuple(files), tmp_path / "out.json"))


@pytest.mark.parametrize(
    ("images", "message"),
    [
        (["/data/a.png"], "below --images: 1): give the folder of the images with --images."),
        (["a.png", "b.png"], "(several images: 1): write records with one image each"),
        (["https://host/a.png"], "(image is a URL: 1): download the images"),
    ],
)
def test_a_set_of_which_nothing_is_left_says_what_to_do(tmp_path: Path, images: list[str], message: str) -> None:
    turns = [{"from": "human", "value": "Is it?"}, {"from": "gpt", "value": "yes"}]
    path = write(tmp_path / "a.json", [{"id": 1, "images": images, "conversations": turns}])
    with pytest.raises(DataError, match=re.escape(message)):
        import_files(ImportRequest((path,), tmp_path / "out.json"))
    assert not (tmp_path / "out.json").exists()


def test_a_set_without_annotations_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "a.json", {"images": [{"id": 1, "file_name": "a.png"}], "annotations": []})
    with pytest.raises(DataError, match="made from files without captions, questions and conversations"):
        import_files(ImportRequest((path,), tmp_path / "out.json"))


def test_an_id_that_occurs_twice_is_numbered_and_counted(tmp_path: Path, imported: Callable) -> None:
    row = {"image": "a.png", "text": "Is it?", "ground_truth": "yes"}
    files = [write_lines(tmp_path / "a.jsonl", [{**row, "question_id": 1}, {**row, "question_id": 1}, row])]
    records, manifest = imported(files)
    assert [record["id"] for record in records] == [1, "1-2", 2]
    assert [record.get("original_id") for record in records] == [None, 1, None]
    assert manifest["repaired"] == {"id used by another record": 1, "record without an id, numbered": 1}


@pytest.mark.parametrize("compress", [gzip.compress, bz2.compress, lzma.compress])
def test_a_compressed_file_is_to_be_unpacked(tmp_path: Path, compress: Callable[[bytes], bytes]) -> None:
    (path,) = coco(tmp_path / "a.json")
    path.write_bytes(compress(path.read_bytes()))
    with pytest.raises(DataError, match=r"a\.json is compressed: unpack it"):
        import_files(ImportRequest((path,), tmp_path / "out.json"))
