import hashlib
import io
import json
import os
import zipfile
from pathlib import Path

import pytest
from huggingface_hub import constants

from tasks.data.fetching.all_sources import ByHandNeeded, obtain_all
from tasks.data.fetching.http_file import FetchError, HttpFetcher, Patience, no_progress
from tasks.data.fetching.request import FetchRequest, SourceImages
from tasks.data.fetching.source import obtain_instructions, obtain_source
from tasks.data.fetching.urls import obtain
from tasks.errors import ConfigError, DataError

IMAGES = [f"LR/Train/{number}.tif" for number in range(3)]
RECORDS = [
    {"id": name, "image": name, "conversations": [{"from": "human", "value": "?"}, {"from": "gpt", "value": "yes"}]}
    for name in IMAGES
]


@pytest.fixture
def fetcher() -> HttpFetcher:
    return HttpFetcher(Patience(failures=2, unreachable=0, connect_s=2, stall_s=0.5), wait=lambda seconds: None)


def archive(*names: str) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as file:
        for name in names:
            file.writestr(f"Images_LR/{name}", name)
    return buffer.getvalue()


def laid(root: Path) -> list[str]:
    return sorted(path.name for path in (root / "imagenes" / "LR" / "Train").glob("*"))


def test_a_source_comes_from_its_mirror_and_leaves_no_archive(server, fetcher, tmp_path):
    server.add("/LR.zip", archive("0.tif", "1.tif", "2.tif"), acts=[("drop", 100), ("status", 503, {})])
    request = FetchRequest(root=tmp_path, mirrors={"LR": server.url("/LR.zip")})
    assert obtain_source("LR", request, IMAGES, lambda name: fetcher) == SourceImages(
        name="LR", images=3, expected=772, missing=0
    )
    assert laid(tmp_path) == ["0.tif", "1.tif", "2.tif"]
    assert [path.name for path in (tmp_path / "downloads").iterdir()] == ["LR.json"]


def test_what_is_there_is_not_fetched_again(server, fetcher, tmp_path):
    served = server.add("/LR.zip", archive("0.tif", "1.tif"))
    request = FetchRequest(root=tmp_path, mirrors={"LR": server.url("/LR.zip")})
    assert obtain_source("LR", request, IMAGES, lambda name: fetcher).missing == 1
    asked = len(served.requests)
    assert obtain_source("LR", request, IMAGES, lambda name: fetcher).missing == 1
    assert len(served.requests) == asked


def test_images_that_the_user_put_there_are_taken(fetcher, tmp_path):
    for name in IMAGES:
        (tmp_path / "imagenes" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "imagenes" / name).touch()
    assert obtain_source("LR", FetchRequest(root=tmp_path), IMAGES, lambda name: fetcher).missing == 0


def test_a_page_for_people_is_no_archive_and_is_not_kept(server, fetcher, tmp_path):
    server.add("/NWPU.zip", b"<html>sign in</html>")
    request = FetchRequest(root=tmp_path, archives={"NWPU": server.url("/NWPU.zip")})
    found = obtain_source("NWPU", request, [], lambda name: fetcher)
    assert found.by_hand is not None and "perhaps a page for people" in found.by_hand
    assert not (tmp_path / "downloads").exists() or not list((tmp_path / "downloads").iterdir())


def test_a_source_that_cannot_be_had_says_what_to_download_and_how_to_point_to_it(tmp_path, fetcher):
    found = obtain_source("UCM", FetchRequest(root=tmp_path), [], lambda name: fetcher)
    assert found.by_hand is not None
    assert "https://" in found.by_hand and "--archive UCM=PATH" in found.by_hand
    assert "fetched by hand" in str(ByHandNeeded([found]))


def test_what_the_user_points_to_must_be_right(tmp_path, fetcher):
    (tmp_path / "mine.zip").write_bytes(archive("readme.txt"))
    request = FetchRequest(root=tmp_path / "data", archives={"LR": str(tmp_path / "mine.zip")})
    with pytest.raises(DataError, match="holds no images of LR"):
        obtain_source("LR", request, IMAGES, lambda name: fetcher)
    assert (tmp_path / "mine.zip").exists()


def test_a_damaged_download_is_told_and_fetched_anew_the_next_time(server, fetcher, tmp_path):
    whole = archive("0.tif", "1.tif", "2.tif")
    served = server.add("/LR.zip", whole[:-30])
    request = FetchRequest(root=tmp_path, archives={"LR": server.url("/LR.zip")})
    assert "damaged or cut off" in str(obtain_source("LR", request, IMAGES, lambda name: fetcher).by_hand)
    served.content = whole
    assert obtain_source("LR", request, IMAGES, lambda name: fetcher).missing == 0


def test_the_instruction_file_is_fetched_where_there_is_none(server, fetcher, tmp_path):
    server.add("/raw.json", json.dumps(RECORDS).encode())
    request = FetchRequest(root=tmp_path / "data", mirrors={"instructions": server.url("/raw.json")})
    assert json.loads(obtain_instructions(request, lambda name: fetcher).read_text()) == RECORDS
    assert (
        obtain_instructions(FetchRequest(root=tmp_path / "data"), lambda name: fetcher).name == "instructions_raw.json"
    )


def test_a_page_is_no_instruction_file(server, fetcher, tmp_path):
    server.add("/raw.json", b"<html>")
    request = FetchRequest(root=tmp_path, archives={"instructions": server.url("/raw.json")})
    with pytest.raises(DataError, match="not valid JSON"):
        obtain_instructions(request, lambda name: fetcher)
    assert not (tmp_path / "instructions_raw.json").exists()


def test_all_sources_come_at_once(server, tmp_path):
    server.add("/raw.json", json.dumps(RECORDS).encode())
    server.add("/LR.zip", archive("0.tif", "1.tif", "2.tif"))
    server.add("/RSICD.zip", archive("a.jpg", "b.jpg"))
    mirrors = {"instructions": "/raw.json", "LR": "/LR.zip", "RSICD": "/RSICD.zip"}
    request = FetchRequest(root=tmp_path, mirrors={name: server.url(path) for name, path in mirrors.items()})
    found = obtain_all(["LR", "RSICD"], request, lambda name: no_progress)
    assert [(source.name, source.images, source.missing) for source in found] == [("LR", 3, 0), ("RSICD", 2, 0)]


@pytest.mark.parametrize("address", ["ftp://host/a.zip", "hf://name"])
def test_an_address_of_no_known_kind_is_refused(fetcher, tmp_path, address):
    with pytest.raises(ConfigError):
        obtain(address, tmp_path, fetcher)


def test_a_file_address_is_used_where_it_stands(fetcher, tmp_path):
    (tmp_path / "a b.zip").write_bytes(archive("0.tif"))
    place = obtain((tmp_path / "a b.zip").as_uri(), tmp_path / "downloads", fetcher)
    assert place.path == tmp_path / "a b.zip" and not place.ours


def test_mega_without_its_program_says_what_to_install(fetcher, tmp_path):
    path = os.environ["PATH"]
    os.environ["PATH"] = str(tmp_path)
    try:
        with pytest.raises(FetchError, match="install megatools"):
            obtain("https://mega.nz/folder/x#y", tmp_path / "d", fetcher)
    finally:
        os.environ["PATH"] = path


def test_several_addresses_make_one_source_though_their_names_are_one(server, fetcher, tmp_path):
    for number in range(3):
        server.add(f"/{number}/part.zip", archive(f"{number}.tif"))
    addresses = tuple(server.url(f"/{number}/part.zip") for number in range(3))
    request = FetchRequest(root=tmp_path, mirrors={"LR": addresses})
    assert obtain_source("LR", request, IMAGES, lambda name: fetcher).missing == 0
    assert laid(tmp_path) == ["0.tif", "1.tif", "2.tif"]


def test_what_a_source_was_made_of_is_recorded_though_the_archive_goes(server, fetcher, tmp_path):
    whole = archive("0.tif", "1.tif", "2.tif")
    server.add("/LR.zip?key=secret", whole)
    request = FetchRequest(root=tmp_path, mirrors={"LR": server.url("/LR.zip?key=secret")})
    obtain_source("LR", request, IMAGES, lambda name: fetcher)
    note = json.loads((tmp_path / "downloads" / "LR.json").read_text())
    sha256 = hashlib.sha256(whole).hexdigest()
    assert note["from"] == [{"address": server.url("/LR.zip"), "sha256": sha256, "size_bytes": len(whole)}]


def test_a_checksum_behind_an_address_is_verified(server, fetcher, tmp_path):
    whole = archive("0.tif", "1.tif", "2.tif")
    server.add("/LR.zip", whole)
    right = f"{server.url('/LR.zip')}#sha256={hashlib.sha256(whole).hexdigest()}"
    wrong = f"{server.url('/LR.zip')}#md5={hashlib.md5(b'other').hexdigest()}"
    told = obtain_source("LR", FetchRequest(root=tmp_path, archives={"LR": wrong}), IMAGES, lambda name: fetcher)
    assert "other content than expected" in str(told.by_hand)
    request = FetchRequest(root=tmp_path, archives={"LR": right})
    assert obtain_source("LR", request, IMAGES, lambda name: fetcher).missing == 0


def test_a_checksum_of_a_file_of_the_user_is_verified(fetcher, tmp_path):
    (tmp_path / "LR.zip").write_bytes(archive("0.tif"))
    with pytest.raises(DataError, match="other content than expected"):
        obtain(f"{tmp_path / 'LR.zip'}#sha256={'0' * 64}", tmp_path / "d", fetcher)


def test_another_archive_for_what_is_missing_is_looked_into(tmp_path, fetcher):
    for name, content in (("some", archive("0.tif")), ("rest", archive("1.tif", "2.tif"))):
        (tmp_path / f"{name}.zip").write_bytes(content)
        request = FetchRequest(root=tmp_path / "data", archives={"LR": str(tmp_path / f"{name}.zip")})
        found = obtain_source("LR", request, IMAGES, lambda name: fetcher)
    assert (found.images, found.missing) == (3, 0)


def test_a_page_from_a_mirror_is_no_reason_to_leave_out_the_next_way(server, fetcher, tmp_path, monkeypatch):
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    server.add("/raw.json", b"<html>")
    request = FetchRequest(root=tmp_path, mirrors={"instructions": server.url("/raw.json")})
    with pytest.raises(FetchError, match=r"not valid JSON.*hf://datasets/BigData-KSU"):
        obtain_instructions(request, lambda name: fetcher)


def test_a_path_that_is_gone_is_no_matter_where_its_source_is_there_already(tmp_path):
    for name in IMAGES:
        (tmp_path / "imagenes" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "imagenes" / name).touch()
    (tmp_path / "dataset.json").write_text(json.dumps(RECORDS))
    gone = str(tmp_path / "gone")
    request = FetchRequest(root=tmp_path, archives={"LR": gone, "instructions": gone})
    [found] = obtain_all(["LR"], request, lambda name: no_progress)
    assert (found.images, found.missing) == (len(IMAGES), 0)
