"""Which reports may be compared: a served model's with one's own, if both were asked in the same way."""

import pytest

from tasks.evaluation.protocol import protocol_differences, served_model

OWN = {"engine": "transformers", "dtype": "auto", "max_new_tokens": 20, "history": "independent"}
SERVED = {"engine": "openai", "dtype": "auto", "max_new_tokens": 20, "history": "independent", "api.model": "m"}


@pytest.mark.parametrize(
    ("one", "other", "different"),
    [
        (OWN, SERVED, []),
        (SERVED, OWN, []),
        (SERVED, {**SERVED, "api.model": "n", "api.extra": {"a": 1}}, []),
        (SERVED, {**OWN, "max_new_tokens": 30}, ["decoding"]),
        (SERVED, {**OWN, "history": "reference"}, ["decoding"]),
        (SERVED, {**OWN, "temperature": 1}, ["decoding"]),
        (OWN, {**OWN, "engine": "vllm"}, ["decoding"]),
        (SERVED, None, ["decoding"]),
    ],
)
def test_engine_and_number_type_count_only_between_models_of_ones_own(one, other, different):
    assert protocol_differences({"decoding": one}, {"decoding": other}) == different


def test_other_differences_count_for_served_models_too():
    assert protocol_differences({"vqa": 1, "decoding": OWN}, {"vqa": 2, "decoding": SERVED}) == ["vqa"]


def test_only_a_served_model_has_a_name_on_a_server():
    assert (served_model(SERVED), served_model(OWN), served_model(None)) == ("m", None, None)
