"""Scaling in strips gives the same pixels as the image processor on the whole image."""

import numpy as np
import pytest
from PIL import Image
from transformers.models.llava.image_processing_pil_llava import LlavaImageProcessorPil

from tasks.model import image_scaling
from tasks.model.images import pixels_of

SIDE = 56
SIZES = [(300, 1), (1, 300), (1, 1), (3, 3), (SIDE, SIDE), (SIDE, 20), (20, SIDE), (112, 56), (2000, 5), (5, 2000)]


@pytest.mark.parametrize("pads", [True, False], ids=["padded", "cropped"])
@pytest.mark.parametrize("strip", [1, 1000, 1 << 20])
def test_scaling_in_strips_equals_the_processors_pixels_exactly(
    pads: bool, strip: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(image_scaling, "STRIP_PIXELS", strip)
    cut = {"height": SIDE, "width": SIDE}
    processor = LlavaImageProcessorPil(size={"shortest_edge": SIDE}, crop_size=cut, do_pad=pads)
    generator = np.random.default_rng(13)
    for width, height in [*SIZES, *generator.integers(1, 400, (20, 2)).tolist()]:
        image = Image.fromarray(generator.integers(0, 256, (height, width, 3), dtype=np.uint8))
        whole = processor(image, input_data_format="channels_last", return_tensors="np")["pixel_values"][0]
        np.testing.assert_array_equal(pixels_of(image, processor), whole, err_msg=f"{width} x {height}")
