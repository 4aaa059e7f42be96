"""The probabilities of chosen tokens, and of an answer."""

import math

import pytest
import torch

from tasks.inference.engines.decoding import Decoding, answer_probability, log_probabilities

GREEDY = Decoding(4)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_the_log_probability_of_a_token_is_that_of_the_softmax_over_all_tokens(dtype: torch.dtype) -> None:
    logits = (10 * torch.randn(5, 300, generator=torch.Generator().manual_seed(28))).to(dtype)
    tokens = [0, 7, 299, 8, 100]
    for found, row, token in zip(log_probabilities(logits, tokens, GREEDY), logits.tolist(), tokens, strict=True):
        expected = row[token] - math.log(math.fsum(math.exp(value) for value in row))
        # float32 has seven digits, of logits of up to 40
        assert found == pytest.approx(expected, rel=1e-6, abs=1e-6)


def test_an_answer_has_the_product_and_the_mean_of_the_logarithms() -> None:
    logs = [math.log(0.5), math.log(0.8), math.log(0.9)]
    assert answer_probability(logs) == {"probability": 0.36, "mean_log_probability": -0.341}
    assert answer_probability([math.log(0.123456)]) == {"probability": 0.1235, "mean_log_probability": -2.092}
    assert answer_probability([-800.0, -1.0])["probability"] == 0.0


def test_sampled_tokens_have_none() -> None:
    assert log_probabilities(torch.zeros(1, 3), [1], Decoding(4, temperature=0.5)) == []
    assert answer_probability([]) == {}
