"""Image-blind baselines of captions, on a few short captions."""

from collections import Counter
from collections.abc import Sequence

import pytest
from pycocoevalcap.cider.cider_scorer import CiderScorer, precook

from tasks.evaluation.caption_metrics import CaptionSet
from tasks.evaluation.controls.caption_controls import caption_controls, class_of, evenly


@pytest.mark.parametrize(
    ("image", "name"),
    [
        ("NWPU/NWPU_images/airport/airport_673.jpg", "airport"),
        ("NWPU/NWPU_images/airport/673.jpg", "airport"),
        ("RSICD/images/meadow_85.jpg", "meadow"),
        ("RSICD/images/denseresidential_1.jpg", "denseresidential"),
        ("RSICD/images/tennis_court_12.jpg", "tennis_court"),
        ("RSICD/images/00012.jpg", None),
        ("UCM/images/363.jpg", None),
        ("DOTA/images/P0706.png", None),
        ("LR/Train/24.tif", None),
    ],
)
def test_the_scene_class_is_read_from_the_file_name_or_folder(image: str, name: str | None) -> None:
    assert class_of(image) == name


IMAGES = ("RSICD/images/port_1.jpg", "RSICD/images/port_2.jpg", "RSICD/images/wood_1.jpg", "RSICD/images/9.jpg")
PORT, WOOD = "two boats in a blue port", "green trees in a dense wood"
TEST = CaptionSet("RSICD", IMAGES, (PORT, PORT, WOOD, "x"), ((PORT,), (PORT, "a port"), (WOOD,), ("a bare field",)))
TRAINING = {
    "RSICD/images/port_7.jpg": [PORT, PORT, "boats in a port"],
    "RSICD/images/wood_7.jpg": [WOOD, WOOD, "a wood"],
    "RSICD/images/port_8.jpg": [PORT, "two boats"],
}


def test_the_oracle_class_caption_beats_one_caption_for_all() -> None:
    controls = caption_controls(TEST, TRAINING, seed=1).scores
    assert controls["constant_caption"] == PORT
    assert controls["train_consensus"] > controls["constant"] > 0


def test_the_verbatim_share_counts_captions_of_the_training_set() -> None:
    assert caption_controls(TEST, TRAINING, seed=1).scores["verbatim_train_share"] == 3 / 4


def test_controls_of_the_training_set_are_null_without_it() -> None:
    controls = caption_controls(TEST, None, seed=1).scores
    assert {name for name, value in controls.items() if value is None} == {
        "train_consensus",
        "constant",
        "constant_caption",
        "verbatim_train_share",
    }


def test_shuffled_captions_score_zero_where_images_share_no_words() -> None:
    own = CaptionSet("RSICD", IMAGES[:3], ("a b c d", "e f g h", "i j k l"), (("a b c d",), ("e f g h",), ("i j k l",)))
    assert caption_controls(own, None, seed=3).scores["shuffled_images"] == 0


def test_one_image_cannot_be_shuffled() -> None:
    alone = CaptionSet("RSICD", IMAGES[:1], (PORT,), ((PORT,),))
    assert caption_controls(alone, None, seed=1).scores["shuffled_images"] is None


def test_leave_one_out_is_null_where_every_image_has_one_reference() -> None:
    alone = CaptionSet("RSICD", IMAGES[:2], (PORT, WOOD), ((PORT,), (WOOD,)))
    assert caption_controls(alone, None, seed=1).scores["leave_one_out"] is None


def test_copied_references_are_not_agreement() -> None:
    copied = CaptionSet("RSICD", IMAGES[:2], ("", ""), ((PORT, PORT), (WOOD, WOOD)))
    controls = caption_controls(copied, None, seed=1).scores
    assert (controls["leave_one_out"], controls["leave_one_out_model"]) == (None, None)
    assert (controls["leave_one_out_images"], controls["copied_references_images"]) == (0, 2)


def test_copies_of_references_do_not_change_leave_one_out() -> None:
    others = (("boats in a port", PORT, "a port"), (WOOD, "a dense wood"), ("a bare field",))
    copies = (("boats in a port", PORT, PORT, "a port", PORT), (WOOD, WOOD, "a dense wood"), ("a bare field",) * 5)
    once, more = (
        caption_controls(CaptionSet("RSICD", IMAGES[:3], (PORT, WOOD, "x"), group), None, seed=1).scores
        for group in (others, copies)
    )
    assert once["leave_one_out"] > 0 and once["leave_one_out_images"] == more["leave_one_out_images"] == 2
    for name in ("leave_one_out", "leave_one_out_model"):
        assert more[name] == pytest.approx(once[name], abs=1e-12)
    assert (once["copied_references_images"], more["copied_references_images"]) == (0, 3)


def cider_d(hypotheses: list[str], references: list[list[str]], documents: Sequence[Sequence[str]]) -> list[float]:
    """CIDEr-D of each hypothesis, computed by pycocoevalcap with the document frequency of `documents`."""
    scorer = CiderScorer(n=4, sigma=6.0)
    for hypothesis, group in zip(hypotheses, references, strict=True):
        scorer += (hypothesis, group)
    scorer.document_frequency = Counter(ngram for group in documents for ngram in set().union(*map(precook, group)))
    # its number of documents is that of the captions which it scores: as many as there are documents
    assert len(hypotheses) == len(documents)
    return [float(score) for score in scorer.compute_cider()]


def test_leave_one_out_equals_a_recomputation_with_pycocoevalcap() -> None:
    three, two = ["boats in a port", PORT, "many boats in the blue port"], [WOOD, "trees in a dense green wood"]
    documents = ((*three, PORT, PORT), (WOOD, *two), ("a bare field", "a bare field"))
    said = ("two blue boats in a port", "a dense wood", "a field")
    controls = caption_controls(CaptionSet("RSICD", IMAGES[:3], said, documents), None, seed=1).scores

    def mean_of_image(group: list[str]) -> float:
        # three hypotheses in each call, so that the number of documents is three
        pairs = [[one, [text for text in group if text != one]] for one in group]
        padded = (pairs * 3)[:3]
        scores = cider_d([one for one, _ in padded], [others for _, others in padded], documents)
        return sum(scores[: len(group)]) / len(group)

    expected = (mean_of_image(three) + mean_of_image(two)) / 2
    assert controls["leave_one_out"] == pytest.approx(expected, abs=1e-9)
    model = cider_d(list(said), [three, two, ["a bare field"]], documents)
    assert controls["leave_one_out_model"] == pytest.approx((model[0] + model[1]) / 2, abs=1e-9)
    assert 0 < controls["leave_one_out"] < 10


def test_leave_one_out_never_compares_a_reference_with_itself() -> None:
    unlike = CaptionSet("RSICD", IMAGES[:2], ("", ""), ((PORT, "many roads"), (WOOD, "bare sand")))
    assert caption_controls(unlike, None, seed=1).scores["leave_one_out"] == 0


def test_distinct_captions_are_counted() -> None:
    assert caption_controls(TEST, None, seed=1).scores["distinct_captions"] == 3


def test_evenly_spaces_its_sample() -> None:
    assert evenly(list("abcdefghij"), 5) == list("acegi")
    assert evenly(list("abc"), 5) == list("abc")
