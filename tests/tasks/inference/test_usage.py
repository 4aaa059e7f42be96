import pytest

from tasks.files import read_json
from tasks.inference.usage import usage_of, write_usage
from tasks.records import Answer, Served
from tasks.settings import ApiConfig

API = ApiConfig(model="m", input_price=2, output_price=8)


def answer(number, tokens, **served):
    return Answer(key=f"{number}:0", text="a", tokens=tokens, served=Served(**served))


ANSWERS = [
    answer(0, 10, prompt_tokens=1000, model="m-2025"),
    answer(1, 20, prompt_tokens=500, finish="length"),
    answer(2, 0),
]


def test_tokens_cost_and_what_is_unknown_are_summed(tmp_path):
    lines = write_usage(tmp_path, ANSWERS, API)
    found = read_json(tmp_path / "usage.json")
    assert (found["prompt_tokens"], found["answer_tokens"], found["without_usage"]) == (1500, 30, 1)
    assert found["cost"] == pytest.approx((1500 * 2 + 30 * 8) / 1e6)
    assert found["answered_as"] == {"m": 2, "m-2025": 1} and found["ended_by"] == {"length": 1}
    assert [line.partition(":")[0] for line in lines[:2]] == [
        "3 answers of m",
        "the server reports no usage for 1 answers",
    ]
    assert len(lines) == 4


def test_without_prices_there_is_no_cost():
    usage = usage_of(ANSWERS, ApiConfig(model="m"))
    assert usage is not None and usage.cost is None


def test_answers_of_ones_own_model_have_no_usage(tmp_path):
    (tmp_path / "usage.json").write_text("of an earlier run")
    assert write_usage(tmp_path, [Answer(key="0:0", text="a", tokens=3)], API) == []
    assert not (tmp_path / "usage.json").exists()
