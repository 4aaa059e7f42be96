"""The toy Qwen2.5-VL is a complete model whose answers depend on the image."""

from pathlib import Path

import numpy as np
import torch
from PIL import Image
from support.toy_models import TINY_TEXTS

from tasks.model.chat.tiny import create_tiny_qwen
from tasks.model.families import family_of
from tasks.model.inputs import batch_of, prompt_row


def test_it_loads_and_looks_at_images_of_any_size(tmp_path: Path) -> None:
    create_tiny_qwen(tmp_path, TINY_TEXTS, seed=3, scale=10.0)
    family = family_of(tmp_path)
    model, processor = family.load_base(tmp_path, torch.float32), family.load_processor(tmp_path)
    assert family.name == "Qwen2.5-VL" and sum(value.numel() for value in model.parameters()) < 2_000_000
    noise = np.random.default_rng(0)
    counts, logits = set(), []
    for width, height in ((64, 64), (256, 256), (300, 120)):
        picture = Image.fromarray(noise.integers(0, 256, (height, width, 3), dtype=np.uint8))
        image = processor.prepare(picture)
        assert len(image.token_ids) == processor.count_tokens((width, height)) <= 66
        counts.add(len(image.token_ids))
        row = prompt_row(processor.encode_prompt([("human", "<image>\nIs it an urban area?")]), [image])
        with torch.no_grad():
            logits.append(model(**batch_of([row], processor)).logits[0, -1])
    assert len(counts) == 3
    assert all((one - other).abs().max() > 0.01 for one, other in ((logits[0], logits[1]), (logits[1], logits[2])))


def test_the_seed_determines_all_files(tmp_path: Path) -> None:
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        create_tiny_qwen(tmp_path / name, TINY_TEXTS, seed)
    first, same, other = (family_of(tmp_path / name).digest(tmp_path / name) for name in "abc")
    assert first == same != other
