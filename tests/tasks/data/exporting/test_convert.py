"""Records in the format of other tools: what these hold, and what is counted as lost."""

import json
from pathlib import Path

import pytest
from support.files import encoded, written
from support.llava_records import asked_record, captions_record

from tasks.data.exporting import hugging_face
from tasks.data.exporting.convert import convert_file
from tasks.errors import ConfigError, DataError, OccupiedError
from tasks.files import read_json

CAPTIONS = captions_record("RSICD/images/a.jpg", ["a plane", "a car"])
PAIRS = [("Is it?", "yes")]
QUESTION = {**asked_record("LR/Train/1.tif", PAIRS, "q"), "split": "test"}


def test_coco_has_captions_and_counts_questions_and_prompts_as_lost(tmp_path: Path) -> None:
    done = convert_file(written(tmp_path / "a.json", [CAPTIONS, QUESTION]), "coco", tmp_path / "coco.json")
    found = read_json(tmp_path / "coco.json")
    assert found["images"] == [{"id": 1, "file_name": "RSICD/images/a.jpg", "numbered": True}]
    assert [(each["id"], each["image_id"], each["caption"]) for each in found["annotations"]] == [
        (1, 1, "a plane"),
        (2, 1, "a car"),
    ]
    assert list(done.lost.values()) == [2, 1] and done.written == "2 captions of 1 image"
    assert read_json(tmp_path / "coco.manifest.json")["dropped"] == dict(done.lost)


def test_what_is_not_lost_is_not_counted(tmp_path: Path) -> None:
    row = asked_record("RSICD/a.jpg", [("<image>\nDescribe the image.", "a plane")], "a") | {"task": "captioning"}
    assert convert_file(written(tmp_path / "a.json", [row]), "coco", tmp_path / "coco.json").lost == {}


def test_pycocotools_reads_the_captions(tmp_path: Path) -> None:
    from pycocotools.coco import COCO

    convert_file(written(tmp_path / "a.json", [CAPTIONS]), "coco", tmp_path / "coco.json")
    coco = COCO(str(tmp_path / "coco.json"))
    assert [each["caption"] for each in coco.loadAnns(coco.getAnnIds(imgIds=[1]))] == ["a plane", "a car"]


def test_a_set_without_captions_is_no_coco_file(tmp_path: Path) -> None:
    with pytest.raises(
        DataError, match=r"would hold no record \(question.*\): convert questions with sharegpt or hf\.$"
    ):
        convert_file(written(tmp_path / "a.json", [QUESTION]), "coco", tmp_path / "coco.json")
    assert not (tmp_path / "coco.json").exists()


def test_sharegpt_has_one_conversation_per_record(tmp_path: Path) -> None:
    done = convert_file(written(tmp_path / "a.json", [QUESTION]), "sharegpt", tmp_path / "b.json")
    (found,) = read_json(tmp_path / "b.json")
    assert found["images"] == ["LR/Train/1.tif"] and found["conversations"] == QUESTION["conversations"]
    assert found["split"] == "test" and done.lost == {}


@pytest.mark.parametrize("format", ["coco", "sharegpt"])
def test_an_existing_file_of_other_content_is_kept(tmp_path: Path, format: str) -> None:
    out = written(tmp_path / "b.json", ["mine"])
    with pytest.raises(DataError, match="exists with other content"):
        convert_file(written(tmp_path / "a.json", [CAPTIONS]), format, out)  # type: ignore[arg-type]
    assert json.loads(out.read_text()) == ["mine"]


def test_without_pyarrow_the_error_says_what_to_install(tmp_path: Path) -> None:
    try:
        import pyarrow  # noqa: F401
    except ImportError:
        with pytest.raises(ConfigError, match=r"pip install 'rsvlm\[hf\]'"):
            convert_file(written(tmp_path / "a.json", [QUESTION]), "hf", tmp_path / "hf")
    else:
        pytest.skip("pyarrow is installed")


@pytest.fixture
def images(tmp_path: Path) -> Path:
    pytest.importorskip("pyarrow", reason="pyarrow, of the extra hf, is not installed")
    for name in ("LR/Train/1.tif", "RSICD/images/a.jpg"):
        (tmp_path / "imagenes" / name).parent.mkdir(parents=True)
        (tmp_path / "imagenes" / name).write_bytes(encoded("TIFF" if name.endswith("tif") else "JPEG"))
    return tmp_path / "imagenes"


def test_a_hugging_face_folder_holds_records_and_images_by_split(tmp_path: Path, images: Path) -> None:
    from pyarrow import parquet

    typed = {**QUESTION, "id": 7, "task": "vqa", "extra": {"a": 1}}
    typed["conversations"] = [{**typed["conversations"][0], "question_type": "presence"}, typed["conversations"][1]]
    data = written(tmp_path / "a.json", [CAPTIONS, typed, {**QUESTION, "split": "train"}])
    done = convert_file(data, "hf", tmp_path / "hf")
    assert done.written == "others 1, test 1, train 1 rows"
    assert done.lost == {"field extra of a record or turn, which is not a text": 1}
    (row,) = parquet.read_table(tmp_path / "hf" / "data" / "test-00000-of-00001.parquet").to_pylist()
    assert row["id"] == "7" and row["task"] == "vqa"
    assert row["conversations"][0] == {"from": "human", "value": "<image>\nIs it?", "question_type": "presence"}
    image = (images / "LR/Train/1.tif").read_bytes()
    assert row["image"] == {"bytes": image, "path": "LR/Train/1.tif"}


@pytest.mark.parametrize(
    ("splits", "rows"),
    [((None, None), "train 2 rows"), ((None, "test"), "others 1, test 1 rows"), ((None, "mine"), "others 2 rows")],
)
def test_records_without_a_split_are_train_if_none_has_one(
    tmp_path: Path, images: Path, splits: tuple[str | None, ...], rows: str
) -> None:
    records = [{**QUESTION, "split": split} if split else asked_record(QUESTION["image"], PAIRS) for split in splits]
    assert convert_file(written(tmp_path / "a.json", records), "hf", tmp_path / "hf", images).written == rows


def test_rows_of_one_image_share_its_bytes(tmp_path: Path, images: Path) -> None:
    data = written(tmp_path / "a.json", [{**QUESTION, "id": number} for number in range(500)])
    convert_file(data, "hf", tmp_path / "hf", images)
    (file,) = (tmp_path / "hf" / "data").iterdir()
    assert file.stat().st_size < 3 * (images / "LR/Train/1.tif").stat().st_size


def test_groups_of_rows_are_small_enough_for_memory(
    tmp_path: Path, images: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from pyarrow import parquet

    monkeypatch.setattr(hugging_face, "ROWS_PER_GROUP", 2)
    data = written(tmp_path / "a.json", [{**QUESTION, "id": number} for number in range(5)])
    convert_file(data, "hf", tmp_path / "hf", images)
    (path,) = (tmp_path / "hf" / "data").iterdir()
    file = parquet.ParquetFile(path)
    assert file.num_row_groups == 3 and [row["id"] for row in file.read().to_pylist()] == [0, 1, 2, 3, 4]


def test_missing_images_and_other_folders_are_refused(tmp_path: Path, images: Path) -> None:
    data = written(tmp_path / "a.json", [QUESTION])
    with pytest.raises(DataError, match=r"1 of 1 images are not in .*LR/Train/1\.tif: give the folder"):
        convert_file(data, "hf", tmp_path / "hf", tmp_path)
    assert not (tmp_path / "hf").exists()
    (tmp_path / "hf").mkdir()
    (tmp_path / "hf" / "mine").touch()
    with pytest.raises(OccupiedError, match="holds other content"):
        convert_file(data, "hf", tmp_path / "hf", images)


@pytest.mark.filterwarnings("ignore")  # of the package itself
def test_datasets_loads_the_folder(tmp_path: Path, images: Path) -> None:
    datasets = pytest.importorskip("datasets", reason="datasets is not installed")
    typed = {**QUESTION, "task": "vqa"}
    convert_file(written(tmp_path / "a.json", [typed, {**CAPTIONS, "split": "train"}]), "hf", tmp_path / "hf")
    loaded = datasets.load_dataset(str(tmp_path / "hf"), cache_dir=str(tmp_path / "cache"))
    assert set(loaded) == {"train", "test"}
    row = loaded["test"][0]
    assert row["image"].size == (80, 60) and row["conversations"] == typed["conversations"]


def test_coco_counts_the_fields_that_it_cannot_hold(tmp_path: Path) -> None:
    record = {**CAPTIONS, "question_type": "mine", "extra": [1]}
    done = convert_file(written(tmp_path / "a.json", [record]), "coco", tmp_path / "coco.json")
    assert done.lost["field extra of a record or turn (COCO captions hold none)"] == 1
    assert done.lost["field question_type of a record or turn (COCO captions hold none)"] == 1


def test_what_parquet_cannot_hold_is_no_bug(tmp_path: Path, images: Path) -> None:
    from pyarrow import parquet

    convert_file(written(tmp_path / "a.json", [{**QUESTION, "id": 10**30}]), "hf", tmp_path / "hf", images)
    (path,) = (tmp_path / "hf" / "data").iterdir()
    assert parquet.read_table(path).to_pylist()[0]["id"] == str(10**30)
    with pytest.raises(DataError, match=r"The record 'x' has half a Unicode character .* fix or remove it"):
        convert_file(
            written(tmp_path / "b.json", [QUESTION, {**QUESTION, "id": "x", "note": "\ud800"}]),
            "hf",
            tmp_path / "b",
            images,
        )
    assert not (tmp_path / "b").exists()
