"""Loss curves of runs from their checkpoints, of a running one from its log."""

from math import inf, nan
from pathlib import Path

from tasks.files import write_json, write_text
from tasks.paths import RunFolder
from tasks.runs.charts import axis_ends, draw_lines, draw_spark, thinned
from tasks.runs.curves import read_curves, read_progress
from tasks.worker_lines import step_line, validation_line

LOGS = {"loss": 1.5, "learning_rate": 1e-4, "seconds_left": 60.0}


def lines(*steps: int) -> str:
    return "".join(f"{step_line(step, 9, LOGS | {'loss': 3.0 / step})}\n" for step in steps)


def test_the_newest_checkpoint_has_the_curve(tmp_path: Path) -> None:
    for step in (9, 10):
        history = [{"step": 1, "loss": 2.0}, {"step": step, "loss": 1.0}, {"step": step, "eval_loss": 1.1}]
        write_json(tmp_path / "training" / f"checkpoint-{step}" / "trainer_state.json", {"log_history": history})
    curves = read_curves(RunFolder(tmp_path))
    assert curves.trained == [(1, 2.0), (10, 1.0)] and curves.validated == [(10, 1.1)]


def test_a_damaged_state_is_passed_over(tmp_path: Path) -> None:
    write_json(tmp_path / "training" / "final" / "trainer_state.json", {"log_history": [{"loss": "x"}]})
    write_json(
        tmp_path / "checkpoints" / "checkpoint-3" / "trainer_state.json", {"log_history": [{"step": 3, "loss": 1}]}
    )
    assert read_curves(RunFolder(tmp_path)).trained == [(3, 1.0)]


def test_without_a_checkpoint_the_log_has_the_last_training_and_its_progress(tmp_path: Path) -> None:
    log = f"{lines(1, 2, 3)}{validation_line(3, 9.0)}\nother\n{lines(1, 2)}"
    write_text(RunFolder(tmp_path).log, log)
    assert read_curves(RunFolder(tmp_path)).trained == [(1, 3.0), (2, 1.5)]
    progress = read_progress(RunFolder(tmp_path))
    assert progress and (progress.step, progress.steps, progress.left_s) == (2, 9, 60)


def test_a_loss_without_a_finite_value_is_not_drawn(tmp_path: Path) -> None:
    log = "".join(f"{step_line(step, 9, LOGS | {'loss': loss})}\n" for step, loss in ((1, 2.0), (2, inf), (3, nan)))
    write_text(RunFolder(tmp_path).log, log)
    assert read_curves(RunFolder(tmp_path)).trained == [(1, 2.0)]


def test_a_run_that_has_done_nothing_has_neither(tmp_path: Path) -> None:
    assert read_curves(RunFolder(tmp_path)) == ([], []) and read_progress(RunFolder(tmp_path)) is None


def test_a_chart_has_a_line_per_run_and_its_last_values_in_words() -> None:
    drawn = draw_lines("Loss", {"<a>": [(1, 2.0), (2, 1.0)], "b": [(4, 0.5)], "c": []})
    assert 'aria-label="Loss; last values: &lt;a&gt; 1.000; b 0.500"' in drawn
    assert drawn.count("<polyline") == 3 and drawn.count("<circle") == 1
    assert "loss from 2.00 to 1.00 in 2 steps" in draw_spark([(1, 2.0), (2, 1.0)])


def test_axes_have_round_marks() -> None:
    assert axis_ends([[(10, 3.33)], [(216, 0.81)]]) == (240, 4.0)
    assert axis_ends([[(10, 0.0)]]) == (12, 1.0) and axis_ends([]) == (4, 1.0)
    assert ">0.03<" in draw_lines("Loss", {"a": [(3, 0.1)]})


def test_charts_with_the_same_ends_have_the_same_axes() -> None:
    long, short = [(100, 4.0)], [(10, 1.0)]
    ends = axis_ends([long, short])
    drawn = draw_lines("Loss", {"short": short}, ends)
    assert ">4.00<" in drawn and ">100<" in drawn


def test_a_long_curve_is_thinned_and_keeps_its_ends() -> None:
    kept = thinned([(step, 1.0) for step in range(10_000)], 400)
    assert len(kept) <= 401 and kept[0][0] == 0 and kept[-1][0] == 9_999
