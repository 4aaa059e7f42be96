import hashlib
import os
import signal
import subprocess
import sys
import threading

import pytest

from tasks.data.fetching.http_file import FetchError, HttpFetcher, RetryPolicy
from tasks.data.fetching.partial_file import open_part, part_path, record_path, state_path
from tasks.data.fetching.source import map_in_threads
from tasks.errors import DataError
from tasks.files import read_json

CONTENT = hashlib.shake_128(b"content").digest(1_000_000)
OTHER = hashlib.shake_128(b"other").digest(900_000)
QUICK = RetryPolicy(failures=4, unreachable=1, connect_s=2, stall_s=0.5)


@pytest.fixture
def waits() -> list[float]:
    return []


@pytest.fixture
def fetcher(waits) -> HttpFetcher:
    return HttpFetcher(QUICK, wait=waits.append)


def test_downloaded_file_is_complete_and_recorded_in_a_new_folder(server, fetcher, tmp_path):
    folder = tmp_path / "new"
    server.add("/a.zip", CONTENT)
    fetched = fetcher.fetch(server.url("/a.zip"), folder / "a.zip")
    assert (folder / "a.zip").read_bytes() == CONTENT
    assert read_json(record_path(folder / "a.zip")) == {
        "url": server.url("/a.zip"),
        "sha256": hashlib.sha256(CONTENT).hexdigest(),
        "size_bytes": len(CONTENT),
    }
    assert fetched.new and {path.name for path in folder.iterdir()} == {"a.zip", "a.zip.fetched.json"}


def test_recorded_file_is_not_requested_again(server, fetcher, tmp_path):
    served = server.add("/a.zip", CONTENT)
    fetcher.fetch(server.url("/a.zip"), tmp_path / "a.zip")
    asked = len(served.requests)
    assert not fetcher.fetch(server.url("/a.zip"), tmp_path / "a.zip").new
    assert len(served.requests) == asked


def test_user_file_is_not_overwritten(server, fetcher, tmp_path):
    server.add("/a.zip", CONTENT)
    (tmp_path / "a.zip").write_text("mine")
    with pytest.raises(DataError, match="was not fetched from"):
        fetcher.fetch(server.url("/a.zip"), tmp_path / "a.zip")
    assert (tmp_path / "a.zip").read_text() == "mine"


def test_download_resumes_after_dropped_connections(server, fetcher, tmp_path):
    served = server.add("/a.zip", CONTENT, acts=[("drop", 300_000), ("drop", 0), ("drop", 300_000)])
    fetcher.fetch(server.url("/a.zip"), tmp_path / "a.zip")
    assert (tmp_path / "a.zip").read_bytes() == CONTENT
    assert served.sent_bytes <= len(CONTENT) * 1.05


def test_stalled_server_is_requested_again(server, fetcher, tmp_path):
    served = server.add("/a.zip", CONTENT, acts=[("stall", 200_000), ("stall", 100_000)])
    fetcher.fetch(server.url("/a.zip"), tmp_path / "a.zip")
    assert (tmp_path / "a.zip").read_bytes() == CONTENT
    assert served.sent_bytes <= len(CONTENT) * 1.05


def test_retry_waits_as_long_as_the_server_asks(server, fetcher, waits, tmp_path):
    at_noon = {"Date": "Mon, 01 Jun 2026 12:00:00 GMT", "Retry-After": "Mon, 01 Jun 2026 12:00:30 GMT"}
    acts = [("status", 429, {"Retry-After": "7"}), ("status", 503, {}), ("status", 503, {"Retry-After": "99999"})]
    server.add("/a.zip", CONTENT, acts=[*acts, ("status", 429, at_noon)])
    fetcher.fetch(server.url("/a.zip"), tmp_path / "a.zip")
    assert waits == [7, 2, 600, 30]
    assert (tmp_path / "a.zip").read_bytes() == CONTENT


def test_pauses_grow_up_to_the_last_retry(server, fetcher, waits, tmp_path):
    server.add("/a.zip", CONTENT, acts=[("status", 503, {})] * 20)
    with pytest.raises(FetchError, match="busy or failing"):
        fetcher.fetch(server.url("/a.zip"), tmp_path / "a.zip")
    assert waits == [1, 2, 4, 8]
    assert list(tmp_path.iterdir()) == []


def test_changed_file_is_downloaded_from_the_start(server, fetcher, tmp_path):
    server.add("/a.zip", CONTENT, acts=[("drop", 400_000), ("body", OTHER)])
    fetcher.fetch(server.url("/a.zip"), tmp_path / "a.zip")
    assert (tmp_path / "a.zip").read_bytes() == OTHER


def test_change_is_detected_though_the_server_ignores_if_range(server, fetcher, tmp_path):
    served = server.add("/a.zip", CONTENT, acts=[("drop", 400_000), ("body", OTHER)], last_modified="same")
    fetcher.fetch(server.url("/a.zip"), tmp_path / "a.zip")
    assert (tmp_path / "a.zip").read_bytes() == OTHER
    assert any("range" in request for request in served.requests)


@pytest.mark.parametrize("declared", [400_000, 2_000_000])
def test_wrong_length_neither_ends_nor_corrupts_the_download(server, fetcher, tmp_path, declared):
    server.add("/a.zip", CONTENT, acts=[("length", declared)])
    fetcher.fetch(server.url("/a.zip"), tmp_path / "a.zip")
    assert (tmp_path / "a.zip").read_bytes() == CONTENT


@pytest.mark.parametrize("validators", [{"etag": None}, {"etag": 'W/"weak"'}, {"ranges": False}])
def test_download_without_validator_starts_over(server, fetcher, tmp_path, validators):
    server.add("/a.zip", CONTENT, acts=[("drop", 400_000)], **validators)
    fetcher.fetch(server.url("/a.zip"), tmp_path / "a.zip")
    assert (tmp_path / "a.zip").read_bytes() == CONTENT


def test_last_modified_replaces_a_missing_etag(server, fetcher, tmp_path):
    changed = "Mon, 01 Jun 2026 12:00:00 GMT"
    served = server.add("/a.zip", CONTENT, etag=None, last_modified=changed, acts=[("drop", 400_000)])
    fetcher.fetch(server.url("/a.zip"), tmp_path / "a.zip")
    assert (tmp_path / "a.zip").read_bytes() == CONTENT
    assert served.sent_bytes <= len(CONTENT) * 1.05


def test_empty_file_is_downloaded(server, fetcher, tmp_path):
    server.add("/a.zip", b"", etag=None)
    assert fetcher.fetch(server.url("/a.zip"), tmp_path / "a.zip").size_bytes == 0
    assert (tmp_path / "a.zip").read_bytes() == b""


def test_file_with_a_wrong_checksum_is_refused(server, fetcher, tmp_path):
    server.add("/a.zip", CONTENT)
    with pytest.raises(FetchError, match="does not match its checksum"):
        fetcher.fetch(server.url("/a.zip"), tmp_path / "a.zip", f"md5:{hashlib.md5(OTHER).hexdigest()}")
    assert list(tmp_path.iterdir()) == []
    fetcher.fetch(server.url("/a.zip"), tmp_path / "a.zip", f"sha256:{hashlib.sha256(CONTENT).hexdigest()}")


def test_damaged_download_is_repeated_once(server, fetcher, tmp_path):
    served = server.add("/a.zip", OTHER)
    served.acts = [("fine",), ("fine",), ("body", CONTENT)]
    fetcher.fetch(server.url("/a.zip"), tmp_path / "a.zip", f"sha256:{hashlib.sha256(CONTENT).hexdigest()}")
    assert (tmp_path / "a.zip").read_bytes() == CONTENT


def test_refused_request_is_not_repeated(server, fetcher, waits, tmp_path):
    with pytest.raises(FetchError, match=r"/none\.zip is refused with status 404"):
        fetcher.fetch(server.url("/none.zip?token=secret"), tmp_path / "a.zip")
    assert waits == [] and list(tmp_path.iterdir()) == []


def test_unreachable_server_gets_few_retries(server, fetcher, waits, tmp_path):
    url = server.url("/a.zip")
    server.close()
    with pytest.raises(FetchError, match="cannot be fetched"):
        fetcher.fetch(url, tmp_path / "a.zip")
    assert waits == [1]


def test_free_space_is_checked_before_the_download(server, fetcher, tmp_path):
    served = server.add("/a.zip", b"", acts=[("length", 10**18)])
    with pytest.raises(DataError, match="make room"):
        fetcher.fetch(server.url("/a.zip"), tmp_path / "a.zip")
    assert served.sent_bytes == 0


def test_file_is_downloaded_by_one_process_at_a_time(server, fetcher, tmp_path):
    server.add("/a.zip", CONTENT)
    with open_part(tmp_path / "a.zip"), pytest.raises(DataError, match="by another process"):
        fetcher.fetch(server.url("/a.zip"), tmp_path / "a.zip")


def test_newly_signed_link_resumes_and_is_not_recorded(server, tmp_path):
    served = server.add("/a.zip?signature=1", CONTENT, acts=[("drop", 600_000), ("drop", 0)])
    server.files["/a.zip?signature=2"] = served
    with pytest.raises(FetchError, match="cannot be fetched"):
        HttpFetcher(RetryPolicy(failures=0), wait=lambda seconds: None).fetch(
            server.url("/a.zip?signature=1"), tmp_path / "a.zip"
        )
    assert "signature" not in state_path(tmp_path / "a.zip").read_text()
    HttpFetcher(QUICK).fetch(server.url("/a.zip?signature=2"), tmp_path / "a.zip")
    assert (tmp_path / "a.zip").read_bytes() == CONTENT
    assert served.sent_bytes <= len(CONTENT) * 1.05


def test_progress_is_reported(server, tmp_path):
    server.add("/a.zip", CONTENT)
    reported: list[tuple[int, int | None]] = []
    HttpFetcher(QUICK, on_progress=lambda *numbers: reported.append(numbers)).fetch(
        server.url("/a.zip"), tmp_path / "a.zip"
    )
    assert reported[-1] == (len(CONTENT), len(CONTENT)) and reported == sorted(reported)


def test_failed_download_does_not_stop_parallel_ones(server, fetcher, tmp_path):
    for number in range(5):
        server.add(f"/{number}", CONTENT, acts=[("drop", 100_000)])

    with pytest.raises(FetchError, match="404"):
        map_in_threads(lambda n: fetcher.fetch(server.url(f"/{n}"), tmp_path / str(n)), ["0", "1", "x", "3", "4"], 3)
    assert all((tmp_path / str(number)).read_bytes() == CONTENT for number in (0, 1, 3, 4))


def test_download_resumes_after_its_process_was_killed(server, fetcher, tmp_path):
    served = server.add("/a.zip", CONTENT, acts=[("stall", 600_000)])
    reported = threading.Event()
    code = (
        "import sys; from pathlib import Path; from tasks.data.fetching.http_file import HttpFetcher\n"
        "HttpFetcher(on_progress=lambda done, total: print(done, flush=True)).fetch(sys.argv[1], Path(sys.argv[2]))"
    )
    command = [sys.executable, "-c", code, server.url("/a.zip"), str(tmp_path / "a.zip")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        for line in process.stdout:
            if int(line) >= 600_000:
                reported.set()
                break
        os.kill(process.pid, signal.SIGKILL)
    assert reported.is_set() and part_path(tmp_path / "a.zip").exists() and state_path(tmp_path / "a.zip").exists()
    assert not (tmp_path / "a.zip").exists()
    fetcher.fetch(server.url("/a.zip"), tmp_path / "a.zip")
    assert (tmp_path / "a.zip").read_bytes() == CONTENT
    assert served.sent_bytes <= len(CONTENT) * 1.05
