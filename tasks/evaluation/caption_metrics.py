"""Caption scores of one source with pycocoevalcap, and what each image adds to them."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any

import numpy as np

from tasks.evaluation.metrics.bootstrap import bootstrap_scores, mean_interval, percentile_interval
from tasks.evaluation.metrics.cider import CiderSpace
from tasks.evaluation.metrics.meteor import Meteor
from tasks.evaluation.metrics.ptb_tokenizer import tokenize_captions
from tasks.evaluation.metrics.spice import score_spice, spice_jar
from tasks.evaluation.pairing import PairedRecord

BLEU_ORDERS = 4
CAPTION_METRICS = ("CIDEr", "BLEU-1", "BLEU-2", "BLEU-3", "BLEU-4", "METEOR", "ROUGE-L")
# where its models are installed
SPICE = "SPICE"
NOTE = "note"
ONE_IMAGE = (
    "One image alone has no CIDEr: it weighs words by how few of the images have them, so that here all would weigh 0."
)


@dataclass(frozen=True)
class CaptionSet:
    """The captions of one source: for each image one hypothesis and all references, in PTB tokens.

    `empty` references hold no word and were left out, and with them images that have no other.

    Images are sorted by name, so that no score depends on the order of records.
    """

    source: str
    images: tuple[str, ...]
    hypotheses: tuple[str, ...]
    references: tuple[tuple[str, ...], ...]
    empty: int = 0

    @property
    def weighs_words(self) -> bool:
        """Whether CIDEr can tell rare words from frequent ones, which one image alone does not show."""
        return len(self.images) > 1

    @cached_property
    def space(self) -> CiderSpace:
        """CIDEr under the document frequency of all images of the source."""
        return CiderSpace(self.references)


@dataclass(frozen=True)
class CaptionScores:
    """Scores of a source: of all images together, of each image (by metric), and BLEU's counts an image."""

    corpus: dict[str, float]
    each: dict[str, np.ndarray]
    bleu_counts: np.ndarray


def caption_set(source: str, records: Sequence[PairedRecord]) -> CaptionSet:
    """Tokens of a source's captions: the true answers to all of an image's prompts for captions are its references.

    The hypothesis is the answer to the first of these prompts. References and hypotheses are tokenized in
    the order of the file, each on its own, as one would by hand.
    """
    references: dict[str, list[str]] = {}
    hypotheses: dict[str, str] = {}
    for record in records:
        for turn in record.asked_for("captioning"):
            hypotheses.setdefault(record.image, turn.answer or "")
            references.setdefault(record.image, []).append(turn.reference)
    tokens = iter(tokenize_captions([text for group in references.values() for text in group]))
    # no caption is like a reference without a word: it would only lower the mean over references
    grouped = {image: tuple(filter(str.split, [next(tokens) for _ in group])) for image, group in references.items()}
    answered = dict(zip(hypotheses, tokenize_captions(list(hypotheses.values())), strict=True))
    images = tuple(sorted(image for image, group in grouped.items() if group))
    empty = sum(len(group) - len(grouped[image]) for image, group in references.items())
    return CaptionSet(source, images, tuple(answered[i] for i in images), tuple(grouped[i] for i in images), empty)


def score_captions(captions: CaptionSet, meteor: Meteor) -> CaptionScores:
    """CIDEr, BLEU-1 to 4, METEOR and ROUGE-L, as fractions, as pycocoevalcap returns them; SPICE where it is installed.

    The document frequency is that of all images given, so give the whole test set of a source at once. Of a single
    image there is no CIDEr: each word is in all images, which weighs it with 0.
    """
    from pycocoevalcap.rouge.rouge import Rouge

    truth = dict(enumerate(map(list, captions.references)))
    said = {index: [hypothesis] for index, hypothesis in enumerate(captions.hypotheses)}
    corpus: dict[str, Any] = {}
    each: dict[str, Any] = {}
    if captions.weighs_words:
        corpus["CIDEr"], each["CIDEr"] = _cider(captions)
    corpus["ROUGE-L"], each["ROUGE-L"] = Rouge().compute_score(truth, said)
    bleu, bleu_each, counts = _bleu(captions)
    for order in range(BLEU_ORDERS):
        corpus[f"BLEU-{order + 1}"], each[f"BLEU-{order + 1}"] = bleu[order], bleu_each[order]
    corpus["METEOR"], each["METEOR"] = meteor(captions.hypotheses, captions.references)
    if jar := spice_jar():
        corpus[SPICE], each[SPICE] = score_spice(jar, captions.hypotheses, captions.references)
    names = [name for name in (*CAPTION_METRICS, SPICE) if name in corpus]
    return CaptionScores(
        {name: float(corpus[name]) for name in names},
        {name: np.asarray(each[name], dtype=float) for name in names},
        counts,
    )


class _Counted:
    """N-grams of texts, counted each time they are walked through: those of a whole test set would fill the memory."""

    def __init__(self, count: Callable[[Any], Any], texts: Sequence[Any]):
        self._count, self._texts = count, texts

    def __len__(self) -> int:
        return len(self._texts)

    def __iter__(self) -> Iterator[Any]:
        return map(self._count, self._texts)


def _cider(captions: CaptionSet) -> tuple[float, np.ndarray]:
    """CIDEr as pycocoevalcap's Cider takes it, over all images and of each."""
    from pycocoevalcap.cider.cider_scorer import CiderScorer, cook_refs, cook_test

    scorer = CiderScorer()
    scorer.document_frequency = captions.space.counts
    scorer.crefs, scorer.ctest = _Counted(cook_refs, captions.references), _Counted(cook_test, captions.hypotheses)
    each = np.array(scorer.compute_cider())
    return float(each.mean()), each


def _bleu(captions: CaptionSet) -> tuple[list[float], np.ndarray, np.ndarray]:
    """BLEU as pycocoevalcap's Bleu takes it, and each image's counts: length, reference length, guesses, hits."""
    counts = np.array([_bleu_counts(*each) for each in zip(captions.hypotheses, captions.references, strict=True)])
    of_all, each = (
        [bleu_from_counts(order + 1, sums) for order in range(BLEU_ORDERS)]
        for sums in (counts.sum(axis=0, keepdims=True), counts)
    )
    return [float(score[0]) for score in of_all], np.array(each), counts


def _bleu_counts(hypothesis: str, references: Sequence[str]) -> list[float]:
    """The counts of one image, by a scorer of its own: what it keeps of a whole test set would fill the memory."""
    from pycocoevalcap.bleu.bleu_scorer import BleuScorer

    counts = BleuScorer(hypothesis, list(references), n=BLEU_ORDERS).ctest[0]
    length = counts["testlen"]
    closest = min((abs(reference - length), reference) for reference in counts["reflen"])[1]
    return [float(count) for count in (length, closest, *counts["guess"], *counts["correct"])]


def bleu_from_counts(order: int, sums: np.ndarray) -> np.ndarray:
    """BLEU-`order` from summed counts (draws, 10), by the formula of pycocoevalcap's BleuScorer."""
    guesses, hits = sums[:, 2 : 2 + BLEU_ORDERS], sums[:, 2 + BLEU_ORDERS :]
    precisions = (hits + 1e-15) / (guesses + 1e-9)
    ratio = (sums[:, 0] + 1e-15) / (sums[:, 1] + 1e-9)
    brevity = np.exp(np.minimum(0, 1 - 1 / ratio))
    result: np.ndarray = precisions[:, :order].prod(axis=1) ** (1 / order) * brevity
    return result


def caption_intervals(scores: CaptionScores, draws: int, seed: int) -> dict[str, list[float] | None]:
    """95 % intervals over images; None of a CIDEr that is none. METEOR has none: Java alone puts its parts together."""
    intervals: dict[str, list[float] | None] = {
        name: mean_interval(scores.each[name], draws, seed)
        for name in ("CIDEr", "ROUGE-L", SPICE)
        if name in scores.each
    }
    for order in range(1, BLEU_ORDERS + 1):
        drawn = bootstrap_scores(scores.bleu_counts, partial(bleu_from_counts, order), draws, seed)
        intervals[f"BLEU-{order}"] = percentile_interval(drawn)
    return {"CIDEr": None} | {name: intervals[name] for name in scores.each if name in intervals}
