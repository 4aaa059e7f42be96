"""Clusters of training captions, for images whose file name has no scene class."""

from tasks.evaluation.caption_metrics import CaptionSet
from tasks.evaluation.controls.caption_controls import caption_controls
from tasks.evaluation.metrics.caption_clusters import CaptionClusters

PORT, WOOD = "two boats in a blue port", "green trees in a dense wood"
TRAINING = {f"RSICD/images/{n}.jpg": [(PORT, WOOD)[n % 2], ("a port", "a wood")[n % 2]] for n in range(40)}


def test_captions_of_a_kind_are_in_one_cluster() -> None:
    clusters = CaptionClusters(TRAINING)
    places = clusters.nearest([[PORT], ["boats in a port"], [WOOD], ["dense wood"]])
    assert places[0] == places[1] != places[2] == places[3]
    assert sorted(image for members in clusters.members for image in members) == sorted(TRAINING)


def test_clusters_do_not_depend_on_the_order_of_training() -> None:
    assert CaptionClusters(dict(reversed(TRAINING.items()))).members == CaptionClusters(TRAINING).members


def test_captions_without_known_words_have_a_cluster() -> None:
    assert CaptionClusters(TRAINING).nearest([["xyz"], [""]]) == [0, 0]
    assert CaptionClusters({"a.jpg": [""]}).members == [["a.jpg"]]


def test_the_nearest_clusters_consensus_beats_one_caption_for_all() -> None:
    images = tuple(f"RSICD/images/{n}.jpg" for n in range(90, 94))
    test = CaptionSet("RSICD", images, ("x",) * 4, ((PORT,), (WOOD,), (PORT, "a port"), (WOOD,)))
    controls = caption_controls(test, TRAINING, seed=1).scores
    assert controls["train_consensus"] > 1.5 * controls["constant"] > 0
