"""Questions that share an image's prefix have the answers of transformers' generate, in every family that allows it."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from support.tiny_families import CONFIGS

from tasks.inference.engines.decoding import Decoding
from tasks.inference.engines.generation import Row, generate_answers
from tasks.inference.engines.prefix_attention import Prefix, enable_prefixes
from tasks.model.encoding import IMAGE_INDEX, expand_images
from tasks.model.inputs import batch_of, prompt_row
from tasks.model.loading import load_model

QUESTIONS = ("Is there a road?", "How many planes are there at the airport?", "a")
DECODING = Decoding(6)


@pytest.mark.parametrize("member", sorted(CONFIGS.keys() - {"paligemma"}))
def test_shared_prefixes_equal_generate(tiny_family_dir: Callable[[str], Path], member: str) -> None:
    loaded = load_model(tiny_family_dir(member), dtype="float32")
    processor = loaded.processor
    # or generate stops at a random token
    loaded.model.generation_config.eos_token_id = None
    noise = np.random.default_rng(5)
    pixels = [noise.integers(0, 256, (50, 70, 3), dtype=np.uint8) for _ in range(2)]
    images = [processor.prepare(Image.fromarray(each)) for each in pixels]
    prompts = [processor.encode_prompt([("human", f"<image>\n{question}")]) for question in QUESTIONS]
    expected = []
    for image in images:
        for ids in prompts:
            batch = batch_of([prompt_row(ids, [image])], processor)
            with torch.no_grad():
                found = loaded.model.generate(**batch, max_new_tokens=DECODING.max_new_tokens, do_sample=False)
            expected.append(found[0, -DECODING.max_new_tokens :].tolist())
    enable_prefixes(loaded.model)
    end = prompts[0].index(IMAGE_INDEX) + 1
    shown = expand_images(prompts[0][:end], [images[0].token_ids])
    prefix = Prefix.of(loaded.family.prefill(loaded.model, processor, shown, images))
    rows = [Row(index, ids[end:], DECODING.sampler(str(index))) for index in range(2) for ids in prompts]
    answers = generate_answers(loaded, prefix, rows, [], DECODING)
    assert [answer.ids for answer in answers] == expected
    assert len(set(map(tuple, expected))) > 1
