import pytest

from tasks.durations import duration


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0, "0 s"),
        (59.4, "59 s"),
        (60, "1 min"),
        (599, "9 min 59 s"),
        (659, "10 min"),
        (2303, "38 min"),
        (7500, "2 h 5 min"),
        (90000, "1 d 1 h"),
    ],
)
def test_a_duration_is_in_words(seconds: float, words: str) -> None:
    assert duration(seconds) == words
