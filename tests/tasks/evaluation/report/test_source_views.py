"""The bars of a source: which are drawn, and their labels."""

from typing import Any

from tasks.evaluation.report.source_views import source_views


def bars_of(controls: dict[str, Any], by_class: Any = None) -> tuple[str, tuple[str, ...]]:
    """The bars of a source of captions and those of its classes."""
    scores = {"images": 10, "CIDEr": 0.75, "ci95": {"CIDEr": [0.5, 0.9]}, "controls": controls}
    models: Any = {"captioning": {"RSICD": scores | ({"by_class": by_class} if by_class else {})}, "vqa": {}}
    [view] = source_views(models)
    return view.bars, view.class_bars


HUMAN = {"leave_one_out": 0.604, "leave_one_out_model": 0.703}


def test_human_references_are_labelled_with_their_images_next_to_the_model_on_them() -> None:
    bars, _ = bars_of({**HUMAN, "leave_one_out_images": 7, "copied_references_images": 4})
    assert "human references (distinct, 7 images) 0.604; this model (on the same references) 0.703" in bars


def test_without_copies_the_model_has_one_bar() -> None:
    bars, _ = bars_of({**HUMAN, "leave_one_out_images": 10, "copied_references_images": 0})
    assert "human references (distinct, 10 images) 0.604" in bars
    assert "0.703" not in bars


def test_scores_of_earlier_versions_are_not_called_distinct() -> None:
    bars, _ = bars_of({"leave_one_out": 2.61})
    assert "human references 2.610" in bars


def test_classes_are_drawn_on_one_scale_from_two_classes_on() -> None:
    by_class = {f"class_{n}": {"images": n + 1, "CIDEr": n / 10, "ci95": {"CIDEr": None}} for n in range(14)}
    _, (first, others) = bars_of({}, by_class)
    assert (first.count("<rect"), others.count("<rect")) == (12, 2)
    assert "class 0 (1 image) 0.000; class 1 (2 images) 0.100" in first
    # the widest bar is the best class, which is folded
    assert 'width="334.0"' in others and 'width="334.0"' not in first
    assert bars_of({}, {"port": by_class["class_3"]})[1] == ()


def test_long_class_names_are_cut() -> None:
    by_class = {name * 30: {"images": 2, "CIDEr": 0.1, "ci95": {}} for name in "ab"}
    assert f">{'a' * 23}…<" in bars_of({}, by_class)[1][0]
