import base64
import io

import numpy as np
from PIL import Image

from tasks.inference.engines.chat_messages import messages_of, png_url, request_body, seed_of
from tasks.inference.engines.decoding import Decoding
from tasks.settings import InferenceConfig


def test_the_png_has_the_exact_pixels_and_nothing_else():
    image = Image.effect_noise((9, 7), 80).convert("RGB")
    image.info = {"icc_profile": b"profile", "transparency": (0, 0, 0), "dpi": (72, 72), "gamma": 0.5}
    url = png_url(image)
    found = Image.open(io.BytesIO(base64.b64decode(url.removeprefix("data:image/png;base64,"))))
    assert (found.format, found.mode, found.info) == ("PNG", "RGB", {})
    assert np.array_equal(np.asarray(found), np.asarray(image))
    assert "icc_profile" in image.info


def test_the_image_is_first_and_placeholders_are_gone():
    turns = (("human", "<image>\nWhat?"), ("gpt", "A road."), ("human", "Where <image>?"))
    first, *others = messages_of(turns, "data:x", "low")
    image = {"type": "image_url", "image_url": {"url": "data:x", "detail": "low"}}
    assert first == {"role": "user", "content": [image, {"type": "text", "text": "What?"}]}
    assert others == [{"role": "assistant", "content": "A road."}, {"role": "user", "content": "Where ?"}]


def test_a_question_has_the_seed_that_it_has_with_a_model_in_this_process():
    assert seed_of(28, "3:1") == Decoding(5, seed=28).seed_of("3:1")
    sampled = InferenceConfig.model_validate({"temperature": 1, "api": {"logprobs": True}})
    body = request_body(sampled, "3:1", [])
    assert body["seed"] == seed_of(28, "3:1") and "logprobs" not in body
