"""The gain of a model over image-blind baselines, paired by image on the same questions."""

from collections.abc import Iterable, Mapping

from tasks.evaluation.scores import Gain
from tasks.evaluation.uncertainty.families import holm
from tasks.evaluation.uncertainty.moments import Floats, pseudo_values
from tasks.evaluation.uncertainty.paired import PairedTest, paired_test

SIGNIFICANT = 0.05
# The first group that is known decides: from the training set, else the model's own answers to other images.
IMAGE_BLIND = (("train_consensus", "constant"), ("question_only", "majority"), ("shuffled_images",))


def gain_over(baselines: Mapping[str, Floats]) -> Gain | None:
    """The gain over the best image-blind baseline; None if no baseline is known.

    `baselines` has statistics (images, 3) by name: sums of the model's scores, of the baseline's, and their number.
    A model has to beat all of a group: the p-value is the greatest, so that the choice among them needs no correction,
    and the baseline that is named is the one that is beaten least clearly or, if all are beaten, by the least.
    """
    known = next((group for names in IMAGE_BLIND if (group := [name for name in names if name in baselines])), None)
    if known is None:
        return None
    tests = {name: paired_test(pseudo_values(baselines[name], difference_of_means)) for name in known}
    unclear = max(known, key=lambda name: (tests[name].gain, -tests[name].difference))
    beaten = tests[unclear].gain < SIGNIFICANT / 2
    named = min(known, key=lambda name: tests[name].difference) if beaten else unclear
    return _gain(named, baselines[named], tests[named]._replace(p_value=tests[unclear].p_value))


def difference_of_means(sums: Floats) -> Floats:
    """Mean score of the model less that of the other (rows,), from sums (rows, 3): scores of both, number of scores."""
    difference: Floats = (sums[:, 0] - sums[:, 1]) / sums[:, 2]
    return difference


def _gain(name: str, statistics: Floats, test: PairedTest) -> Gain:
    value = float(difference_of_means(statistics.sum(axis=0, keepdims=True))[0])
    p_value = None if test.interval is None else test.p_value
    return {"baseline": name, "value": value, "ci95": test.interval, "p": p_value, "p_adjusted": None, "shown": False}


def show_gains(gains: Iterable[Gain | None]) -> None:
    """Decide which gains of one page are shown: p-values adjusted over all its sources by Holm, and a positive gain."""
    tested = [(gain, gain["p"]) for gain in gains if gain is not None and gain["p"] is not None]
    adjusted = holm([p_value for _, p_value in tested])
    for (gain, _), p_value in zip(tested, adjusted, strict=True):
        gain["p_adjusted"] = p_value
        gain["shown"] = gain["value"] > 0 and p_value < SIGNIFICANT
