"""Caption scores, against pycocoevalcap called by hand."""

import os
import random
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from tasks.evaluation.caption_metrics import CaptionSet, MetricScores, bleu_from_counts, caption_set
from tasks.evaluation.metrics.java import find_java
from tasks.evaluation.metrics.meteor import Meteor
from tasks.evaluation.metrics.registry import CAPTION_METRICS
from tasks.evaluation.scoring import caption_intervals, score_captions

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
    """A function (answer set) -> its captions and our scores by metric."""

    def score(group: Group) -> tuple[CaptionSet, dict[str, MetricScores]]:
        test = [captions_of(image, references) for image, (_, references) in group.items()]
        answers = [captions_of(image, [answer]) for image, (answer, _) in group.items()]
        captions = caption_set("RSICD", paired(test, answers), meteor)
        return captions, score_captions(captions)

    return score


@pytest.mark.parametrize("group", ANSWER_SETS, ids=["12 images", "30 images", "5 images"])
def test_scores_equal_pycocoevalcap_called_by_hand(group: Group, scored: Any, by_hand: Any) -> None:
    captions, ours = scored(group)
    for metric, (corpus, each) in by_hand(group).items():
        assert ours[metric].corpus == pytest.approx(corpus, abs=1e-9), metric
        assert list(ours[metric].each) == pytest.approx(
            [dict(zip(group, each, strict=True))[image] for image in captions.images], abs=1e-9
        ), metric


def corpus_scores(scores: dict[str, MetricScores]) -> dict[str, float]:
    return {name: found.corpus for name, found in scores.items()}


def test_scores_do_not_depend_on_the_order_of_records(scored: Any) -> None:
    group = ANSWER_SETS[0]
    backwards = dict(reversed(group.items()))
    assert corpus_scores(scored(backwards)[1]) == pytest.approx(corpus_scores(scored(group)[1]), abs=1e-12)


def test_a_copied_reference_changes_the_score_of_its_image_only(scored: Any) -> None:
    group = {**ANSWER_SETS[1], "RSICD/images/x_0.jpg": ("a plane and a ship", ["a plane and a ship", "many houses"])}
    more = {**group, "RSICD/images/x_0.jpg": ("a plane and a ship", [*["a plane and a ship"] * 2, "many houses"])}
    (captions, before), (_, after) = scored(group), scored(more)
    changed = {
        image for image, a, b in zip(captions.images, before["CIDEr"].each, after["CIDEr"].each, strict=True) if a != b
    }
    assert changed == {"RSICD/images/x_0.jpg"}


# everything that ends a line for Java, Python or an editor
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


def test_a_line_separator_in_an_answer_counts_as_a_space(scored: Any) -> None:
    def answers(separator: str | None) -> Group:
        marks = [separator or mark for mark in SEPARATORS]
        return {
            f"RSICD/images/x_{place:02}.jpg": (f"{place} planes{mark}and a ship", [f"{place} planes and a ship"])
            for place, mark in enumerate(marks)
        }

    ours, spaced = scored(answers(None))[1], scored(answers(" "))[1]
    assert corpus_scores(ours) == corpus_scores(spaced)
    assert ours["BLEU-4"].corpus == pytest.approx(1)
    assert ours["METEOR"].corpus == pytest.approx(1)


def test_an_odd_answer_does_not_change_the_score_of_another_image(scored: Any) -> None:
    def answers(odd: tuple[str, ...]) -> Group:
        group = {f"RSICD/images/x_{place:02}.jpg": (text, ["a plane on a road"]) for place, text in enumerate(odd)}
        plain = {f"RSICD/images/y_{n}.jpg": (f"{n} ships and a tree", [f"{n} ships beside a tree"]) for n in range(3)}
        # odd answers come before, between and after plain ones
        mixed = [*group.items()]
        for place, item in enumerate(plain.items()):
            mixed.insert(4 * place + 1, item)
        return dict(mixed)

    (captions, ours), (_, without) = scored(answers(ODD_ANSWERS)), scored(answers(("",) * len(ODD_ANSWERS)))
    plain = [place for place, image in enumerate(captions.images) if "y_" in image]
    for metric, found in ours.items():
        assert list(found.each[plain]) == list(without[metric].each[plain]), metric
        assert np.isfinite(found.each).all()
        assert found.each[plain].min() > 0.2 or metric in ("BLEU-3", "BLEU-4")
    # only the repeated plane shares a word with the reference
    words = [place for place, text in enumerate(ODD_ANSWERS) if "plane" not in text]
    assert not ours["CIDEr"].each[words].any()


def test_an_image_has_the_references_of_all_its_records(paired: Any, captions_of: Any) -> None:
    test = [captions_of("RSICD/images/x_1.jpg", [text]) for text in ("one", "two", "three")]
    answers = [captions_of("RSICD/images/x_1.jpg", [text]) for text in ("first answer", "second", "third")]
    captions = caption_set("RSICD", paired(test, answers))
    assert captions.references == (("one", "two", "three"),)
    assert captions.hypotheses == ("first answer",)


def test_references_without_a_word_are_counted_and_leave_no_image(paired: Any, captions_of: Any) -> None:
    test = [captions_of("RSICD/images/x_1.jpg", ["...", "\U0001f44d"])]
    captions = caption_set("RSICD", paired(test, test))
    assert (captions.images, captions.empty) == ((), 2)


def test_bleu_from_summed_counts_equals_the_corpus_score(scored: Any) -> None:
    captions, ours = scored(ANSWER_SETS[1])
    sums = captions.bleu_counts.sum(axis=0, keepdims=True)
    for order in range(1, 5):
        assert bleu_from_counts(order, sums)[0] == pytest.approx(ours[f"BLEU-{order}"].corpus, abs=1e-12)


def test_intervals_contain_their_score(scored: Any) -> None:
    _, ours = scored(ANSWER_SETS[1])
    intervals = caption_intervals(ours)
    assert set(intervals) == {name for name in ours if CAPTION_METRICS[name].interval}
    assert all(low < ours[metric].corpus < high for metric, (low, high) in intervals.items())


def test_a_single_image_has_all_scores_but_cider(scored: Any) -> None:
    _, ours = scored({"RSICD/images/x_1.jpg": ("a plane", ["a plane"])})
    assert "CIDEr" not in ours and ours["BLEU-1"].corpus == pytest.approx(1)
    assert caption_intervals(ours)["CIDEr"] is None
    assert np.isfinite(list(corpus_scores(ours).values())).all()
