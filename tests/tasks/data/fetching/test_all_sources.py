import io
import sys

from tasks.data.fetching.all_sources import progress_bars


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_each_whole_percent_is_reported_once_and_an_unknown_length_never():
    reported: list[tuple[str, float]] = []
    with progress_bars(lambda name, share: reported.append((name, share))) as progress_of:
        known, unknown = progress_of("LR"), progress_of("DOTA 1")
        for done in (1, 10, 11, 1000):
            known(done, 1000)
            unknown(done, None)
    assert reported == [("LR", 0), ("LR", 0.01), ("LR", 1)]


def test_terminal_shows_one_bar_per_file(monkeypatch):
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    monkeypatch.setenv("TERM", "xterm")
    with progress_bars(lambda name, share: None) as progress_of:
        progress_of("LR")(500_000, 1_000_000)
        progress_of("NWPU")(1, None)
    assert "LR" in terminal.getvalue() and "NWPU" in terminal.getvalue() and "0.5/1.0 MB" in terminal.getvalue()
