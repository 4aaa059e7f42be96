"""Images and questions before and after the training."""

from typing import Any

from tasks.evaluation.report.image_changes import image_changes


def answered(record: int, turn: int, right: bool) -> dict[str, Any]:
    """A question's row, of one image per record."""
    return {
        "record": record, "turn": turn, "task": "vqa", "source": "LR", "image": f"LR/{record}.tif", "right": right,
    }  # fmt: skip


def captioned(record: int, score: float | None) -> dict[str, Any]:
    """A caption's row."""
    return {
        "record": record, "turn": 0, "task": "captioning", "source": "UCM", "image": f"UCM/{record}.tif", "right": None,
        "CIDEr": score,
    }  # fmt: skip


def test_questions_are_counted_by_answer_and_by_image() -> None:
    base: Any = [answered(0, 0, False), answered(0, 1, True), answered(1, 0, True), answered(2, 0, False)]
    tuned: Any = [answered(0, 0, True), answered(0, 1, False), answered(1, 0, False), answered(2, 0, True)]
    [found] = image_changes(base, tuned, lambda source: f"<{source}>")
    assert (found.source, found.metric) == ("<LR>", "accuracy")
    assert found.answers == {"better": 2, "worse": 2}
    # a question gained and one lost leave the first image as it was
    assert found.images == {"same": 1, "worse": 1, "better": 1}
    assert found.picture.count("<circle") == 3


def test_captions_are_better_or_worse_by_their_score_and_come_first() -> None:
    base: Any = [answered(9, 0, True), captioned(0, 1.0), captioned(1, 3.0), captioned(2, None), captioned(3, 2.5)]
    tuned: Any = [answered(9, 0, True), captioned(0, 1.5), captioned(1, 2.0), captioned(2, 1.0), captioned(3, 2.5)]
    captions, questions = image_changes(base, tuned)
    assert (captions.source, questions.source) == ("UCM", "LR")
    assert captions.images == {"better": 1, "worse": 1, "same": 1}
    # the axes end at the next round number
    assert ">4</text>" in captions.picture


def test_answers_of_one_model_only_do_not_count() -> None:
    tuned: Any = [answered(0, 0, True)]
    assert image_changes([], tuned) == []
