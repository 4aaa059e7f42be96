"""A run in the user's own program does not flood its output."""

import sys
from pathlib import Path
from threading import Event, Thread

from flows.quiet import quiet_prefect


def test_runs_of_two_threads_give_the_output_back(tmp_path: Path) -> None:
    before, first_is_in, second_is_in, first_may_end = sys.stdout, Event(), Event(), Event()

    def run_first() -> None:
        with quiet_prefect(tmp_path / "first.txt"):
            first_is_in.set()
            first_may_end.wait()

    def run_second() -> None:
        first_is_in.wait()
        with quiet_prefect(tmp_path / "second.txt"):
            second_is_in.set()
            print("second")

    threads = [Thread(target=run_first), Thread(target=run_second)]
    for thread in threads:
        thread.start()
    first_is_in.wait()
    assert not second_is_in.wait(0.2)
    first_may_end.set()
    for thread in threads:
        thread.join()
    assert sys.stdout is before and (tmp_path / "second.txt").read_text() == "second\n"
