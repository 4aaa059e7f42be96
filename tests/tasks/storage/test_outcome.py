"""How the last work on a run ended stays in its folder."""

from pathlib import Path

import pytest

from tasks.errors import ConfigError, RunStopped
from tasks.paths import RunFolder
from tasks.storage.outcome import Outcome, read_outcome, recording_outcome
from tasks.storage.owner import Owner, owned


@pytest.mark.parametrize(
    ("error", "outcome"),
    [
        (None, Outcome(state="complete")),
        (ConfigError("X lacks Y: do Z."), Outcome(state="failed", message="X lacks Y: do Z.")),
        (ValueError("odd"), Outcome(state="failed", message="ValueError: odd")),
        (KeyboardInterrupt(), Outcome(state="interrupted")),
        (RunStopped("stopped"), Outcome(state="interrupted")),
    ],
)
def test_an_outcome_is_recorded(error: BaseException | None, outcome: Outcome, tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)

    def work() -> None:
        with recording_outcome(folder):
            if error is not None:
                raise error

    if error is None:
        work()
    else:
        with pytest.raises(type(error)):
            work()
    assert read_outcome(folder) == outcome


def test_any_error_after_ctrl_c_is_an_interruption(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tasks.storage.outcome.stop_requested", lambda: True)
    with pytest.raises(ConnectionError), recording_outcome(RunFolder(tmp_path)):
        raise ConnectionError
    assert read_outcome(RunFolder(tmp_path)) == Outcome(state="interrupted")


def test_without_work_there_is_no_outcome(tmp_path: Path) -> None:
    assert read_outcome(RunFolder(tmp_path)) is None


def test_an_unwritable_folder_does_not_hide_how_the_work_ended(tmp_path: Path) -> None:
    (tmp_path / "logs").write_text("a file")
    with pytest.raises(ConfigError, match="this"), recording_outcome(RunFolder(tmp_path)):
        raise ConfigError("this")


def test_the_owner_of_a_run_records_its_outcome_and_a_second_machine_does_not(tmp_path: Path) -> None:
    me = Owner(user="ana", host="lab", pid=1, since="today")
    for machine in (1, 0):
        folder = RunFolder(tmp_path / str(machine))
        with owned(folder, me, print, machine), owned(folder, me, print, machine):
            assert read_outcome(folder) is None
        assert (read_outcome(folder) is not None) == (machine == 0)
