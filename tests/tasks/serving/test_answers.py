from itertools import pairwise

import numpy as np
import pytest
from PIL import Image

from tasks.errors import DataError
from tasks.inference.engines.decoding import Decoding
from tasks.serving.answers import MAX_QUESTION_CHARACTERS, ImageQuestion, make_preview, stream_answers


@pytest.fixture
def image(tmp_path):
    Image.new("RGB", (40, 30), "green").save(tmp_path / "green.png")
    return tmp_path / "green.png"


def asked(image, question="Is it green?"):
    return ImageQuestion(image, question, Decoding(5))


def test_a_streamed_answer_grows_until_it_ends(model, image):
    grown = [text for (text,) in stream_answers([model], asked(image), [()])]
    assert len(grown) > 1 and all(later.startswith(text) for text, later in pairwise(grown))


def test_two_answers_are_streamed_until_both_have_ended(model, image):
    last = [texts for texts in stream_answers([model, model], asked(image), [(), (("Where?", "There."),)])][-1]
    assert all(last) and last[0] != last[1]


def test_a_preview_shows_a_16_bit_image_as_the_model_sees_it(tmp_path):
    Image.fromarray(np.linspace(0, 4000, 2400 * 10, dtype=np.uint16).reshape(10, 2400)).save(tmp_path / "deep.tif")
    preview = make_preview(tmp_path / "deep.tif")
    assert preview.mode == "RGB" and max(preview.size) == 1024
    assert np.asarray(preview).min() < 30 and np.asarray(preview).max() > 225


def refused(function, *arguments):
    with pytest.raises(DataError) as error:
        list(function(*arguments))
    assert "/" not in str(error.value)
    return str(error.value)


def test_a_broken_image_is_refused_with_its_name_only(tmp_path):
    (tmp_path / "a.png").write_bytes(b"\x89PNG broken")
    assert refused(make_preview, tmp_path / "a.png").startswith("a.png is not a readable image")


def test_a_truncated_image_is_refused(image):
    image.write_bytes(image.read_bytes()[:-30])
    assert refused(make_preview, image).startswith("green.png is not a readable image")


def test_an_image_with_too_many_pixels_is_refused_by_its_header(tmp_path):
    Image.new("1", (10_000, 6_000)).save(tmp_path / "large.png")
    assert "10,000 x 6,000" in refused(make_preview, tmp_path / "large.png")


@pytest.mark.parametrize(
    ("question", "reason"),
    [
        ("", "empty"),
        (" \n", "empty"),
        ("a" * (MAX_QUESTION_CHARACTERS + 1), "8,001 characters"),
        ("why " * 1999, "tokens"),
    ],
)
def test_an_empty_or_too_long_question_is_refused(model, image, question, reason):
    assert reason in refused(stream_answers, [model], asked(image, question), [()])


def test_a_deleted_image_must_be_uploaded_again(model, tmp_path):
    assert "upload it again" in refused(stream_answers, [model], asked(tmp_path / "gone.png"), [()])
