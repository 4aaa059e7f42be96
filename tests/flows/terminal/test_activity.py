"""What a run is doing, by its log."""

from pathlib import Path

from flows.terminal.activity import LogEnds, activity_in

STEP = "step 12/40: loss 0.9400, learning rate 1.00e-03, 75 s left"


def test_the_newest_progress_counts() -> None:
    assert activity_in([]) == activity_in(["loading", ""]) == "preparing"
    training = "training, step 12 of 40, loss 0.9400, 1 min 15 s left"
    assert activity_in([STEP, "checkpoint complete: checkpoint-12"]) == training
    assert activity_in([STEP, "40 of 120 questions answered, 3.0 per second"]) == "40 of 120 questions answered"


def test_a_run_without_a_log_is_starting(tmp_path: Path) -> None:
    logs, log = LogEnds(), tmp_path / "log.txt"
    assert logs.activity_of(log) == "starting"
    log.write_text(STEP + "\n")
    assert logs.activity_of(log).startswith("training")


def test_what_was_logged_before_does_not_count(tmp_path: Path) -> None:
    log = tmp_path / "log.txt"
    log.write_text(STEP + "\n")
    logs = LogEnds(lambda: log.stat().st_mtime + 2)
    assert logs.activity_of(log) == "starting"
    with log.open("a") as file:
        file.write("loading\n")
    assert logs.activity_of(log) == "preparing"
