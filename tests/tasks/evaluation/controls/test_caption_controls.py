"""Image-blind baselines of captions, on a few short captions."""

import pytest

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
    controls = caption_controls(TEST, TRAINING, seed=1)
    assert controls["constant_caption"] == PORT
    assert controls["train_consensus"] > controls["constant"] > 0


def test_the_verbatim_share_counts_captions_of_the_training_set() -> None:
    assert caption_controls(TEST, TRAINING, seed=1)["verbatim_train_share"] == 3 / 4


def test_controls_of_the_training_set_are_null_without_it() -> None:
    controls = caption_controls(TEST, None, seed=1)
    assert {name for name, value in controls.items() if value is None} == {
        "train_consensus",
        "constant",
        "constant_caption",
        "verbatim_train_share",
    }


def test_shuffled_captions_score_zero_where_images_share_no_words() -> None:
    own = CaptionSet("RSICD", IMAGES[:3], ("a b c d", "e f g h", "i j k l"), (("a b c d",), ("e f g h",), ("i j k l",)))
    assert caption_controls(own, None, seed=3)["shuffled_images"] == 0


def test_one_image_cannot_be_shuffled() -> None:
    alone = CaptionSet("RSICD", IMAGES[:1], (PORT,), ((PORT,),))
    assert caption_controls(alone, None, seed=1)["shuffled_images"] is None


def test_leave_one_out_is_null_where_every_image_has_one_reference() -> None:
    alone = CaptionSet("RSICD", IMAGES[:2], (PORT, WOOD), ((PORT,), (WOOD,)))
    assert caption_controls(alone, None, seed=1)["leave_one_out"] is None


def test_leave_one_out_of_equal_references_is_a_full_score() -> None:
    twice = CaptionSet("RSICD", IMAGES[:2], ("", ""), ((PORT, PORT), (WOOD, WOOD)))
    assert caption_controls(twice, None, seed=1)["leave_one_out"] == pytest.approx(10)


def test_leave_one_out_never_compares_a_reference_with_itself() -> None:
    unlike = CaptionSet("RSICD", IMAGES[:2], ("", ""), ((PORT, "many roads"), (WOOD, "bare sand")))
    assert caption_controls(unlike, None, seed=1)["leave_one_out"] == 0


def test_distinct_captions_are_counted() -> None:
    assert caption_controls(TEST, None, seed=1)["distinct_captions"] == 3


def test_evenly_spaces_its_sample() -> None:
    assert evenly(list("abcdefghij"), 5) == list("acegi")
    assert evenly(list("abc"), 5) == list("abc")
