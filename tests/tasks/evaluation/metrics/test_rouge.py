"""ROUGE-L against pycocoevalcap."""

import random

from tasks.evaluation.metrics.rouge import rouge_score


def test_values_equal_pycocoevalcaps_to_the_last_bit() -> None:
    from pycocoevalcap.rouge.rouge import Rouge

    draw = random.Random(4)
    # also longer than a machine word, and empty
    texts = [" ".join(draw.choices("abcdefgh", k=draw.choice([0, 1, 5, 9, 90]))) for _ in range(300)]
    for number in range(0, 300, 3):
        said, *references = texts[number : number + 3]
        assert rouge_score(said, references) == Rouge().calc_score([said], references)
