"""Which engine answers for which model of a run: a served model takes the place of the base alone."""

from pathlib import Path
from types import SimpleNamespace

import pytest

from flows import answer_and_score
from flows.answer_and_score import Answerer, answer
from tasks.records import ModelRef
from tasks.settings import ExperimentConfig


@pytest.fixture
def made(monkeypatch):
    """What the step that answers gets for a label and a model."""
    monkeypatch.setattr(answer_and_score, "make", lambda *arguments, **parameters: parameters)
    api = {"base_url": "http://localhost:8000/v1", "model": "m"}
    config = ExperimentConfig.model_validate({"inference": {"engine": "openai", "api": api}})
    run = SimpleNamespace(folder=SimpleNamespace(superseded=Path("superseded")))

    def parameters(label, sha256):
        return answer(run, config, Answerer(label, ModelRef(path=Path("model"), sha256=sha256)), None, Path("out"))

    return parameters


def test_the_base_is_answered_by_the_served_model_whatever_the_directory(made):
    one, other = made("base", "1"), made("base", "2")
    assert one["spec"].config.engine == "openai" and one["model"] == other["model"]


@pytest.mark.parametrize("label", ["final", "checkpoint-5", "final-rot90"])
def test_a_runs_own_models_are_answered_by_the_default_engine(made, label):
    found = made(label, "1")
    assert found["spec"].config.engine == "transformers" and found["model"].sha256 == "1"
