"""How much captions depend on the wording of the prompt, where several prompts of an image were answered."""

from collections import defaultdict
from collections.abc import Sequence

import numpy as np

from tasks.evaluation.caption_metrics import CaptionSet
from tasks.evaluation.metrics.cider import mean_similarity
from tasks.evaluation.metrics.ptb_tokenizer import tokenize_captions
from tasks.evaluation.pairing import PairedRecord
from tasks.evaluation.scores import PromptSensitivity
from tasks.prompt_text import without_placeholder

MOST_PROMPTS = 20


def prompt_sensitivity(captions: CaptionSet, records: Sequence[PairedRecord]) -> PromptSensitivity | None:
    """CIDEr of all answers to an image's caption prompts, under the test set's document frequency.

    `mean`, `worst` and `best` of each image's answers and their standard deviation, `within_image_deviation`, are
    averaged over images; `same_answer_share` is the share of images whose answers are all the same; `by_prompt` has
    the twenty most frequent prompts. Images with one answer are left out. None if no image has several answers, and
    for a single image, which has no CIDEr.
    """
    if not captions.has_cider:
        return None
    by_image: dict[str, list[tuple[str, str]]] = defaultdict(list)
    for record in records:
        by_image[record.image] += [
            (without_placeholder(turn.question), turn.answer)
            for turn in record.asked_for("captioning")
            if turn.answer is not None
        ]
    several = {image: by_image[image] for image in captions.images if len(by_image[image]) > 1}
    if not several:
        return None
    tokens = iter(tokenize_captions([answer for answered in several.values() for _, answer in answered]))
    return _summary(
        captions, {image: [(prompt, next(tokens)) for prompt, _ in answered] for image, answered in several.items()}
    )


def _summary(captions: CaptionSet, several: dict[str, list[tuple[str, str]]]) -> PromptSensitivity:
    space = captions.space
    each: list[list[float]] = []
    by_prompt: dict[str, list[float]] = defaultdict(list)
    for image, group in zip(captions.images, captions.references, strict=True):
        references = [space.vector(text) for text in group] if image in several else []
        scores = [mean_similarity(space.vector(answer), references) for _, answer in several.get(image, ())]
        for (prompt, _), score in zip(several.get(image, ()), scores, strict=True):
            by_prompt[prompt].append(score)
        each += [scores] if scores else []
    frequent = sorted(by_prompt, key=lambda prompt: (-len(by_prompt[prompt]), prompt))[:MOST_PROMPTS]
    return {
        "images": len(several),
        "answers": sum(map(len, each)),
        "mean": float(np.mean([np.mean(scores) for scores in each])),
        "worst": float(np.mean([min(scores) for scores in each])),
        "best": float(np.mean([max(scores) for scores in each])),
        "within_image_deviation": float(np.mean([np.std(scores) for scores in each])),
        "same_answer_share": sum(len({text for _, text in given}) == 1 for given in several.values()) / len(several),
        "by_prompt": {
            prompt: {"answers": len(by_prompt[prompt]), "CIDEr": float(np.mean(by_prompt[prompt]))}
            for prompt in frequent
        },
    }
