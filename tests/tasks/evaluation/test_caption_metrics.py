"""Caption scores, against pycocoevalcap called by hand."""

import os
import random
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from tasks.evaluation.caption_metrics import (
    CAPTION_METRICS,
    CaptionScores,
    CaptionSet,
    bleu_from_counts,
    caption_intervals,
    caption_set,
    score_captions,
)
from tasks.evaluation.metrics.java import find_java
from tasks.evaluation.metrics.meteor import Meteor

THINGS = ["plane", "ship", "tree", "runway", "house", "road", "river", "field", "tank", "beach", "lawn", "court"]
Group = dict[str, tuple[str, list[str]]]


def a_sentence(draw: random.Random) -> str:
    return f"There are {draw.randint(2, 9)} " + " and ".join(draw.sample(THINGS, draw.randint(1, 4))) + "."


def an_answer_set(seed: int, images: int) -> Group:
    draw = random.Random(seed)
    group = {}
    for number in range(images):
        references = [a_sentence(draw) for _ in range(draw.randint(1, 5))]
        answer = draw.choice([draw.choice(references), a_sentence(draw), "", "planes, etc."])
        group[f"RSICD/images/x_{number}.jpg"] = (answer, references)
    return group


ANSWER_SETS = [an_answer_set(1, 12), an_answer_set(2, 30), an_answer_set(3, 5)]


@pytest.fixture(scope="module")
def by_hand() -> Iterator[Any]:
    """A function (answer set) -> scores and scores an image of pycocoevalcap's own classes."""
    from pycocoevalcap.bleu.bleu import Bleu
    from pycocoevalcap.cider.cider import Cider
    from pycocoevalcap.meteor.meteor import Meteor as TheirMeteor
    from pycocoevalcap.rouge.rouge import Rouge
    from pycocoevalcap.tokenizer.ptbtokenizer import PTBTokenizer

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PATH", f"{find_java().parent}{os.pathsep}{os.environ['PATH']}")
        their_meteor = TheirMeteor()

        def score(group: Group) -> dict[str, tuple[float, list[float]]]:
            truth = PTBTokenizer().tokenize({k: [{"caption": t} for t in v[1]] for k, v in group.items()})
            said = PTBTokenizer().tokenize({k: [{"caption": v[0]}] for k, v in group.items()})
            bleu, bleus = Bleu(4).compute_score(truth, said, verbose=0)
            return {
                "CIDEr": Cider().compute_score(truth, said),
                "METEOR": their_meteor.compute_score(truth, said),
                "ROUGE-L": Rouge().compute_score(truth, said),
                **{f"BLEU-{n + 1}": (bleu[n], bleus[n]) for n in range(4)},
            }

        yield score
        process = their_meteor.meteor_p
        process.kill()
        process.communicate()


@pytest.fixture
def scored(paired: Any, captions_of: Any, meteor: Meteor) -> Any:
    """A function (answer set) -> its tokens and our scores."""

    def score(group: Group) -> tuple[CaptionSet, CaptionScores]:
        test = [captions_of(image, references) for image, (_, references) in group.items()]
        answers = [captions_of(image, [answer]) for image, (answer, _) in group.items()]
        captions = caption_set("RSICD", paired(test, answers))
        return captions, score_captions(captions, meteor)

    return score


@pytest.mark.parametrize("group", ANSWER_SETS, ids=["12 images", "30 images", "5 images"])
def test_scores_equal_pycocoevalcap_called_by_hand(group: Group, scored: Any, by_hand: Any) -> None:
    captions, ours = scored(group)
    for metric, (corpus, each) in by_hand(group).items():
        assert ours.corpus[metric] == pytest.approx(corpus, abs=1e-9), metric
        assert list(ours.each[metric]) == pytest.approx(
            [dict(zip(group, each, strict=True))[image] for image in captions.images], abs=1e-9
        ), metric


def test_the_order_of_records_changes_no_score(scored: Any) -> None:
    group = ANSWER_SETS[0]
    backwards = dict(reversed(group.items()))
    assert scored(backwards)[1].corpus == pytest.approx(scored(group)[1].corpus, abs=1e-12)


def test_a_copy_of_a_reference_moves_its_image_and_no_other(scored: Any) -> None:
    group = {**ANSWER_SETS[1], "RSICD/images/x_0.jpg": ("a plane and a ship", ["a plane and a ship", "many houses"])}
    more = {**group, "RSICD/images/x_0.jpg": ("a plane and a ship", [*["a plane and a ship"] * 2, "many houses"])}
    (captions, before), (_, after) = scored(group), scored(more)
    changed = {
        image for image, a, b in zip(captions.images, before.each["CIDEr"], after.each["CIDEr"], strict=True) if a != b
    }
    assert changed == {"RSICD/images/x_0.jpg"}


# all that ends a line for Java, for Python or for an editor
SEPARATORS = ("\n", "\r", "\r\n", "\x0b", "\x0c", "\x1c", "\x1d", "\x1e", "\x85", "\u2028", "\u2029")
ODD_ANSWERS = (
    "",
    "x" * 100_000,
    "a plane " * 12_500,
    "\u0645\u0637\u0627\u0631 \u0643\u0628\u064a\u0631",
    "\u202ea plane\u202c",
    "\U0001f6eb\U0001f3fd\u200d\u2708\ufe0f",
    "\x00\x1a\ufeff",
    "||| a ||| plane |||",
    "<script>",
)


def test_a_line_separator_in_an_answer_is_a_space(scored: Any) -> None:
    def answers(separator: str | None) -> Group:
        marks = [separator or mark for mark in SEPARATORS]
        return {
            f"RSICD/images/x_{place:02}.jpg": (f"{place} planes{mark}and a ship", [f"{place} planes and a ship"])
            for place, mark in enumerate(marks)
        }

    ours, spaced = scored(answers(None))[1], scored(answers(" "))[1]
    assert ours.corpus == spaced.corpus
    assert ours.corpus["BLEU-4"] == pytest.approx(1)
    assert ours.corpus["METEOR"] == pytest.approx(1)


def test_no_odd_answer_moves_the_score_of_another_image(scored: Any) -> None:
    def answers(odd: tuple[str, ...]) -> Group:
        group = {f"RSICD/images/x_{place:02}.jpg": (text, ["a plane on a road"]) for place, text in enumerate(odd)}
        plain = {f"RSICD/images/y_{n}.jpg": (f"{n} ships and a tree", [f"{n} ships beside a tree"]) for n in range(3)}
        # the odd ones stand before, between and after
        mixed = [*group.items()]
        for place, item in enumerate(plain.items()):
            mixed.insert(4 * place + 1, item)
        return dict(mixed)

    (captions, ours), (_, without) = scored(answers(ODD_ANSWERS)), scored(answers(("",) * len(ODD_ANSWERS)))
    plain = [place for place, image in enumerate(captions.images) if "y_" in image]
    for metric in CAPTION_METRICS:
        assert list(ours.each[metric][plain]) == list(without.each[metric][plain]), metric
        assert np.isfinite(ours.each[metric]).all()
        assert ours.each[metric][plain].min() > 0.2 or metric in ("BLEU-3", "BLEU-4")
    # nothing but the plane repeated shares a word with the reference
    words = [place for place, text in enumerate(ODD_ANSWERS) if "plane" not in text]
    assert not ours.each["CIDEr"][words].any()


def test_references_are_those_of_all_records_of_the_image(paired: Any, captions_of: Any) -> None:
    test = [captions_of("RSICD/images/x_1.jpg", [text]) for text in ("one", "two", "three")]
    answers = [captions_of("RSICD/images/x_1.jpg", [text]) for text in ("first answer", "second", "third")]
    captions = caption_set("RSICD", paired(test, answers))
    assert captions.references == (("one", "two", "three"),)
    assert captions.hypotheses == ("first answer",)


def test_references_without_any_word_are_counted_and_leave_no_image(paired: Any, captions_of: Any) -> None:
    test = [captions_of("RSICD/images/x_1.jpg", ["...", "\U0001f44d"])]
    captions = caption_set("RSICD", paired(test, test))
    assert (captions.images, captions.empty) == ((), 2)


def test_bleu_of_the_summed_counts_is_pycocoevalcaps_bleu(scored: Any) -> None:
    _, ours = scored(ANSWER_SETS[1])
    sums = ours.bleu_counts.sum(axis=0, keepdims=True)
    for order in range(1, 5):
        assert bleu_from_counts(order, sums)[0] == pytest.approx(ours.corpus[f"BLEU-{order}"], abs=1e-12)


def test_every_mean_lies_in_its_interval(scored: Any) -> None:
    _, ours = scored(ANSWER_SETS[1])
    intervals = caption_intervals(ours, draws=200, seed=1)
    assert set(intervals) == set(CAPTION_METRICS) - {"METEOR"}
    assert all(low < ours.corpus[metric] < high for metric, (low, high) in intervals.items())


def test_no_draws_give_no_interval(scored: Any) -> None:
    _, ours = scored(ANSWER_SETS[2])
    assert set(caption_intervals(ours, draws=0, seed=1).values()) == {None}


def test_a_single_image_is_scored_but_by_cider(scored: Any) -> None:
    _, ours = scored({"RSICD/images/x_1.jpg": ("a plane", ["a plane"])})
    assert "CIDEr" not in ours.corpus and ours.corpus["BLEU-1"] == pytest.approx(1)
    assert caption_intervals(ours, draws=20, seed=1)["CIDEr"] is None
    assert np.isfinite(list(ours.corpus.values())).all()
