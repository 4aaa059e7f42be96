from itertools import pairwise

import numpy as np
import pytest
from PIL import Image

from tasks.errors import DataError
from tasks.inference.engines.decoding import Decoding
from tasks.serving.answers import MAX_CHARACTERS, Asked, answers, preview_of
from tasks.serving.models import Speaker


@pytest.fixture
def speaker(lively_model):
    return Speaker("model", lively_model)


@pytest.fixture
def image(tmp_path):
    Image.new("RGB", (40, 30), "green").save(tmp_path / "green.png")
    return tmp_path / "green.png"


def asked(image, question="Is it green?"):
    return Asked(image, question, Decoding(5))


def test_answers_grow_and_end(speaker, image):
    grown = [text for (text,) in answers([speaker], asked(image), [()])]
    assert len(grown) > 1 and all(later.startswith(text) for text, later in pairwise(grown))


def test_a_shorter_answer_waits_for_the_longer_one(speaker, image):
    last = [texts for texts in answers([speaker, speaker], asked(image), [(), (("Where?", "There."),)])][-1]
    assert all(last) and last[0] != last[1]


def test_an_image_is_shown_as_the_model_sees_it(tmp_path):
    Image.fromarray(np.linspace(0, 4000, 2400 * 10, dtype=np.uint16).reshape(10, 2400)).save(tmp_path / "deep.tif")
    preview = preview_of(tmp_path / "deep.tif")
    assert preview.mode == "RGB" and max(preview.size) == 1024
    assert np.asarray(preview).min() < 30 and np.asarray(preview).max() > 225


def refused(function, *arguments):
    with pytest.raises(DataError) as error:
        list(function(*arguments))
    assert "/" not in str(error.value)
    return str(error.value)


def test_a_broken_image_is_refused_by_its_name(tmp_path):
    (tmp_path / "a.png").write_bytes(b"\x89PNG broken")
    assert refused(preview_of, tmp_path / "a.png").startswith("a.png is no image")


def test_a_file_that_ends_early_is_refused(image):
    image.write_bytes(image.read_bytes()[:-30])
    assert refused(preview_of, image).startswith("green.png is no image")


def test_an_image_of_very_many_pixels_is_refused_before_it_is_unpacked(tmp_path):
    Image.new("1", (10_000, 6_000)).save(tmp_path / "large.png")
    assert "10,000 x 6,000" in refused(preview_of, tmp_path / "large.png")


@pytest.mark.parametrize(
    ("question", "said"),
    [("", "empty"), (" \n", "empty"), ("a" * (MAX_CHARACTERS + 1), "8,001 characters"), ("why " * 1999, "tokens")],
)
def test_a_question_that_cannot_be_asked_is_refused(speaker, image, question, said):
    assert said in refused(answers, [speaker], asked(image, question), [()])


def test_an_image_that_was_cleared_away_is_asked_for_again(speaker, tmp_path):
    assert "upload it again" in refused(answers, [speaker], asked(tmp_path / "gone.png"), [()])
