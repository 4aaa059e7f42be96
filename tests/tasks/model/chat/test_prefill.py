"""A prefilled prompt, continued token by token, equals transformers' generate."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from support.tiny_families import CONFIGS

from tasks.model.families import family_of
from tasks.model.inputs import ImageInputs, Row, batch_of, prompt_row

STEPS = 6
QUESTION = [("human", "<image>\nIs there a road?")]


class Loaded:
    """A tiny model with its family and processor."""

    def __init__(self, folder: Path):
        self.family = family_of(folder)
        self.model: Any = self.family.load_base(folder, torch.float32)
        self.processor = self.family.load_processor(folder)
        # or generate stops at a random token
        self.model.generation_config.eos_token_id = None

    def row(self, picture: Image.Image) -> Row:
        return prompt_row(self.processor.encode_prompt(QUESTION), [self.processor.prepare(picture)])

    @torch.no_grad()
    def generated(self, row: Row) -> tuple[list[int], torch.Tensor]:
        """Token ids and logits (steps, vocab) of transformers' greedy search."""
        output = self.model.generate(
            **batch_of([row], self.processor), max_new_tokens=STEPS, do_sample=False,
            return_dict_in_generate=True, output_logits=True,
        )  # fmt: skip
        return output.sequences[0, -STEPS:].tolist(), torch.cat(output.logits)

    @torch.no_grad()
    def continued(self, ids: Sequence[int], images: Sequence[ImageInputs]) -> torch.Tensor:
        """Logits (rows, steps, vocab) of greedy search after `prefill`."""
        start = self.family.prefill(self.model, self.processor, ids, images)
        cache, logits = start.cache, [start.logits]
        for step in range(STEPS - 1):
            output = self.model(
                input_ids=logits[-1].argmax(-1, keepdim=True),
                position_ids=self.family.positions((start.next_positions + step)[:, None]),
                past_key_values=cache, use_cache=True, logits_to_keep=1,
            )  # fmt: skip
            cache = output.past_key_values
            logits.append(output.logits[:, -1])
        return torch.stack(logits, 1)


@pytest.fixture(scope="module")
def loaded_as(tiny_family_dir: Callable[[str], Path]) -> Callable[[str], Loaded]:
    return lambda member: Loaded(tiny_family_dir(member))


def test_continuing_equals_generate(
    member: str, loaded_as: Callable[[str], Loaded], pictures: list[Image.Image]
) -> None:
    loaded = loaded_as(member)
    # the second must not see what the model keeps of the first; the first again, what it keeps of generate
    for picture in (*pictures, pictures[0]):
        row = loaded.row(picture)
        (logits,) = loaded.continued(row.ids, row.images)
        tokens, expected = loaded.generated(row)
        torch.testing.assert_close(logits, expected, atol=1e-5, rtol=1e-5)
        assert logits.argmax(-1).tolist() == tokens
        (again,) = loaded.continued(row.ids, row.images)
        assert torch.equal(again, logits)


def test_images_of_one_size_are_prefilled_together(
    member: str, loaded_as: Callable[[str], Loaded], pictures: list[Image.Image]
) -> None:
    loaded = loaded_as(member)
    rows = [loaded.row(picture) for picture in (pictures[1], pictures[1].rotate(180))]
    together = loaded.continued(rows[0].ids, [row.images[0] for row in rows])
    for row, logits in zip(rows, together, strict=True):
        torch.testing.assert_close(logits, loaded.generated(row)[1], atol=1e-5, rtol=1e-5)


def test_answers_depend_on_the_image(
    member: str, loaded_as: Callable[[str], Loaded], pictures: list[Image.Image]
) -> None:
    loaded = loaded_as(member)
    first, second = (loaded.generated(loaded.row(picture))[1][0] for picture in pictures)
    assert (first - second).abs().max() > 0.01


def test_nothing_is_left_for_the_next_prompt(loaded_as: Callable[[str], Loaded], pictures: list[Image.Image]) -> None:
    for member in CONFIGS:
        loaded = loaded_as(member)
        row = loaded.row(pictures[0])
        loaded.continued(row.ids, row.images)
        assert getattr(loaded.model.model, "rope_deltas", None) is None
