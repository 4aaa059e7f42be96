"""A watcher gets the outermost steps and the progress inside them; without one, nothing is kept."""

import pytest

from tasks.progress import DATA, TRAINING, Progress, at_step, note, report, watched_by

HALF = Progress(1, 2, "loss 0.5", 60)


class Recorder:
    """A watcher that records what it gets."""

    def __init__(self) -> None:
        self.got: list[object] = []

    def begin(self, step: str) -> None:
        self.got.append(f"{step} begins")

    def show(self, progress: Progress) -> None:
        self.got.append(progress)

    def end(self, step: str) -> None:
        self.got.append(f"{step} ends")

    def note(self, text: str) -> None:
        self.got.append(text)


def test_a_step_inside_another_is_part_of_it() -> None:
    recorder = Recorder()
    with watched_by(recorder), at_step(TRAINING):
        with at_step(DATA):
            report(HALF)
        note("a warning")
    assert recorder.got == ["training begins", HALF, "a warning", "training ends"]


def test_a_step_that_fails_does_not_end() -> None:
    recorder = Recorder()
    with watched_by(recorder):
        with pytest.raises(ValueError, match="broken"), at_step(DATA):
            raise ValueError("broken")
        with at_step(TRAINING):
            pass
    assert recorder.got == ["data begins", "training begins", "training ends"]


def test_progress_outside_a_step_is_not_shown() -> None:
    recorder = Recorder()
    with watched_by(recorder):
        report(HALF)
    assert recorder.got == []


def test_without_a_watcher_notes_go_to_stderr(capsys: pytest.CaptureFixture[str]) -> None:
    with at_step(DATA):
        report(HALF)
        note("a warning")
    assert capsys.readouterr() == ("", "a warning\n")
