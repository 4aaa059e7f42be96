"""Users' own data: image names without folders, and sources of few images."""

from pathlib import Path
from typing import Any

import pytest
from support.command_line import rsvlm

from tasks.files import read_json

Records = list[dict[str, Any]]
SETS = ("data_train", "data_val", "data_test")


@pytest.mark.parametrize("folder", ["", "./", "images/"])
def test_images_without_folders_are_one_source_and_split_by_image(
    write: Any, tmp_path: Path, folder: str, capsys: pytest.CaptureFixture[str], flat_names: Any
) -> None:
    assert rsvlm("data", "split", write("raw.json", flat_names(folder)), tmp_path / "sets") == 0
    sets = [read_json(tmp_path / "sets" / f"{name}.json") for name in SETS]
    assert [len(rows) for rows in sets] == [63, 9, 18]
    images = [{row["image"] for row in rows} for rows in sets]
    assert sum(map(len, images)) == len(set.union(*images)) == 30
    source = "images" if folder == "images/" else "unnamed"
    manifest = read_json(tmp_path / "sets" / "data_test.manifest.json")
    assert manifest["kept"] == {source: 18}
    assert manifest["tasks"] == {source: {"captioning": 6, "vqa": 12, "guessed": 0}}
    assert f"{source}: 30 caption prompts, 60 questions\n" in capsys.readouterr().out


@pytest.mark.parametrize("ratio", ["0.01", "0.1", "0.5"])
def test_images_without_folders_are_reduced_by_image_and_never_to_nothing(
    write: Any, tmp_path: Path, ratio: str, flat_names: Any
) -> None:
    assert rsvlm("data", "reduce", write("test.json", flat_names()), tmp_path / "part.json", "--ratio", ratio) == 0
    rows = read_json(tmp_path / "part.json")
    assert len(rows) == max(3, 90 * float(ratio)) and len({row["image"] for row in rows}) == len(rows) / 3


def test_images_without_folders_are_selected_by_their_source_name(
    write: Any, tmp_path: Path, record: Any, flat_names: Any
) -> None:
    raw = write("raw.json", [*flat_names(images=4), record("x", "UCM/images/1.jpg", ("<image>\nWhat?", "a"))])
    for number, options in enumerate((["--sources", "Geo", "--source", "Geo"], ["--sources", "unnamed"])):
        assert rsvlm("data", "filter", raw, tmp_path / f"{number}.json", *options) == 0
        assert len(read_json(tmp_path / f"{number}.json")) == 12
    assert read_json(tmp_path / "0.manifest.json")["kept"] == {"Geo": 12}
    assert rsvlm("data", "filter", raw, tmp_path / "all.json", "--sources", "all") == 0
    assert read_json(tmp_path / "all.manifest.json")["kept"] == {"unnamed": 12, "UCM": 1}


def test_images_without_folders_are_evaluated_as_the_source_of_the_option(
    write: Any, flat_names: Any, metrics_of: Any
) -> None:
    path = write("test.json", flat_names())
    found = metrics_of(path, path, "--source", "GeoChat", "--train", path)
    assert list(found["captioning"]) == list(found["vqa"]) == ["GeoChat"]
    assert found["captioning"]["GeoChat"]["images"] == 30 and found["vqa"]["GeoChat"]["questions"] == 60
    assert found["vqa"]["GeoChat"]["by_type"]["presence"]["questions"] == 30
    assert found["captioning"]["GeoChat"]["controls"]["verbatim_train_share"] == 1


def test_shares_that_sum_to_1_give_two_sets(write: Any, tmp_path: Path, flat_names: Any) -> None:
    raw = write("raw.json", flat_names())
    for protocol in ("grouped", "reference"):
        out = tmp_path / protocol
        for _ in range(2):
            assert rsvlm("data", "split", raw, out, "--train", 0.8, "--test", 0.2, "--protocol", protocol) == 0
        assert sorted(path.name for path in out.glob("*.json")) == [
            *("data_test.json", "data_test.manifest.json", "data_train.json", "data_train.manifest.json")
        ]


def test_a_validation_set_of_another_split_is_refused_next_to_two_sets(
    write: Any, tmp_path: Path, flat_names: Any
) -> None:
    raw = write("raw.json", flat_names())
    assert rsvlm("data", "split", raw, tmp_path / "sets") == 0
    for name in ("data_train", "data_test"):
        (tmp_path / "sets" / f"{name}.json").unlink()
        (tmp_path / "sets" / f"{name}.manifest.json").unlink()
    assert rsvlm("data", "split", raw, tmp_path / "sets", "--train", "0.8", "--test", "0.2") == 2
    assert not (tmp_path / "sets" / "data_train.json").exists()


def test_splitting_a_single_image_is_refused(
    write: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str], flat_names: Any
) -> None:
    assert rsvlm("data", "split", write("raw.json", flat_names(images=1)), tmp_path / "sets") == 2
    assert "No image is left for data_test.json" in capsys.readouterr().err
    assert not (tmp_path / "sets").exists()


def of_few_images(record: Any, images: int, captions: int) -> Records:
    few = [("RSICD/images/port_{}.jpg", images), ("NWPU/NWPU_images/port/port_{}.jpg", 40)]
    return [
        record(f"{path}-{n}-{copy}", path.format(n), ("<image>\nDescribe it", f"a port {n} {copy}"))
        for path, count in few
        for n in range(count)
        for copy in range(captions)
    ]


@pytest.mark.parametrize(("images", "captions", "ratio"), [(8, 5, 0.05), (1, 5, 0.3), (2, 1, 0.01), (3, 9, 0.1)])
def test_a_small_source_keeps_an_image_with_all_its_records(
    write: Any, tmp_path: Path, images: int, captions: int, ratio: float, record: Any
) -> None:
    test = write("test.json", of_few_images(record, images, captions))
    assert rsvlm("data", "reduce", test, tmp_path / "part.json", "--ratio", ratio) == 0
    kept = read_json(tmp_path / "part.manifest.json")["kept"]
    assert kept["RSICD"] >= captions and kept["RSICD"] % captions == 0 and kept["NWPU"] % captions == 0


def test_reference_reduction_reports_lost_sources_and_refuses_an_empty_result(
    write: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str], record: Any
) -> None:
    test = write("test.json", of_few_images(record, 3, 1))
    options = ("--protocol", "reference", "--ratio")
    assert rsvlm("data", "reduce", test, tmp_path / "part.json", *options, "0.1") == 0
    assert "dropped 3: source RSICD has no record in the share" in capsys.readouterr().out
    assert rsvlm("data", "reduce", test, tmp_path / "none.json", *options, "0.01") == 2
    assert "is empty under the reference protocol" in capsys.readouterr().err and not (tmp_path / "none.json").exists()
