import hashlib
import io
import json
import os
import zipfile
from pathlib import Path

import pytest
from huggingface_hub import constants

from tasks.data.fetching.all_sources import ByHandNeeded, fetch_all
from tasks.data.fetching.http_file import FetchError, HttpFetcher, RetryPolicy, ignore_progress
from tasks.data.fetching.request import FetchRequest, SourceImages
from tasks.data.fetching.source import fetch_instructions, fetch_source
from tasks.data.fetching.urls import fetch_url
from tasks.errors import ConfigError, DataError

IMAGES = [f"LR/Train/{number}.tif" for number in range(3)]
RECORDS = [
    {"id": name, "image": name, "conversations": [{"from": "human", "value": "?"}, {"from": "gpt", "value": "yes"}]}
    for name in IMAGES
]


@pytest.fixture
def fetcher() -> HttpFetcher:
    return HttpFetcher(RetryPolicy(failures=2, unreachable=0, connect_s=2, stall_s=0.5), wait=lambda seconds: None)


def archive(*names: str) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as file:
        for name in names:
            file.writestr(f"Images_LR/{name}", name)
    return buffer.getvalue()


def laid(root: Path) -> list[str]:
    return sorted(path.name for path in (root / "imagenes" / "LR" / "Train").glob("*"))


def test_source_is_fetched_from_its_mirror_and_the_archive_removed(server, fetcher, tmp_path):
    server.add("/LR.zip", archive("0.tif", "1.tif", "2.tif"), acts=[("drop", 100), ("status", 503, {})])
    request = FetchRequest(root=tmp_path, mirrors={"LR": server.url("/LR.zip")})
    assert fetch_source("LR", request, IMAGES, lambda name: fetcher) == SourceImages(
        name="LR", images=3, expected=772, missing=0
    )
    assert laid(tmp_path) == ["0.tif", "1.tif", "2.tif"]
    assert [path.name for path in (tmp_path / "downloads").iterdir()] == ["LR.json"]


def test_complete_source_is_not_fetched_again(server, fetcher, tmp_path):
    served = server.add("/LR.zip", archive("0.tif", "1.tif"))
    request = FetchRequest(root=tmp_path, mirrors={"LR": server.url("/LR.zip")})
    assert fetch_source("LR", request, IMAGES, lambda name: fetcher).missing == 1
    asked = len(served.requests)
    assert fetch_source("LR", request, IMAGES, lambda name: fetcher).missing == 1
    assert len(served.requests) == asked


def test_images_placed_by_the_user_are_kept(fetcher, tmp_path):
    for name in IMAGES:
        (tmp_path / "imagenes" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "imagenes" / name).touch()
    assert fetch_source("LR", FetchRequest(root=tmp_path), IMAGES, lambda name: fetcher).missing == 0


def test_web_page_is_not_taken_for_an_archive(server, fetcher, tmp_path):
    server.add("/NWPU.zip", b"<html>sign in</html>")
    request = FetchRequest(root=tmp_path, archives={"NWPU": server.url("/NWPU.zip")})
    found = fetch_source("NWPU", request, [], lambda name: fetcher)
    assert found.by_hand is not None and "perhaps a web page" in found.by_hand
    assert not (tmp_path / "downloads").exists() or not list((tmp_path / "downloads").iterdir())


def test_source_without_urls_says_what_to_download_by_hand(tmp_path, fetcher):
    found = fetch_source("UCM", FetchRequest(root=tmp_path), [], lambda name: fetcher)
    assert found.by_hand is not None
    assert "https://" in found.by_hand and "--archive UCM=PATH" in found.by_hand
    assert "downloaded by hand" in str(ByHandNeeded([found]))


def test_wrong_archive_of_the_user_is_refused(tmp_path, fetcher):
    (tmp_path / "mine.zip").write_bytes(archive("readme.txt"))
    request = FetchRequest(root=tmp_path / "data", archives={"LR": str(tmp_path / "mine.zip")})
    with pytest.raises(DataError, match="holds no images of LR"):
        fetch_source("LR", request, IMAGES, lambda name: fetcher)
    assert (tmp_path / "mine.zip").exists()


def test_damaged_archive_is_reported_and_downloaded_again_next_time(server, fetcher, tmp_path):
    whole = archive("0.tif", "1.tif", "2.tif")
    served = server.add("/LR.zip", whole[:-30])
    request = FetchRequest(root=tmp_path, archives={"LR": server.url("/LR.zip")})
    assert "damaged or cut off" in str(fetch_source("LR", request, IMAGES, lambda name: fetcher).by_hand)
    served.content = whole
    assert fetch_source("LR", request, IMAGES, lambda name: fetcher).missing == 0


def test_missing_instruction_file_is_downloaded(server, fetcher, tmp_path):
    server.add("/raw.json", json.dumps(RECORDS).encode())
    request = FetchRequest(root=tmp_path / "data", mirrors={"instructions": server.url("/raw.json")})
    assert json.loads(fetch_instructions(request, lambda name: fetcher).read_text()) == RECORDS
    assert (
        fetch_instructions(FetchRequest(root=tmp_path / "data"), lambda name: fetcher).name == "instructions_raw.json"
    )


def test_web_page_is_not_taken_for_the_instruction_file(server, fetcher, tmp_path):
    server.add("/raw.json", b"<html>")
    request = FetchRequest(root=tmp_path, archives={"instructions": server.url("/raw.json")})
    with pytest.raises(DataError, match="not valid JSON"):
        fetch_instructions(request, lambda name: fetcher)
    assert not (tmp_path / "instructions_raw.json").exists()


def test_all_sources_are_fetched_in_parallel(server, tmp_path):
    server.add("/raw.json", json.dumps(RECORDS).encode())
    server.add("/LR.zip", archive("0.tif", "1.tif", "2.tif"))
    server.add("/RSICD.zip", archive("a.jpg", "b.jpg"))
    mirrors = {"instructions": "/raw.json", "LR": "/LR.zip", "RSICD": "/RSICD.zip"}
    request = FetchRequest(root=tmp_path, mirrors={name: server.url(path) for name, path in mirrors.items()})
    found = fetch_all(["LR", "RSICD"], request, lambda name: ignore_progress)
    assert [(source.name, source.images, source.missing) for source in found] == [("LR", 3, 0), ("RSICD", 2, 0)]


@pytest.mark.parametrize("address", ["ftp://host/a.zip", "hf://name"])
def test_unsupported_url_is_refused(fetcher, tmp_path, address):
    with pytest.raises(ConfigError):
        fetch_url(address, tmp_path, fetcher)


def test_file_url_is_used_in_place(fetcher, tmp_path):
    (tmp_path / "a b.zip").write_bytes(archive("0.tif"))
    local = fetch_url((tmp_path / "a b.zip").as_uri(), tmp_path / "downloads", fetcher)
    assert local.path == tmp_path / "a b.zip" and not local.fetched


def test_mega_without_its_program_says_what_to_install(fetcher, tmp_path):
    path = os.environ["PATH"]
    os.environ["PATH"] = str(tmp_path)
    try:
        with pytest.raises(FetchError, match="install megatools"):
            fetch_url("https://mega.nz/folder/x#y", tmp_path / "d", fetcher)
    finally:
        os.environ["PATH"] = path


def test_urls_with_equal_file_names_make_one_source(server, fetcher, tmp_path):
    for number in range(3):
        server.add(f"/{number}/part.zip", archive(f"{number}.tif"))
    addresses = tuple(server.url(f"/{number}/part.zip") for number in range(3))
    request = FetchRequest(root=tmp_path, mirrors={"LR": addresses})
    assert fetch_source("LR", request, IMAGES, lambda name: fetcher).missing == 0
    assert laid(tmp_path) == ["0.tif", "1.tif", "2.tif"]


def test_provenance_is_recorded_after_the_archive_is_removed(server, fetcher, tmp_path):
    whole = archive("0.tif", "1.tif", "2.tif")
    server.add("/LR.zip?key=secret", whole)
    request = FetchRequest(root=tmp_path, mirrors={"LR": server.url("/LR.zip?key=secret")})
    fetch_source("LR", request, IMAGES, lambda name: fetcher)
    note = json.loads((tmp_path / "downloads" / "LR.json").read_text())
    sha256 = hashlib.sha256(whole).hexdigest()
    assert note["from"] == [{"address": server.url("/LR.zip"), "sha256": sha256, "size_bytes": len(whole)}]


def test_checksum_in_a_url_is_verified(server, fetcher, tmp_path):
    whole = archive("0.tif", "1.tif", "2.tif")
    server.add("/LR.zip", whole)
    right = f"{server.url('/LR.zip')}#sha256={hashlib.sha256(whole).hexdigest()}"
    wrong = f"{server.url('/LR.zip')}#md5={hashlib.md5(b'other').hexdigest()}"
    result = fetch_source("LR", FetchRequest(root=tmp_path, archives={"LR": wrong}), IMAGES, lambda name: fetcher)
    assert "does not match its checksum" in str(result.by_hand)
    request = FetchRequest(root=tmp_path, archives={"LR": right})
    assert fetch_source("LR", request, IMAGES, lambda name: fetcher).missing == 0


def test_checksum_of_a_local_file_is_verified(fetcher, tmp_path):
    (tmp_path / "LR.zip").write_bytes(archive("0.tif"))
    with pytest.raises(DataError, match="does not match its checksum"):
        fetch_url(f"{tmp_path / 'LR.zip'}#sha256={'0' * 64}", tmp_path / "d", fetcher)


def test_new_archive_is_searched_for_missing_images(tmp_path, fetcher):
    for name, content in (("some", archive("0.tif")), ("rest", archive("1.tif", "2.tif"))):
        (tmp_path / f"{name}.zip").write_bytes(content)
        request = FetchRequest(root=tmp_path / "data", archives={"LR": str(tmp_path / f"{name}.zip")})
        found = fetch_source("LR", request, IMAGES, lambda name: fetcher)
    assert (found.images, found.missing) == (3, 0)


def test_web_page_from_a_mirror_leads_to_the_next_urls(server, fetcher, tmp_path, monkeypatch):
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    server.add("/raw.json", b"<html>")
    request = FetchRequest(root=tmp_path, mirrors={"instructions": server.url("/raw.json")})
    with pytest.raises(FetchError, match=r"not valid JSON.*hf://datasets/BigData-KSU"):
        fetch_instructions(request, lambda name: fetcher)


def test_missing_path_is_ignored_where_its_source_is_complete(tmp_path):
    for name in IMAGES:
        (tmp_path / "imagenes" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "imagenes" / name).touch()
    (tmp_path / "dataset.json").write_text(json.dumps(RECORDS))
    gone = str(tmp_path / "gone")
    request = FetchRequest(root=tmp_path, archives={"LR": gone, "instructions": gone})
    [found] = fetch_all(["LR"], request, lambda name: ignore_progress)
    assert (found.images, found.missing) == (len(IMAGES), 0)
