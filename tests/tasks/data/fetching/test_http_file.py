import hashlib
import os
import signal
import subprocess
import sys
import threading

import pytest

from tasks.data.fetching.http_file import FetchError, HttpFetcher, Patience
from tasks.data.fetching.partial_file import opened_part, part_of, record_of, state_of
from tasks.data.fetching.source import at_once
from tasks.errors import DataError
from tasks.files import read_json

CONTENT = hashlib.shake_128(b"content").digest(1_000_000)
OTHER = hashlib.shake_128(b"other").digest(900_000)
QUICK = Patience(failures=4, unreachable=1, connect_s=2, stall_s=0.5)


@pytest.fixture
def waits() -> list[float]:
    return []


@pytest.fixture
def fetcher(waits) -> HttpFetcher:
    return HttpFetcher(QUICK, wait=waits.append)


def test_a_file_is_fetched_whole_and_recorded(server, fetcher, tmp_path):
    server.add("/a.zip", CONTENT)
    fetched = fetcher.fetch(server.url("/a.zip"), tmp_path / "a.zip")
    assert (tmp_path / "a.zip").read_bytes() == CONTENT
    assert read_json(record_of(tmp_path / "a.zip")) == {
        "url": server.url("/a.zip"),
        "sha256": hashlib.sha256(CONTENT).hexdigest(),
        "size_bytes": len(CONTENT),
    }
    assert fetched.new and {path.name for path in tmp_path.iterdir()} == {"a.zip", "a.zip.fetched.json"}


def test_a_fetched_file_is_not_asked_for_again(server, fetcher, tmp_path):
    served = server.add("/a.zip", CONTENT)
    fetcher.fetch(server.url("/a.zip"), tmp_path / "a.zip")
    asked = len(served.requests)
    assert not fetcher.fetch(server.url("/a.zip"), tmp_path / "a.zip").new
    assert len(served.requests) == asked


def test_a_file_of_the_user_is_not_overwritten(server, fetcher, tmp_path):
    server.add("/a.zip", CONTENT)
    (tmp_path / "a.zip").write_text("mine")
    with pytest.raises(DataError, match="was not fetched from"):
        fetcher.fetch(server.url("/a.zip"), tmp_path / "a.zip")
    assert (tmp_path / "a.zip").read_text() == "mine"


def test_dropped_connections_are_gone_on_with(server, fetcher, tmp_path):
    served = server.add("/a.zip", CONTENT, acts=[("drop", 300_000), ("drop", 0), ("drop", 300_000)])
    fetcher.fetch(server.url("/a.zip"), tmp_path / "a.zip")
    assert (tmp_path / "a.zip").read_bytes() == CONTENT
    assert served.sent_bytes <= len(CONTENT) * 1.05


def test_a_server_that_stalls_is_asked_again(server, fetcher, tmp_path):
    served = server.add("/a.zip", CONTENT, acts=[("stall", 200_000), ("stall", 100_000)])
    fetcher.fetch(server.url("/a.zip"), tmp_path / "a.zip")
    assert (tmp_path / "a.zip").read_bytes() == CONTENT
    assert served.sent_bytes <= len(CONTENT) * 1.05


def test_a_busy_server_is_given_the_time_it_asks_for(server, fetcher, waits, tmp_path):
    at_noon = {"Date": "Mon, 01 Jun 2026 12:00:00 GMT", "Retry-After": "Mon, 01 Jun 2026 12:00:30 GMT"}
    acts = [("status", 429, {"Retry-After": "7"}), ("status", 503, {}), ("status", 503, {"Retry-After": "99999"})]
    server.add("/a.zip", CONTENT, acts=[*acts, ("status", 429, at_noon)])
    fetcher.fetch(server.url("/a.zip"), tmp_path / "a.zip")
    assert waits == [7, 2, 600, 30]
    assert (tmp_path / "a.zip").read_bytes() == CONTENT


def test_pauses_grow_and_end(server, fetcher, waits, tmp_path):
    server.add("/a.zip", CONTENT, acts=[("status", 503, {})] * 20)
    with pytest.raises(FetchError, match="busy or failing"):
        fetcher.fetch(server.url("/a.zip"), tmp_path / "a.zip")
    assert waits == [1, 2, 4, 8]
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_changes_half_way_is_fetched_afresh(server, fetcher, tmp_path):
    server.add("/a.zip", CONTENT, acts=[("drop", 400_000), ("body", OTHER)])
    fetcher.fetch(server.url("/a.zip"), tmp_path / "a.zip")
    assert (tmp_path / "a.zip").read_bytes() == OTHER


def test_a_change_is_seen_though_the_server_ignores_if_range(server, fetcher, tmp_path):
    served = server.add("/a.zip", CONTENT, acts=[("drop", 400_000), ("body", OTHER)], last_modified="same")
    fetcher.fetch(server.url("/a.zip"), tmp_path / "a.zip")
    assert (tmp_path / "a.zip").read_bytes() == OTHER
    assert any("range" in request for request in served.requests)


@pytest.mark.parametrize("declared", [400_000, 2_000_000])
def test_a_lying_length_does_not_end_or_keep_the_file(server, fetcher, tmp_path, declared):
    server.add("/a.zip", CONTENT, acts=[("length", declared)])
    fetcher.fetch(server.url("/a.zip"), tmp_path / "a.zip")
    assert (tmp_path / "a.zip").read_bytes() == CONTENT


@pytest.mark.parametrize("validators", [{"etag": None}, {"etag": 'W/"weak"'}, {"ranges": False}])
def test_without_a_way_to_ask_for_the_rest_all_is_asked_again(server, fetcher, tmp_path, validators):
    server.add("/a.zip", CONTENT, acts=[("drop", 400_000)], **validators)
    fetcher.fetch(server.url("/a.zip"), tmp_path / "a.zip")
    assert (tmp_path / "a.zip").read_bytes() == CONTENT


def test_the_time_of_the_last_change_serves_where_there_is_no_etag(server, fetcher, tmp_path):
    changed = "Mon, 01 Jun 2026 12:00:00 GMT"
    served = server.add("/a.zip", CONTENT, etag=None, last_modified=changed, acts=[("drop", 400_000)])
    fetcher.fetch(server.url("/a.zip"), tmp_path / "a.zip")
    assert (tmp_path / "a.zip").read_bytes() == CONTENT
    assert served.sent_bytes <= len(CONTENT) * 1.05


def test_an_empty_file_is_a_file(server, fetcher, tmp_path):
    server.add("/a.zip", b"", etag=None)
    assert fetcher.fetch(server.url("/a.zip"), tmp_path / "a.zip").size_bytes == 0
    assert (tmp_path / "a.zip").read_bytes() == b""


def test_a_known_checksum_is_required(server, fetcher, tmp_path):
    server.add("/a.zip", CONTENT)
    with pytest.raises(FetchError, match="other content than expected"):
        fetcher.fetch(server.url("/a.zip"), tmp_path / "a.zip", f"md5:{hashlib.md5(OTHER).hexdigest()}")
    assert list(tmp_path.iterdir()) == []
    fetcher.fetch(server.url("/a.zip"), tmp_path / "a.zip", f"sha256:{hashlib.sha256(CONTENT).hexdigest()}")


def test_a_file_damaged_on_its_first_way_is_fetched_once_more(server, fetcher, tmp_path):
    served = server.add("/a.zip", OTHER)
    served.acts = [("fine",), ("fine",), ("body", CONTENT)]
    fetcher.fetch(server.url("/a.zip"), tmp_path / "a.zip", f"sha256:{hashlib.sha256(CONTENT).hexdigest()}")
    assert (tmp_path / "a.zip").read_bytes() == CONTENT


def test_what_is_refused_is_not_asked_again(server, fetcher, waits, tmp_path):
    with pytest.raises(FetchError, match=r"/none\.zip is refused with status 404"):
        fetcher.fetch(server.url("/none.zip?token=secret"), tmp_path / "a.zip")
    assert waits == [] and list(tmp_path.iterdir()) == []


def test_where_nobody_answers_it_ends_soon(server, fetcher, waits, tmp_path):
    url = server.url("/a.zip")
    server.close()
    with pytest.raises(FetchError, match="cannot be fetched"):
        fetcher.fetch(url, tmp_path / "a.zip")
    assert waits == [1]


def test_the_disk_is_looked_at_before_anything_is_fetched(server, fetcher, tmp_path):
    served = server.add("/a.zip", b"", acts=[("length", 10**18)])
    with pytest.raises(DataError, match="make room"):
        fetcher.fetch(server.url("/a.zip"), tmp_path / "a.zip")
    assert served.sent_bytes == 0


def test_one_file_is_fetched_by_one_process_at_a_time(server, fetcher, tmp_path):
    server.add("/a.zip", CONTENT)
    with opened_part(tmp_path / "a.zip"), pytest.raises(DataError, match="by another process"):
        fetcher.fetch(server.url("/a.zip"), tmp_path / "a.zip")


def test_a_link_that_is_signed_anew_goes_on_and_is_not_written_down(server, tmp_path):
    served = server.add("/a.zip?signature=1", CONTENT, acts=[("drop", 600_000), ("drop", 0)])
    server.files["/a.zip?signature=2"] = served
    with pytest.raises(FetchError, match="cannot be fetched"):
        HttpFetcher(Patience(failures=0), wait=lambda seconds: None).fetch(
            server.url("/a.zip?signature=1"), tmp_path / "a.zip"
        )
    assert "signature" not in state_of(tmp_path / "a.zip").read_text()
    HttpFetcher(QUICK).fetch(server.url("/a.zip?signature=2"), tmp_path / "a.zip")
    assert (tmp_path / "a.zip").read_bytes() == CONTENT
    assert served.sent_bytes <= len(CONTENT) * 1.05


def test_progress_is_told(server, tmp_path):
    server.add("/a.zip", CONTENT)
    told: list[tuple[int, int | None]] = []
    HttpFetcher(QUICK, on_progress=lambda *numbers: told.append(numbers)).fetch(
        server.url("/a.zip"), tmp_path / "a.zip"
    )
    assert told[-1] == (len(CONTENT), len(CONTENT)) and told == sorted(told)


def test_several_files_come_at_once_and_one_failure_spares_the_others(server, fetcher, tmp_path):
    for number in range(5):
        server.add(f"/{number}", CONTENT, acts=[("drop", 100_000)])

    with pytest.raises(FetchError, match="404"):
        at_once(lambda n: fetcher.fetch(server.url(f"/{n}"), tmp_path / str(n)), ["0", "1", "x", "3", "4"], 3)
    assert all((tmp_path / str(number)).read_bytes() == CONTENT for number in (0, 1, 3, 4))


def test_a_killed_process_leaves_what_another_goes_on_with(server, fetcher, tmp_path):
    served = server.add("/a.zip", CONTENT, acts=[("stall", 600_000)])
    told = threading.Event()
    code = (
        "import sys; from pathlib import Path; from tasks.data.fetching.http_file import HttpFetcher\n"
        "HttpFetcher(on_progress=lambda done, total: print(done, flush=True)).fetch(sys.argv[1], Path(sys.argv[2]))"
    )
    command = [sys.executable, "-c", code, server.url("/a.zip"), str(tmp_path / "a.zip")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        for line in process.stdout:
            if int(line) >= 600_000:
                told.set()
                break
        os.kill(process.pid, signal.SIGKILL)
    assert told.is_set() and part_of(tmp_path / "a.zip").exists() and state_of(tmp_path / "a.zip").exists()
    assert not (tmp_path / "a.zip").exists()
    fetcher.fetch(server.url("/a.zip"), tmp_path / "a.zip")
    assert (tmp_path / "a.zip").read_bytes() == CONTENT
    assert served.sent_bytes <= len(CONTENT) * 1.05
