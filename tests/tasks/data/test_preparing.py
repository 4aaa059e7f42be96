import json
import shutil
from pathlib import Path

import pytest
from PIL import Image

from tasks.data.preparing import choose_sets_folder, find_raw, prepare_dataset, raw_data
from tasks.data.several_images import TOO_MANY
from tasks.data.synthetic.dataset import draw_sample
from tasks.errors import DataError, OccupiedError
from tasks.files import sha256_of
from tasks.paths import DataFolder
from tasks.records import DatasetRef
from tasks.settings import DataConfig, SampleConfig

SETS = ("data_train", "data_val", "data_test", "filtered_test")


@pytest.fixture(scope="module")
def drawn(tmp_path_factory) -> Path:
    root = tmp_path_factory.mktemp("sample") / "data"
    draw_sample(root, SampleConfig(scenes=60, image_size=48))
    return root


@pytest.fixture
def folder(drawn, tmp_path) -> DataFolder:
    return DataFolder(shutil.copytree(drawn, tmp_path / "data"))


def prepare(folder: DataFolder, out: Path, **changes) -> DatasetRef:
    return prepare_dataset(folder.raw, folder.images, DataConfig(**changes), out)


def read(path: Path):
    return json.loads(path.read_bytes())


def manifest_of(out: Path, name: str) -> dict:
    return read(out / f"{name}.manifest.json")


def change_raw(folder: DataFolder, change) -> None:
    records = read(folder.raw)
    change(records)
    folder.raw.write_text(json.dumps(records))


def test_sets_are_written_with_their_manifests(folder, tmp_path):
    ref = prepare(folder, tmp_path / "sets", test_ratio=0.5)
    assert {path.name for path in (tmp_path / "sets").iterdir()} == {
        "MANIFEST.json",
        "croissant.json",
        "filter",
        "images.jsonl",
        "samples.html",
        "statistics.json",
        "verification.json",
        *(f"{name}.{suffix}" for name in SETS for suffix in ("json", "manifest.json")),
    }
    numbers = [len(read(tmp_path / "sets" / f"{name}.json")) for name in SETS]
    assert numbers == list(ref.records.values()) == [42, 6, 12, 6]
    assert sum(numbers[:3]) == 60


def test_prepared_records_are_those_of_the_raw_file(folder, tmp_path):
    prepare(folder, tmp_path / "sets")
    prepared = [record for name in SETS[:3] for record in read(tmp_path / "sets" / f"{name}.json")]
    raw = read(folder.raw)
    assert sorted(prepared, key=lambda r: r["id"]) == sorted(raw, key=lambda r: r["id"])


def test_repeated_preparation_does_nothing(folder, tmp_path):
    first = prepare(folder, tmp_path / "sets")
    before = (tmp_path / "sets" / "MANIFEST.json").stat().st_mtime_ns
    assert prepare(folder, tmp_path / "sets") == first
    assert (tmp_path / "sets" / "MANIFEST.json").stat().st_mtime_ns == before


def test_damaged_set_is_prepared_again(folder, tmp_path):
    first = prepare(folder, tmp_path / "sets")
    (tmp_path / "sets" / "data_test.json").write_text("[]")
    assert prepare(folder, tmp_path / "sets") == first
    assert len(read(tmp_path / "sets" / "data_test.json")) == 12


def test_sets_of_other_settings_are_not_overwritten(folder, tmp_path):
    prepare(folder, tmp_path / "sets")
    with pytest.raises(OccupiedError, match="holds sets other than"):
        prepare(folder, tmp_path / "sets", seed=29)


def test_user_folder_is_not_overwritten(folder, tmp_path):
    (tmp_path / "sets").mkdir()
    (tmp_path / "sets" / "notes.txt").write_text("mine")
    with pytest.raises(OccupiedError, match="holds sets other than"):
        prepare(folder, tmp_path / "sets")
    assert [path.name for path in (tmp_path / "sets").iterdir()] == ["notes.txt"]


def test_records_of_missing_and_broken_images_are_dropped_and_counted(folder, tmp_path, capsys):
    images = [record["image"] for record in read(folder.raw) if record["id"].startswith("NWPU")]
    (folder.images / images[0]).unlink()
    (folder.images / images[1]).write_text("no image")
    ref = prepare(folder, tmp_path / "sets", broken_images="drop")
    assert ref.records["train"] + ref.records["val"] + ref.records["test"] == 58
    for name in SETS:
        assert manifest_of(tmp_path / "sets", name)["dropped"] == {"image file missing": 1, "image cannot be read": 1}
    assert "dropped 1: image cannot be read" in capsys.readouterr().out


def test_source_with_only_broken_images_is_refused_and_leaves_nothing(folder, tmp_path):
    for path in (folder.images / "DOTA").rglob("*.png"):
        path.write_text("no image")
    with pytest.raises(DataError, match=r"No record of DOTA is left \(image cannot be read: 12\)"):
        prepare(folder, tmp_path / "sets", broken_images="drop")
    assert [path.name for path in tmp_path.iterdir()] == ["data"]


def test_dropped_records_of_other_sources_are_counted(folder, tmp_path):
    prepare(folder, tmp_path / "sets", sources=("NWPU", "LR"))
    dropped = manifest_of(tmp_path / "sets", "data_train")["dropped"]
    assert dropped == {"source RSICD not selected": 18, "source DOTA not selected": 12}


def test_records_without_a_single_image_are_dropped_and_counted(folder, tmp_path):
    def change(records):
        records[3].pop("image")
        records[4]["image"] = [records[4]["image"], records[5]["image"]]
        records[6]["image"] = None

    before = sum(prepare(folder, tmp_path / "whole").records[name] for name in ("train", "val", "test"))
    change_raw(folder, change)
    after = prepare(folder, tmp_path / "sets").records
    assert before - sum(after[name] for name in ("train", "val", "test")) == 3
    dropped = manifest_of(tmp_path / "sets", "data_train")["dropped"]
    assert dropped == {"no image: text alone": 2, TOO_MANY: 1}


def test_images_without_folders_belong_to_the_configured_source(folder, tmp_path):
    def flatten(records):
        for row in records:
            old_path = folder.images / row["image"]
            row["image"] = row["image"].replace("/", "_")
            if old_path.exists():
                old_path.rename(folder.images / row["image"])

    change_raw(folder, flatten)
    with pytest.raises(DataError, match="No record of NWPU, RSICD, LR, DOTA is left \\(source unnamed not selected"):
        prepare(folder, tmp_path / "sets")
    ref = prepare(folder, tmp_path / "sets", sources=["Mine"], unnamed_source="Mine")
    assert ref.unnamed_source == "Mine" and min(ref.records.values()) > 0
    assert set(manifest_of(tmp_path / "sets", "data_test")["kept"]) == {"Mine"}
    described = read(tmp_path / "sets" / "statistics.json")["test"]["Mine"]
    assert described["captions"]["number"] > 0 and described["questions"]["number"] > 0
    assert "<h2>Mine</h2>" in (tmp_path / "sets" / "samples.html").read_text()


def test_reduced_test_set_has_an_image_of_each_source(folder, tmp_path):
    prepare(folder, tmp_path / "sets", test_ratio=0.001)
    kept = manifest_of(tmp_path / "sets", "filtered_test")["kept"]
    assert set(kept) == {"NWPU", "RSICD", "LR", "DOTA"} and min(kept.values()) >= 1


def test_no_validation_set_without_a_share_for_it(folder, tmp_path):
    ref = prepare(folder, tmp_path / "sets", train=0.8, test=0.2)
    assert ref.records["val"] == 0 and not list((tmp_path / "sets").glob("data_val*"))


def test_changed_image_changes_the_dataset_content(folder, tmp_path):
    first = prepare(folder, tmp_path / "one")
    image = folder.images / read(folder.raw)[0]["image"]
    image.write_bytes(image.read_bytes() + b"\0")
    second = prepare(folder, tmp_path / "two")
    assert first.content != second.content


def test_records_lost_by_the_reference_protocol_are_counted(folder, tmp_path):
    prepare(folder, tmp_path / "sets", protocol="reference", train=0.75, test=0.25)
    assert manifest_of(tmp_path / "sets", "data_train")["dropped"] == {"left over by the reference protocol": 2}


@pytest.mark.parametrize("name", ["instructions_raw.json", "instructions_raw.jsonl", "dataset.jsonl"])
def test_raw_file_may_be_json_lines(folder, tmp_path, name):
    plain = prepare(folder, tmp_path / "plain")
    rows = read(folder.raw)
    folder.raw.unlink()
    (folder.root / name).write_text("".join(json.dumps(row) + "\n" for row in rows))
    lines = prepare_dataset(find_raw(folder.root), folder.images, DataConfig(), tmp_path / "lines")
    assert lines.records == plain.records
    assert read(tmp_path / "lines" / "data_test.json") == read(tmp_path / "plain" / "data_test.json")


def test_raw_file_may_have_two_names(folder):
    assert find_raw(folder.root) == folder.raw
    folder.raw.rename(folder.dataset)
    assert find_raw(folder.root) == folder.dataset


@pytest.mark.parametrize(
    ("remove", "message"),
    [
        (lambda f: shutil.rmtree(f.root), "is not a folder"),
        (lambda f: shutil.rmtree(f.images), "lacks the folder imagenes"),
        (lambda f: f.raw.unlink(), "lacks instructions_raw.json and dataset.json"),
    ],
)
def test_missing_part_of_a_data_folder_is_named(folder, remove, message):
    remove(folder)
    with pytest.raises(DataError, match=message):
        find_raw(folder.root)


def test_data_folder_digest_depends_on_file_and_settings(folder):
    first = raw_data(folder.root, DataConfig())
    assert raw_data(folder.root, DataConfig()) == first
    assert raw_data(folder.root, DataConfig(seed=1)).content != first.content
    change_raw(folder, lambda records: records.pop())
    assert raw_data(folder.root, DataConfig()).content != first.content


def test_broken_images_end_the_preparation_unless_dropped(folder, tmp_path, capsys):
    name = read(folder.raw)[0]["image"]
    (folder.images / name).write_text("no image")
    with pytest.raises(DataError, match=r"1 image\(s\) cannot be read"):
        prepare(folder, tmp_path / "sets")
    assert f"{name}: image cannot be read" in capsys.readouterr().out
    assert not (tmp_path / "sets").exists()


def test_version_lists_every_image_with_its_hash(folder, tmp_path):
    prepare(folder, tmp_path / "sets")
    rows = [json.loads(line) for line in (tmp_path / "sets" / "images.jsonl").read_text().split("\n") if line]
    assert sorted(row["image"] for row in rows) == sorted(record["image"] for record in read(folder.raw))
    for row in rows:
        assert row["sha256"] == sha256_of(folder.images / row["image"])


def test_unreferenced_files_are_listed(folder, tmp_path):
    spare = folder.images / "LR" / "Train" / "spare.tif"
    shutil.copy(next((folder.images / "LR" / "Train").iterdir()), spare)
    prepare(folder, tmp_path / "sets")
    report = read(tmp_path / "sets" / "verification.json")
    assert report["unreferenced"] == ["LR/Train/spare.tif"] and report["faults"] == []


def test_faulty_records_are_repaired_or_dropped_and_counted(folder, tmp_path):
    def harm(records):
        records[0]["conversations"][0]["value"] = "no mark here"
        records.append(records[1])

    change_raw(folder, harm)
    prepare(folder, tmp_path / "sets")
    manifest = manifest_of(tmp_path / "sets", "data_train")
    assert manifest["repaired"] == {"<image> missing": 1} and manifest["dropped"] == {"duplicate record": 1}
    prepare(folder, tmp_path / "dropped", record_faults="drop")
    dropped = manifest_of(tmp_path / "dropped", "data_train")["dropped"]
    assert dropped == {"duplicate record": 1, "<image> missing": 1}


def test_near_duplicates_are_in_one_set(folder, tmp_path):
    copies = [record for record in read(folder.raw) if record["id"].startswith("NWPU")][:8]

    def add_copies(records):
        for record in copies:
            name = record["image"].replace(".jpg", "_copy.jpg")
            Image.open(folder.images / record["image"]).save(folder.images / name, quality=85)
            records.append({**record, "id": f"{record['id']} copy", "image": name})

    change_raw(folder, add_copies)
    prepare(folder, tmp_path / "sets", train=0.5, test=0.3)
    set_of = {r["image"]: name for name in SETS[:3] for r in read(tmp_path / "sets" / f"{name}.json")}
    assert all(set_of[r["image"]] == set_of[r["image"].replace(".jpg", "_copy.jpg")] for r in copies)
    details = read(tmp_path / "sets" / "MANIFEST.json")["details"]
    assert details["noticed"] == {"image is a near-duplicate of another": 8}


def test_version_has_statistics_and_an_examples_page(folder, tmp_path):
    numbers = read(prepare(folder, tmp_path / "sets").path / "statistics.json")
    assert sum(source["records"] for source in numbers["train"].values()) == 42
    assert numbers["train"]["NWPU"]["captions"]["number"] > 0 and numbers["train"]["LR"]["questions"]["number"] > 0
    page = (tmp_path / "sets" / "samples.html").read_text()
    assert "data:image/jpeg;base64," in page and "<h2>DOTA</h2>" in page


def test_sets_are_in_the_data_folder_if_it_is_writable(folder, tmp_path):
    data, fallback = raw_data(folder.root, DataConfig()), tmp_path / "fallback"
    assert choose_sets_folder(data, fallback) == folder.sets
    folder.root.chmod(0o555)
    try:
        assert choose_sets_folder(data, fallback) == fallback
    finally:
        folder.root.chmod(0o755)


def test_other_sets_in_the_data_folder_are_kept(folder, tmp_path):
    prepare(folder, folder.sets, seed=1)
    assert choose_sets_folder(raw_data(folder.root, DataConfig(seed=1)), tmp_path / "fallback") == folder.sets
    assert choose_sets_folder(raw_data(folder.root, DataConfig(seed=2)), tmp_path / "fallback") == tmp_path / "fallback"
