from tasks.inference.progress import Progress


def said(*calls):
    """The lines said for calls of (time, answered, asked)."""
    times = iter([calls[0][0], *(call[0] for call in calls)])
    lines = []
    progress = Progress(lines.append, lambda: next(times), every_s=5)
    for _, answered, asked in calls:
        progress(answered, asked)
    return lines


def test_the_rate_leaves_out_what_was_answered_before():
    lines = said((0, 50, 100), (10, 70, 100))
    assert lines[-1] == "70 of 100 questions answered, 2.0 per second, 15 s left"


def test_a_line_is_said_every_few_seconds_and_at_the_end():
    lines = said((0, 0, 9), (1, 1, 9), (2, 2, 9), (6, 6, 9), (7, 7, 9), (8, 9, 9))
    assert [line.split()[0] for line in lines] == ["0", "6", "9"]


def test_nothing_answered_yet_gives_no_time_left():
    assert said((0, 0, 9), (6, 0, 9))[-1] == "0 of 9 questions answered, 0.0 per second"
