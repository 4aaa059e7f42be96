"""How often nightly re-evaluation alarms without a reason, and whether it sees a slow loss."""

from collections.abc import Iterator, Mapping
from typing import NamedTuple

import numpy as np
from cells import SEED, Bound, Cell
from real_values import scores

from tasks.evaluation.uncertainty.moments import Floats
from tasks.evaluation.uncertainty.paired import paired_test
from tasks.reevaluating.alarms import Evidence, alarms, begun

TESTS = 8
# equal nights of one deployment, and nights of a drift
EQUAL, DRIFT = 200, 60
# of 3.3 at first: 30 points of CIDEr times 100
LOSS = 0.3
# a broken image keeps this part of its score
KEPT = 0.3
ALARMS = Bound(0, 0.01)
SEEN = Bound(0.9, 1)


class World(NamedTuple):
    """How scores differ from night to night without a reason.

    Of unchanged weights, noise of the GPU changes answers: the share `near_ties` of the images is answered otherwise
    with the probability `flipped`. An equal retrained model has other scores on all images, by factors with a
    standard deviation of `spread`.
    """

    name: str
    near_ties: float = 0.0
    flipped: float = 0.0
    spread: float = 0.0


UNCHANGED = World("unchanged weights", near_ties=0.15, flipped=0.3)
RETRAINED = World("an equal model retrained each night", spread=0.5)


def equal_nights(deployments: int) -> list[Cell]:
    """The share of nights in alarm, and of nights on which an alarm begins, over all deployments."""
    cells = []
    for world in (UNCHANGED, RETRAINED):
        for images in (20, 50, 100):
            random = np.random.default_rng([SEED, images])
            found = [list(_alarms(_nights(world, images, EQUAL, random))) for _ in range(deployments)]
            in_alarm = sum(bool(night) for one in found for night, _ in one)
            starts = sum(begins for one in found for _, begins in one)
            for what, hits in (("nights in alarm", in_alarm), ("alarms that begin", starts)):
                cells.append(Cell(f"{world.name}, {what}", str(images), hits, deployments * EQUAL, ALARMS))
    return cells


def drifts(deployments: int) -> list[Cell]:
    """The share of deployments in which the loss of one of eight tests was seen, by an alarm of this test."""
    cells = []
    for world, sizes in ((UNCHANGED, (20, 50, 100, 500)), (RETRAINED, (100, 500, 1000))):
        for images in sizes:
            random = np.random.default_rng([SEED, images])
            seen = sum(_drift_is_seen(world, images, random) for _ in range(deployments))
            cells.append(Cell(world.name, str(images), seen, deployments, SEEN))
    return cells


def _drift_is_seen(world: World, images: int, random: np.random.Generator) -> bool:
    nights = _nights(world, images, DRIFT + 1, random)
    nights[:, 0] *= _breaking(nights[0, 0], random)
    return any("0" in night for night, _ in _alarms(nights))


def _nights(world: World, images: int, nights: int, random: np.random.Generator) -> Floats:
    """Scores (nights, tests, images) of eight test sets drawn from real images."""
    usual, other = scores("RSICD", "CIDEr", "class_consensus"), scores("RSICD", "CIDEr", "second_peer")
    drawn = random.integers(0, len(usual), (TESTS, images))
    if world.spread:
        shape = world.spread**-2
        return usual[drawn] * random.gamma(shape, 1 / shape, (nights, *drawn.shape))
    probability = np.where(random.random(drawn.shape) < world.near_ties, world.flipped, 0.0)
    return np.where(random.random((nights, *drawn.shape)) < probability, other[drawn], usual[drawn])


def _breaking(first: Floats, random: np.random.Generator) -> Floats:
    """Factors (nights, images): images break one after the other, until the mean has lost LOSS on the last night."""
    order = random.permutation(len(first))
    lost = np.cumsum((1 - KEPT) * first[order]) / len(first)
    broken = order[: int(np.searchsorted(lost, LOSS)) + 1]
    factors = np.ones((DRIFT + 1, len(first)))
    for image, night in zip(broken, np.linspace(1, DRIFT, len(broken)), strict=True):
        factors[round(night) :, image] = KEPT
    return factors


def _alarms(nights: Floats) -> Iterator[tuple[Mapping[str, str], int]]:
    """For each night the tests that alarm, and how many of them did not the night before."""
    last: Mapping[str, str] = {}
    means = nights.mean(axis=2)
    for night, found in enumerate(nights):
        evidence = {
            str(test): Evidence(
                paired_test(found[test] - nights[night - 1, test]).loss if night else None,
                paired_test(found[test] - nights[0, test]).loss if night else None,
                means[: night + 1, test].tolist(),
            )
            for test in range(len(found))
        }
        now = alarms(evidence, len(evidence))
        yield now, len(begun(now, last))
        last = now
