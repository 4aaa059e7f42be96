"""A duplicated reference: CIDEr counts it twice, metrics that take the best reference ignore it."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support.scoring import no_meteor

from tasks.evaluation.caption_metrics import CaptionSet
from tasks.evaluation.metrics.cider import CiderSpace, mean_similarity
from tasks.evaluation.metrics.meteor import Meteor
from tasks.evaluation.reference_cider import score_by_reference_protocol
from tasks.evaluation.scoring import score_captions

WORDS = st.sampled_from(["plane", "ship", "tree", "road", "two", "many", "blue"])
TEXT = st.lists(WORDS, min_size=1, max_size=6).map(" ".join)
GROUPS = st.lists(st.tuples(TEXT, st.lists(TEXT, min_size=1, max_size=3)), min_size=2, max_size=6)
FEW = settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def captions_with(groups: Any, copied: int | None) -> CaptionSet:
    """A caption set in which the first image has its reference `copied` twice."""
    hypotheses, references = zip(*groups, strict=True)
    first = references[0] if copied is None else [*references[0], references[0][copied]]
    images = tuple(f"RSICD/images/{number}.jpg" for number in range(len(hypotheses)))
    return CaptionSet("RSICD", images, hypotheses, tuple(map(tuple, (first, *references[1:]))), meteor=no_meteor)


@FEW
@given(groups=GROUPS, data=st.data())
def test_cider_counts_a_copy_twice_under_the_same_document_frequency(groups: Any, data: st.DataObject) -> None:
    copied = data.draw(st.integers(0, len(groups[0][1]) - 1))
    before, after = (score_captions(captions_with(groups, index))["CIDEr"].each for index in (None, copied))
    assert list(after[1:]) == list(before[1:])
    said, references = groups[0]
    space = CiderSpace([group for _, group in groups])
    each = [mean_similarity(space.vector(said), [space.vector(text)]) for text in references]
    assert before[0] == pytest.approx(np.mean(each), abs=1e-9)
    assert after[0] == pytest.approx((sum(each) + each[copied]) / (len(each) + 1), abs=1e-9)


@FEW
@given(groups=GROUPS, data=st.data())
def test_bleu_and_rouge_ignore_a_copy(groups: Any, data: st.DataObject) -> None:
    copied = data.draw(st.integers(0, len(groups[0][1]) - 1))
    before, after = (captions_with(groups, index) for index in (None, copied))
    old, new = score_captions(before), score_captions(after)
    for metric in ("BLEU-1", "BLEU-2", "BLEU-3", "BLEU-4", "ROUGE-L"):
        assert list(new[metric].each) == list(old[metric].each)
        assert new[metric].corpus == old[metric].corpus
    assert (after.bleu_counts == before.bleu_counts).all()


def test_meteor_ignores_a_copy(meteor: Meteor) -> None:
    groups = [("a plane and a ship", ["a plane and two ships", "many houses"]), ("a road", ["a road beside trees"])]
    for copied in (0, 1):
        before, after = (captions_with(groups, place) for place in (None, copied))
        assert meteor(after.hypotheses, after.references) == meteor(before.hypotheses, before.references)


@FEW
@given(groups=GROUPS)
def test_copies_of_all_references_do_not_change_means_over_them(groups: Any, paired: Any, captions_of: Any) -> None:
    said = [captions_of(f"RSICD/images/{n}.jpg", [answer]) for n, (answer, _) in enumerate(groups)]

    def scores(times: int) -> Any:
        references = [group * (times if n == 0 else 1) for n, (_, group) in enumerate(groups)]
        test = [captions_of(f"RSICD/images/{n}.jpg", group) for n, group in enumerate(references)]
        captions = CaptionSet("RSICD", tuple(map(str, range(len(said)))), *zip(*groups, strict=True), meteor=no_meteor)
        found = score_captions(replace(captions, references=tuple(map(tuple, references))))
        return list(found["CIDEr"].each), score_by_reference_protocol(paired(test, said))

    (once, ours), (thrice, copied) = scores(1), scores(3)
    assert thrice == pytest.approx(once, abs=1e-9)
    assert copied == pytest.approx(ours, abs=1e-9)
