"""The lines of the steps: what is done, at work and to come, with bars and the time left."""

from io import StringIO

from support.clock import Clock

from flows.terminal.steps import DRAWN, PLAIN, StepList, bar, signs_of
from flows.terminal.views import PlainLines
from tasks.progress import Progress

NAMES = ("checks", "training", "scores")


def training_of(clock: Clock, longest: str | None = None) -> StepList:
    """Steps in the middle of the training."""
    steps = StepList(NAMES, longest, clock=clock)
    steps.begin("checks")
    clock.now += 3
    steps.end("checks")
    steps.begin("training")
    return steps


def test_each_step_has_a_line(clock: Clock) -> None:
    steps = training_of(clock, longest="scores")
    steps.show(Progress(120, 216, "loss 0.94", 840))
    assert [line.text for line in steps.lines()] == [
        "✓ [1/3] checks    3 s",
        "  [2/3] training 120/216 ▇▇▇▇▇▁▁▁▁▁ loss 0.94, 14 min left",
        "  [3/3] scores    takes longest",
    ]
    assert [line.state for line in steps.lines()] == ["done", "working", "to come"]


def test_a_step_of_unknown_length_shows_its_time_so_far(clock: Clock) -> None:
    steps = training_of(clock)
    clock.now += 75
    assert [line.text for line in steps.lines()][1] == "  [2/3] training 1 min 15 s"


def test_the_time_left_runs_down_between_two_reports(clock: Clock) -> None:
    steps = training_of(clock)
    steps.show(Progress(1, 10, "loss 0.94", 50))
    clock.now += 20
    assert [line.text for line in steps.lines()][1] == "  [2/3] training 1/10 ▇▁▁▁▁▁▁▁▁▁ loss 0.94, 30 s left"
    clock.now += 31
    assert [line.text for line in steps.lines()][1] == "  [2/3] training 1/10 ▇▁▁▁▁▁▁▁▁▁ loss 0.94"


def test_parts_add_up(clock: Clock) -> None:
    steps = training_of(clock)
    for done in (1, 5):
        steps.show(Progress(done, 10, left_s=50, part="first"))
    steps.show(Progress(2, 10, left_s=80, part="second"))
    assert [line.text for line in steps.lines()][1] == "  [2/3] training 7/20 ▇▇▇▁▁▁▁▁▁▁ 1 min 20 s left"


def test_a_step_that_begins_again_forgets_its_progress(clock: Clock) -> None:
    steps = training_of(clock)
    steps.show(Progress(9, 10))
    steps.begin("training")
    assert [line.text for line in steps.lines()][1] == "  [2/3] training"


def test_a_bar_has_a_fixed_width() -> None:
    assert [bar(share) for share in (-1, 0, 0.55, 1, 2)] == ["▁" * 10, "▁" * 10, "▇" * 5 + "▁" * 5, "▇" * 10, "▇" * 10]


def test_signs_that_an_encoding_lacks_are_replaced() -> None:
    assert [signs_of(encoding) for encoding in ("utf-8", "latin-1", None)] == [DRAWN, PLAIN, PLAIN]


def test_plain_lines_are_few(clock: Clock) -> None:
    file = StringIO()
    lines = PlainLines(StepList(NAMES, clock=clock), file)
    lines.begin("training")
    for step in range(1, 101):
        clock.now += 1
        lines.show(Progress(step, 100, "loss 1.00", 100 - step))
    lines.end("training")
    first, *tenths, last = file.getvalue().splitlines()
    assert (first, last) == ("[2/3] training", "[2/3] training: done after 1 min 40 s")
    assert len(tenths) == 10 and tenths[2] == "[2/3] training 30/100 ▇▇▇▁▁▁▁▁▁▁ loss 1.00, 1 min 10 s left"


def test_plain_lines_go_on_with_a_second_loop_of_a_step(clock: Clock) -> None:
    file = StringIO()
    lines = PlainLines(StepList(NAMES, clock=clock), file)
    lines.begin("training")
    for step in (99, 100, 2, 3, 50):
        lines.show(Progress(step, 100))
    assert [line.split()[2] for line in file.getvalue().splitlines()[1:]] == ["99/100", "100/100", "2/100", "50/100"]
