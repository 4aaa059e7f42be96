"""Metrics of captions, with the values of pycocoevalcap, on the captions of one source."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from tasks.evaluation.metrics.bleu import bleu_counts
from tasks.evaluation.metrics.cider import CiderSpace, packaged_scores
from tasks.evaluation.metrics.meteor import Meteor
from tasks.evaluation.metrics.ptb_tokenizer import tokenize_captions
from tasks.evaluation.metrics.rouge import rouge_score
from tasks.evaluation.metrics.spice import score_spice, spice_jar
from tasks.evaluation.metrics.text_pairs import TextPairs
from tasks.evaluation.pairing import PairedRecord
from tasks.evaluation.uncertainty.moments import Floats, SumsToScores, ratio_score

BLEU_ORDERS = 4


@dataclass(frozen=True)
class CaptionSet:
    """The captions of one source: for each image one hypothesis and all references, in PTB tokens.

    Images are sorted by name, so that no score depends on the order of the records. `empty` counts the references
    that have no word, which are left out, together with images that have no other reference. `meteor` is the running
    METEOR process.
    """

    source: str
    images: tuple[str, ...]
    hypotheses: tuple[str, ...]
    references: tuple[tuple[str, ...], ...]
    empty: int = 0
    meteor: Meteor | None = field(default=None, compare=False)

    @property
    def has_cider(self) -> bool:
        """Whether CIDEr is defined: with a single image every word is in all images, so that its idf is 0."""
        return len(self.images) > 1

    @cached_property
    def space(self) -> CiderSpace:
        """CIDEr under the document frequency of all images of the source."""
        return CiderSpace(self.references)

    @cached_property
    def bleu_counts(self) -> Floats:
        """BLEU's counts per image, (images, 10): length, closest reference length, 4 x guessed and 4 x correct."""
        return bleu_counts(self.pairs)

    @cached_property
    def pairs(self) -> TextPairs:
        """Each hypothesis with each different reference of its image."""
        return TextPairs(self.references, [self.hypotheses])


@dataclass(frozen=True)
class MetricScores:
    """One metric on a source: over all images, and for each image, float64 (images,).

    Intervals use `statistics`, float64 (images, k), which add up over images, with `from_sums` from sums to scores;
    without statistics they use `each`.
    """

    corpus: float
    each: Floats
    statistics: Floats | None = None
    from_sums: SumsToScores = ratio_score

    def of_images(self, indices: Sequence[int]) -> "MetricScores":
        """The scores of some of the images, for a metric whose values add up."""
        if self.statistics is None:
            return mean_over_images(self.each[indices])
        statistics = self.statistics[indices]
        corpus = float(self.from_sums(statistics.sum(axis=0, keepdims=True))[0])
        return MetricScores(corpus, self.each[indices], statistics, self.from_sums)


def mean_over_images(each: Sequence[float] | Floats) -> MetricScores:
    """The scores of a metric that is the mean of its scores per image."""
    values = np.asarray(each, dtype=float)
    return MetricScores(float(values.mean()), values)


def caption_set(source: str, records: Sequence[PairedRecord], meteor: Meteor | None = None) -> CaptionSet:
    """The tokenized captions of a source: the reference answers to all caption prompts of an image are its references.

    The hypothesis is the answer to the first of these prompts. References are tokenized together and hypotheses
    together, in the order of the file, as pycocoevalcap does.
    """
    references: dict[str, list[str]] = {}
    hypotheses: dict[str, str] = {}
    for record in records:
        for turn in record.asked_for("captioning"):
            hypotheses.setdefault(record.image, turn.answer or "")
            references.setdefault(record.image, []).append(turn.reference)
    tokens = iter(tokenize_captions([text for group in references.values() for text in group]))
    # no caption can match a reference without a word: it would only lower the mean over references
    grouped = {image: tuple(filter(str.split, [next(tokens) for _ in group])) for image, group in references.items()}
    answered = dict(zip(hypotheses, tokenize_captions(list(hypotheses.values())), strict=True))
    images = tuple(sorted(image for image, group in grouped.items() if group))
    empty = sum(len(group) - len(grouped[image]) for image, group in references.items())
    chosen = tuple(answered[image] for image in images), tuple(grouped[image] for image in images)
    return CaptionSet(source, images, *chosen, empty, meteor)


def cider(captions: CaptionSet) -> MetricScores | None:
    """CIDEr-D of pycocoevalcap; None for a single image."""
    return mean_over_images(packaged_scores(captions.pairs)) if captions.has_cider else None


def rouge_l(captions: CaptionSet) -> MetricScores:
    """ROUGE-L of pycocoevalcap."""
    return mean_over_images(list(map(rouge_score, captions.hypotheses, captions.references)))


def bleu(order: int) -> Callable[[CaptionSet], MetricScores]:
    """The metric BLEU-`order` of pycocoevalcap, from 1 to 4."""

    def from_counts(sums: Floats) -> Floats:
        return bleu_from_counts(order, sums)

    def score(captions: CaptionSet) -> MetricScores:
        counts = captions.bleu_counts
        corpus = float(from_counts(counts.sum(axis=0, keepdims=True))[0])
        return MetricScores(corpus, from_counts(counts), counts, from_counts)

    return score


def meteor(captions: CaptionSet) -> MetricScores:
    """METEOR 1.5, from the running Java process."""
    assert captions.meteor, "captions need METEOR"
    corpus, each = captions.meteor(captions.hypotheses, captions.references)
    return MetricScores(float(corpus), np.asarray(each, dtype=float))


def spice(captions: CaptionSet) -> MetricScores | None:
    """SPICE; None if its models are not installed."""
    jar = spice_jar()
    return MetricScores(*score_spice(jar, captions.hypotheses, captions.references)) if jar else None


def bleu_from_counts(order: int, sums: Floats) -> Floats:
    """BLEU-`order`, (rows,), from summed counts (rows, 10), by the formula of pycocoevalcap's BleuScorer."""
    guesses, hits = sums[:, 2 : 2 + BLEU_ORDERS], sums[:, 2 + BLEU_ORDERS :]
    precisions = (hits + 1e-15) / (guesses + 1e-9)
    ratio = (sums[:, 0] + 1e-15) / (sums[:, 1] + 1e-9)
    brevity = np.exp(np.minimum(0, 1 - 1 / ratio))
    result: Floats = precisions[:, :order].prod(axis=1) ** (1 / order) * brevity
    return result
