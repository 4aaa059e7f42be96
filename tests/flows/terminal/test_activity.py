"""What a run is doing, by its log."""

import io
from pathlib import Path

from flows.terminal.activity import activity_in, activity_of, status_line

STEP = "step 12/40: loss 0.9400, learning rate 1.00e-03, 75 s left"


def test_the_newest_progress_counts() -> None:
    assert activity_in([]) == activity_in(["loading", ""]) == "preparing"
    assert (
        activity_in([STEP, "checkpoint complete: checkpoint-12"])
        == "training, step 12 of 40, loss 0.9400, 0:01:15 left"
    )
    assert activity_in([STEP, "40 of 120 questions answered, 3.0 per second"]) == "40 of 120 questions answered"


def test_what_an_earlier_process_logged_does_not_count(tmp_path: Path) -> None:
    log = tmp_path / "log.txt"
    assert activity_of(log) == "starting"
    log.write_text(STEP + "\n")
    assert activity_of(log, since=log.stat().st_size) == "starting"
    assert activity_of(log).startswith("training")


def test_where_a_line_cannot_be_overwritten_none_is_printed_for_a_short_run(tmp_path: Path) -> None:
    stream = io.StringIO()
    with status_line("demo", tmp_path / "log.txt", stream):
        (tmp_path / "log.txt").write_text(STEP + "\n")
    assert stream.getvalue() == ""
