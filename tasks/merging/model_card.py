"""README.md of a merged model: what it is made of, how it was trained, and how to load it."""

from pathlib import Path
from typing import Any

from tasks.errors import DataError
from tasks.files import fits_utf8, read_json
from tasks.model.checkpoint_origin import origin_of
from tasks.model.model_tensors import BaseModel, Layout
from tasks.paths import ADAPTER_CONFIG, METRICS, TRAINER_STATE

CARD = """---
base_model: {base}
library_name: transformers
pipeline_tag: image-text-to-text
{licence}---
# {base}, fine-tuned

LLaVA 1.5 in {layout} layout, made by rsvlm: {what}. `provenance.json` holds the hashes of all that it is made of, and
the settings. The licence of the base model applies.

{facts}
## How to load it

{loading}
The prompt template is v1 of LLaVA 1.5.
"""
# what of a checkpoint's origin the card tells, and how it calls it
TOLD = {"Run": "run", "Data: sets with the SHA-256": "dataset"}
LOADING = {
    "transformers": """```python
from transformers import AutoModelForImageTextToText, AutoProcessor

model = AutoModelForImageTextToText.from_pretrained("path/of/this/directory")
processor = AutoProcessor.from_pretrained("path/of/this/directory", backend="pil")
```
transformers 4.57 and 5 read it, and vLLM. `backend="pil"` gives the pixels of the training; where torchvision is
installed, transformers 5 computes others without it, by up to one step of 8 bits.
""",
    "llava": """```
python -m llava.serve.cli --model-path path/of/this/directory --image-file IMAGE
```
The original code goes by the directory's name: it must hold `llava` and `v1`, and not `lora`. The vision tower is read
from where `mm_vision_tower` in `config.json` says: change it there when the tower is moved.
""",
}


def model_card(base: BaseModel, tuned: Path, what: str, layout: Layout, facts: tuple[str, ...] = ()) -> str:
    """The text; `facts` are further lines of what is known, e.g. the version of the data and the scores."""
    lines = [f"- {line}" for line in (*_parameters(tuned), *facts)]
    return CARD.format(
        base=base.folder.name,
        layout="transformers" if layout == "transformers" else "the original LLaVA's",
        what=what,
        licence=_licence(base.folder),
        facts="\n".join(lines) + "\n" if lines else "",
        loading=LOADING[layout],
    )


def _licence(base: Path) -> str:
    """The line of the base model's own card that names its licence."""
    card = base / "README.md"
    lines = card.read_text(encoding="utf-8", errors="replace").split("\n") if card.is_file() else []
    if lines[:1] != ["---"] or "---" not in lines[1:]:
        return ""
    head = lines[1 : lines.index("---", 1)]
    return "".join(f"{line}\n" for line in head if line.startswith(("license:", "license_name:", "license_link:")))


def _parameters(tuned: Path) -> list[str]:
    """How the checkpoint was trained, as its own files say."""
    lora, state = (_read(tuned / name) for name in (ADAPTER_CONFIG, TRAINER_STATE))
    origin = origin_of(tuned)
    known = [f"{what}: {origin[key]}" for what, key in TOLD.items() if origin.get(key)]
    if lora:
        kind = "DoRA" if lora.get("use_dora") else "rsLoRA" if lora.get("use_rslora") else "LoRA"
        known.append(
            f"{kind}: rank {lora.get('r')}, alpha {lora.get('lora_alpha')}, dropout {lora.get('lora_dropout')}"
        )
    if state.get("global_step"):
        known.append(f"Training: {state['global_step']} optimiser steps, {state.get('epoch', 0):.2f} epochs")
    return known


def _read(file: Path) -> dict[str, Any]:
    try:
        value = read_json(file, allow_nan=True)
    except DataError:
        return {}
    return value if isinstance(value, dict) and fits_utf8(value) else {}


def scores_in(report: Path) -> tuple[str, ...]:
    """Lines on the scores in a report directory's metrics.json; DataError when it is missing or damaged."""
    from tasks.evaluation.metrics.registry import HEADLINE

    metrics = read_json(report / METRICS)
    return tuple(
        f"{source}: {score} {values[score]:.3f}"
        for task, score in HEADLINE.items()
        for source, values in (metrics.get(task) or {}).items()
        if values.get(score) is not None
    )
