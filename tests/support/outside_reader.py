"""Load model directories with nothing but transformers and PEFT.

    python outside_reader.py JOBS.json OUT      JOBS: {name: {"model", "processor", "adapter": or null}}

Writes OUT/NAME.npz for each: the tokens of a prompt and of a text, the pixels, and the logits of all tokens.
"""

import json
import sys
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from transformers import AutoModelForImageTextToText, AutoProcessor, AutoTokenizer

QUESTION = "Is it a river?"
TEXT = "a river </s> and <image>"
PICTURE = Image.linear_gradient("L").resize((50, 20)).convert("RGB")


def read(model: str, processor: str, adapter: str | None) -> dict[str, np.ndarray]:
    loaded, found = AutoModelForImageTextToText.from_pretrained(model, dtype=torch.float32, output_loading_info=True)
    assert not found["missing_keys"], found["missing_keys"]
    if adapter is not None:
        from peft import PeftModel

        loaded = PeftModel.from_pretrained(loaded, adapter)
    handling = AutoProcessor.from_pretrained(processor, backend="pil")
    content = [{"type": "image", "image": PICTURE}, {"type": "text", "text": QUESTION}]
    inputs = handling.apply_chat_template(
        [{"role": "user", "content": content}],
        add_generation_prompt=True,
        tokenize=True,
        return_dict=True,
        return_tensors="pt",
    )
    with torch.no_grad():
        logits = loaded.eval()(**inputs).logits[0]
    words = AutoTokenizer.from_pretrained(processor)(TEXT, add_special_tokens=False)["input_ids"]
    values = {"ids": inputs["input_ids"][0], "pixels": inputs["pixel_values"][0], "logits": logits, "words": words}
    return {name: np.asarray(value) for name, value in values.items()}


if __name__ == "__main__":
    jobs, out = json.loads(Path(sys.argv[1]).read_text()), Path(sys.argv[2])
    for name, job in jobs.items():
        np.savez(out / f"{name}.npz", **read(**job))
